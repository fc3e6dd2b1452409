"""A face of the released head, for tests of what the toy head lacks: a mouth, eyeballs, lips."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from common.paths import DEFAULT_HEAD
from model.encoder.backbone import EncoderConfig
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from model.geometry.camera import default_intrinsics
from model.look.atlas import Atlas, build_atlas
from model.look.face_result import FaceResult, face_result
from model.look.lips import LipSeam
from model.parameters import FaceParameters
from model.reconstructor import Reconstructor
from tests.small_world import BACKBONE, IMAGE_SIZE

PHOTOGRAPH_PX = 480
MISSING = not DEFAULT_HEAD.is_file()
REASON = "the released head is not in this checkout"


@cache
def reconstructor() -> Reconstructor:
    return Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, load_head(DEFAULT_HEAD)).eval()


def released_model() -> MorphableModel:
    return reconstructor().morphable_model


@cache
def released_seam() -> LipSeam:
    seam = LipSeam.of(released_model())
    assert seam is not None
    return seam


@cache
def part_atlas(name: str, size: int = 128) -> Atlas:
    (part,) = (part for part in head_parts(released_model()) if part.name == name)
    return build_atlas(released_model(), size, part)


def released_face(seed: int | None = None, **expressions: float) -> FaceResult:
    """A frontal face 600 mm before the camera of a square photograph.

    Args:
        seed: Of a random person; the mean one if None.
        expressions: Weights by ARKit's names.
    """
    model = released_model()
    neutral = FaceParameters.neutral(1, model.identity_count, model.expression_count, model.albedo_count)
    expression = torch.zeros_like(neutral.expression)
    for name, weight in expressions.items():
        expression[0, model.expression_names.index(name)] = weight
    identity = torch.zeros_like(neutral.identity)
    if seed is not None:
        identity = torch.randn(identity.shape, generator=torch.Generator().manual_seed(seed))
    nearer = torch.tensor([[0.0, 0.0, -600.0]])
    parameters = replace(neutral, expression=expression, identity=identity, translation_mm=nearer)
    camera = default_intrinsics(PHOTOGRAPH_PX, PHOTOGRAPH_PX)
    found = reconstructor().decode(parameters, camera[None])
    return face_result(found, model, camera, np.array([0.0, 0.0, 480.0, 480.0]), 1.0)
