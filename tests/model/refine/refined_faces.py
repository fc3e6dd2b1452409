"""A face that a refinement made brighter, and perhaps found skin and light of."""

from dataclasses import replace

import numpy as np
import torch

from model.look.appearance import Appearance
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.refined import Raytraced, RefinedFace
from tests.small_world import crop_camera, neutral_parameters, toy_reconstructor

SIZE = 48
MODEL = toy_reconstructor().morphable_model
RECORDS = (
    StageRecord("landmarks", True, "better", 0.25, {"residual_px": 1.5}, {"data": [3.0, 2.0], "prior": [0.0, 1e-7]}),
    StageRecord("raster", False, "worse", 4.0, {"psnr_db": float("nan")}, {}),
)


def refined_face(*, raytraced: bool = False) -> RefinedFace:
    parameters = neutral_parameters(MODEL)
    camera = crop_camera(1, SIZE)[0]
    crop = FaceCrop(
        image_srgb=torch.full((3, SIZE, SIZE), 0.5),
        inside=torch.ones(SIZE, SIZE),
        color=True,
        intrinsics_px=camera,
        landmarks68_px=torch.zeros(68, 2),
        landmarks68_weight=torch.ones(68),
    )
    face = FittedFace(parameters, None, camera)
    brighter = FittedFace(replace(parameters, lighting=1.5 * parameters.lighting), None, camera)
    return RefinedFace(crop, face, brighter, RECORDS, shown() if raytraced else None)


def shown() -> Raytraced:
    flat = np.full((16, 16), 0.04, np.float32)
    appearance = Appearance(
        diffuse_linear=np.tile(np.array([0.5, 0.3, 0.2], np.float32), (16, 16, 1)),
        specular_f0=flat,
        roughness=flat + 0.4,
        normal=np.tile(np.array([0.0, 0.0, 1.0], np.float32), (16, 16, 1)),
        known=flat,
        environment_linear=np.ones((4, 8, 3), np.float32),
        lamps=(),
        tone_sd=0.2,
    )
    picture = torch.full((SIZE, SIZE, 3), 0.8)
    return Raytraced(appearance, picture, torch.ones(SIZE, SIZE), 0.5 * picture)
