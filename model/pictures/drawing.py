"""Small things that the pictures of a refinement share: colours, titles, backgrounds."""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.refine.face import FaceCrop, FittedFace
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer, Rendering

BACKGROUND = 0.93
"""Light grey, sRGB."""

_TITLE_PX = 20


def to_srgb(linear: Float[Tensor, "size size 3"]) -> Float[Tensor, "size size 3"]:
    """A picture as it is shown: what is brighter than white is white."""
    return linear_to_srgb(linear.clamp(0.0, 1.0))


def over_background(
    srgb: Float[Tensor, "size size 3"], mask: Float[Tensor, "size size 1"]
) -> Float[Tensor, "size size 3"]:
    """A picture of a head on light grey."""
    return srgb * mask + BACKGROUND * (1.0 - mask)


def as_bytes(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[0, 1] to 0 to 255."""
    return np.rint(255.0 * values.clamp(0.0, 1.0).cpu().numpy()).astype(np.uint8)


def titled(picture: UInt8[np.ndarray, "size size 3"], title: str) -> UInt8[np.ndarray, "height size 3"]:
    """A picture with its name above it."""
    band = np.full((_TITLE_PX, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(band, title, (4, _TITLE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate((band, picture))


def draw_fitted(face: FittedFace, crop: FaceCrop, morphable_model: MorphableModel) -> Rendering:
    """A fitted face in the window of its crop, its skin within [0, 1]."""
    mesh = face.mesh(morphable_model)
    skin = replace(mesh, albedo_linear=mesh.albedo_linear.clamp(0.0, 1.0))
    lighting, camera = face.parameters.lighting, face.intrinsics_px[None]
    return Renderer(build_rasterizer()).render_mesh(skin, lighting, morphable_model.faces, camera, crop.size_px)
