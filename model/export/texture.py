"""The texture: unwrapped from the photograph where it saw the head, completed from the mirror side and the model."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from model.export.atlas import Atlas
from model.export.face_result import FaceResult
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals
from model.render.color import linear_to_srgb
from model.render.lighting import shade
from model.render.rasterizer import build_rasterizer

_LARGEST_DEPTH_GAP_MM = 4.0
_GRAZING_COSINE, _FULL_COSINE = 0.2, 0.6
_DEPTH_SIDE_PX = 512


@dataclass(frozen=True)
class Texture:
    """A head's texture.

    Attributes:
        image_srgb: What the photograph shows, light included.
        source: Red: from the photograph; green: from its mirror side; blue: from the model; mixed where blended.
    """

    image_srgb: UInt8[np.ndarray, "size size 3"]
    source: UInt8[np.ndarray, "size size 3"]


def unwrap(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
) -> Texture:
    """Make the texture of a face.

    Args:
        result: The face, in px of the photograph.
        photograph_srgb: The photograph.
        morphable_model: Its head, for the mirror table and the regions.
        atlas: Its texture space.
    """
    mirror = morphable_model.mirror.cpu().numpy()
    normals = vertex_normals(torch.from_numpy(result.vertices_camera_mm)[None], morphable_model.faces.cpu())
    seen = _visibility(result, normals[0].numpy(), photograph_srgb.shape[:2])
    if "mouth_inner" in morphable_model.region_names:
        seen = seen * ~morphable_model.region("mouth_inner").cpu().numpy()
    shading = shade(normals, torch.from_numpy(result.lighting)[None])[0].clamp(min=0.05).numpy()
    model = linear_to_srgb(torch.from_numpy(np.clip(result.albedo_vertex_linear * shading, 0, 1))).numpy()
    here = _sample(photograph_srgb, atlas.sample(result.vertices_image)[:, :2])
    there = _sample(photograph_srgb, atlas.sample(result.vertices_image[mirror])[:, :2])
    here_weight = atlas.sample(seen[:, None])
    there_weight = (1.0 - here_weight) * atlas.sample(seen[mirror][:, None])
    base = _in_the_photographs_tone(atlas.sample(model), here, here_weight)
    weights = np.concatenate((here_weight, there_weight, 1.0 - here_weight - there_weight), axis=1)
    color = here * weights[:, :1] + there * weights[:, 1:2] + base * weights[:, 2:]
    return Texture(_fill(color, atlas), _fill(weights, atlas))


def _visibility(
    result: FaceResult, normals: Float[np.ndarray, "vertex 3"], photograph_shape: tuple[int, int]
) -> Float[np.ndarray, " vertex"]:
    """How well the photograph shows each vertex, [0, 1]: inside it, in front, and not at a grazing angle."""
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
    height, width = photograph_shape
    x, y = result.vertices_image[:, 0], result.vertices_image[:, 1]
    inside = (x > 0.5) & (x < width - 0.5) & (y > 0.5) & (y < height - 0.5)
    unhidden = (front > 0) & (local[:, 2] - front < _LARGEST_DEPTH_GAP_MM)
    return (facing * inside * unhidden).astype(np.float32)


def _sample(
    photograph_srgb: UInt8[np.ndarray, "height width 3"], points_px: Float[np.ndarray, "texel 2"]
) -> Float[np.ndarray, "texel 3"]:
    points = points_px.astype(np.float32) - 0.5
    rows = -(-len(points) // 4096)
    padded = np.zeros((rows * 4096, 2), np.float32)
    padded[: len(points)] = points
    grid = padded.reshape(rows, 4096, 2)
    drawn = cv2.remap(photograph_srgb, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return drawn.reshape(-1, 3)[: len(points)].astype(np.float32) / 255.0


def _in_the_photographs_tone(
    model: Float[np.ndarray, "texel 3"], photograph: Float[np.ndarray, "texel 3"], weight: Float[np.ndarray, "texel 1"]
) -> Float[np.ndarray, "texel 3"]:
    """The model's colours times one gain per channel, so that no step in tone shows where it takes over."""
    sure = weight[:, 0] > 0.8
    if sure.sum() < 100:
        return model
    gain = np.median(photograph[sure] / np.clip(model[sure], 0.05, None), axis=0)
    return np.clip(model * gain, 0.0, 1.0)


def _fill(values: Float[np.ndarray, "texel channel"], atlas: Atlas) -> UInt8[np.ndarray, "size size channel"]:
    """Texels into an image; those beyond the islands repeat the nearest one, against seams when it is sampled."""
    image = np.zeros((*atlas.covered.shape, values.shape[1]), np.uint8)
    image[atlas.covered] = np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        (~atlas.covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labels, np.int64)
    nearest = np.zeros((int(labels.max()) + 1, values.shape[1]), np.uint8)
    nearest[labels[atlas.covered]] = image[atlas.covered]
    return nearest[labels]
