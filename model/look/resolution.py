"""How much of a photograph's resolution a texture keeps, and how large it must be to keep it."""

import numpy as np
from jaxtyping import Float

from common.texture_sizes import TEXTURE_SIDES
from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin, triangles_of
from model.look.face_result import FaceResult

_ENOUGH = 0.9
_FACING_COSINE = 0.6


def resolution_kept(result: FaceResult, morphable_model: MorphableModel, side_px: int) -> float:
    """Texels over pixels, by length: the median over the face's skin that the photograph sees well.

    Less than 1 where the photograph is finer than the texture. Each triangle counts by its pixels.

    Args:
        result: The face, in px of the photograph.
        morphable_model: Its head.
        side_px: Side of the texture.
    """
    on_face = triangles_of(morphable_model, facial_skin(morphable_model)).cpu().numpy()
    corners = result.faces[on_face]
    uv = morphable_model.uv.cpu().numpy()[morphable_model.uv_faces.cpu().numpy()[on_face]]
    texels = np.abs(_doubled_area(uv)) * side_px**2
    # Pixel rows go down: what faces the camera has a negative area.
    pixels = -_doubled_area(result.vertices_image[corners][..., :2])
    camera_mm = result.vertices_camera_mm[corners]
    normal = np.cross(camera_mm[:, 1] - camera_mm[:, 0], camera_mm[:, 2] - camera_mm[:, 0])
    towards = -camera_mm.mean(1)
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(towards, axis=1)
    seen = (pixels > 0.0) & ((normal * towards).sum(1) > _FACING_COSINE * lengths)
    if not seen.any():
        return np.inf
    kept = np.sqrt(texels[seen] / pixels[seen])
    order = np.argsort(kept)
    half = np.searchsorted(np.cumsum(pixels[seen][order]), 0.5 * pixels[seen].sum())
    return float(kept[order][half])


def texture_side(result: FaceResult, morphable_model: MorphableModel) -> int:
    """The least of `TEXTURE_SIDES` that keeps nine tenths of the photograph's resolution, else the largest."""
    least = TEXTURE_SIDES[0]
    kept = resolution_kept(result, morphable_model, least)
    return next((side for side in TEXTURE_SIDES if kept * side / least >= _ENOUGH), TEXTURE_SIDES[-1])


def _doubled_area(triangles: Float[np.ndarray, "triangle 3 2"]) -> Float[np.ndarray, " triangle"]:
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
