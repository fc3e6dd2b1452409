"""How well a photograph shows each vertex of a head."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from model.look.face_result import FaceResult
from model.render.backends import build_rasterizer

_LARGEST_DEPTH_GAP_MM, _LARGEST_GAP_BEHIND_MM = 4.0, 0.8
"""Farther behind what its pixel shows a vertex is hidden; the second is for what lies close behind others."""

_GRAZING_COSINE, _FULL_COSINE = 0.2, 0.6
_DEPTH_SIDE_PX = 512
_SILHOUETTE_MM, _INNER_MM = 5.0, 12.0
"""Nearer to the outline than the first is believed to be background, for no fit is exact; the second is safe."""


def visibility(
    result: FaceResult,
    normals: Float[np.ndarray, "vertex 3"],
    photograph_shape: tuple[int, int],
    behind: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """Weights in [0, 1]: inside the photograph, in front, off the outline, and not at a grazing angle.

    Args:
        result: The face, in px of the photograph.
        normals: Unit vertex normals in camera space.
        photograph_shape: Height and width.
        behind: Vertices that lie close behind others: eyeballs behind lids, teeth and gums behind lips.
    """
    lowest, highest = result.vertices_image[:, :2].min(0), result.vertices_image[:, :2].max(0)
    scale = _DEPTH_SIDE_PX / max(float((highest - lowest).max()), 1.0)
    local = result.vertices_image.copy()
    local[:, :2] = (local[:, :2] - lowest) * scale
    fragments = build_rasterizer("cpu").rasterize(
        torch.from_numpy(local)[None], torch.from_numpy(result.faces), _DEPTH_SIDE_PX, _DEPTH_SIDE_PX
    )
    depth = fragments.depth_mm[0].numpy()
    column, row = np.clip(local[:, :2].astype(int), 0, _DEPTH_SIDE_PX - 1).T
    front = depth[row, column]
    towards = -result.vertices_camera_mm / np.linalg.norm(result.vertices_camera_mm, axis=1, keepdims=True)
    cosine = (normals * towards).sum(1)
    facing = np.clip((cosine - _GRAZING_COSINE) / (_FULL_COSINE - _GRAZING_COSINE), 0.0, 1.0)
    mm_per_px = float(np.median(result.vertices_image[:, 2])) / (float(result.intrinsics_px[0, 0]) * scale)
    covered = np.pad((depth > 0).astype(np.uint8), 1)
    outline_mm = cv2.distanceTransform(covered, cv2.DIST_L2, 5)[1:-1, 1:-1][row, column] * mm_per_px
    facing *= np.clip((outline_mm - _SILHOUETTE_MM) / (_INNER_MM - _SILHOUETTE_MM), 0.0, 1.0)
    height, width = photograph_shape
    x, y = result.vertices_image[:, 0], result.vertices_image[:, 1]
    inside = (x > 0.5) & (x < width - 0.5) & (y > 0.5) & (y < height - 0.5)
    unhidden = (front > 0) & (local[:, 2] - front < np.where(behind, _LARGEST_GAP_BEHIND_MM, _LARGEST_DEPTH_GAP_MM))
    return (facing * inside * unhidden).astype(np.float32)
