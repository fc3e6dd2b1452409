"""A head before a camera, and masks of hair that is drawn about it: everything about them is known."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import torch

from common.paths import DEFAULT_HEAD
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import Mesh
from model.geometry.rotation import rotation_from_euler
from model.look.face_result import FaceResult, face_result
from model.look.hair_grid import ScalpTemplate, scalp_template
from model.parameters import FaceParameters
from model.person.classes import BACKGROUND, HAIR, SKIN
from model.person.mask import PersonMask
from model.reconstructor import Reconstruction
from model.render.backends import build_rasterizer

SIDE_PX = 320
CAMERA = torch.tensor([[800.0, 0.0, 160.0], [0.0, 800.0, 150.0], [0.0, 0.0, 1.0]])


@cache
def head_model() -> MorphableModel:
    return MorphableModel(load_head(DEFAULT_HEAD))


@cache
def template() -> ScalpTemplate:
    return scalp_template(head_model())


@cache
def mean_face(yaw_degrees: float = 0.0) -> FaceResult:
    """The mean head of the released model, 800 mm away."""
    model = head_model()
    neutral = FaceParameters.neutral(1, model.identity_count, model.expression_count, model.albedo_count)
    turn = rotation_from_euler(torch.tensor([[np.radians(yaw_degrees), 0.0, 0.0]], dtype=torch.float32))
    parameters = replace(neutral, rotation=turn)
    vertices_mm = model.vertices_mm(parameters.identity, parameters.expression)
    mesh = Mesh(vertices_mm, parameters.to_camera(vertices_mm), model.albedo_linear(parameters.albedo))
    landmarks_mm = model.landmarks(vertices_mm)
    reconstruction = Reconstruction(parameters, mesh, landmarks_mm, landmarks_mm)
    return face_result(reconstruction, model, CAMERA, np.array([80.0, 60.0, 240.0, 280.0]), 1.0)


def head_area(result: FaceResult) -> np.ndarray:
    """Pixels that show the head."""
    vertices = torch.from_numpy(result.vertices_image)[None]
    fragments = build_rasterizer("cpu").rasterize(vertices, torch.from_numpy(result.faces), SIDE_PX, SIDE_PX)
    return fragments.face_index[0].numpy() >= 0


def hair_area(result: FaceResult, thickness_px: int = 14, long: bool = False) -> np.ndarray:
    """Pixels of hair: the head grown outwards, without the face below the hairline; `long` hair falls to the neck."""
    area = cv2.dilate(head_area(result).astype(np.uint8), np.ones((2 * thickness_px + 1,) * 2, np.uint8)) > 0
    points_px, chin = result.landmarks68_px, result.landmarks68_px[8]
    hull = cv2.convexHull(np.concatenate((points_px, points_px[17:27] - (0.0, 30.0))).astype(np.float32))
    face = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.fillConvexPoly(face, np.rint(hull[:, 0]).astype(np.int32), 1)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] + 0.5
    lowest = chin[1] + 25.0 if long else points_px[30, 1]
    throat = (y > points_px[30, 1]) & (np.abs(x - chin[0]) < 45.0)
    return area & (y < lowest) & (face == 0) & ~throat


def mask_of(hair: np.ndarray, head: np.ndarray) -> PersonMask:
    """The mask that a perfect network would answer with."""
    kind = np.where(hair, HAIR, np.where(head, SKIN, BACKGROUND))
    share = np.stack([kind == number for number in range(4)], axis=-1).astype(np.float32)
    return PersonMask(share, np.ones(kind.shape, np.float32), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
