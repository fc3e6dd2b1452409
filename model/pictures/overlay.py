"""The photograph, the geometry over it, and the textured head from three sides: `overlay.jpg`."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from model.geometry.camera import crop_intrinsics, project
from model.geometry.rotation import rotation_from_euler
from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.hair_mesh import COVER_CUTOFF, HairMesh
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.lighting import neutral_lighting
from model.render.renderer import Renderer

_TILE_PX, _SUPERSAMPLE = 300, 2
_YAWS_DEGREES = (0.0, 40.0, 80.0)
_DISTANCE_MM, _VIEW_MM = 1200.0, 350.0
_BACKGROUND = 0.93
_BEYOND_PHOTOGRAPH = (237, 237, 237)


def draw_overlay(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    textures_srgb: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    atlases: Sequence[Atlas],
    hair: HairMesh | None = None,
) -> UInt8[np.ndarray, "tile across 3"]:
    """Draw the five pictures side by side; each part of the head wears the texture of its name, and hair its own."""
    tiles = [*_on_photograph(result, photograph_srgb)]
    tiles += [_turned(result, textures_srgb, atlases, hair, yaw) for yaw in _YAWS_DEGREES]
    return np.concatenate(tiles, axis=1)


def _on_photograph(
    result: FaceResult, photograph_srgb: UInt8[np.ndarray, "height width 3"]
) -> tuple[UInt8[np.ndarray, "tile tile 3"], UInt8[np.ndarray, "tile tile 3"]]:
    """The photograph about the face, without and with the geometry and the landmarks."""
    lowest, highest = result.landmarks68_px.min(0), result.landmarks68_px.max(0)
    side = 2.0 * float((highest - lowest).max())
    left, top = 0.5 * (lowest + highest) - 0.5 * side
    scale = _TILE_PX / side
    matrix = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
    matrix[:, 2] += 0.5 * scale - 0.5
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(photograph_srgb, matrix, (_TILE_PX, _TILE_PX), flags=how, borderValue=_BEYOND_PHOTOGRAPH)
    size = _TILE_PX * _SUPERSAMPLE
    intrinsics = crop_intrinsics(torch.from_numpy(result.intrinsics_px), float(left), float(top), scale * _SUPERSAMPLE)
    vertices = torch.from_numpy(result.vertices_camera_mm)[None]
    grey = torch.full_like(vertices, 0.55)
    light = neutral_lighting(1) * 0.35
    light[:, 2] += 0.45
    light[:, 1] += 0.12
    drawn = Renderer(build_rasterizer("cpu")).render(
        vertices, grey, light, torch.from_numpy(result.faces), intrinsics[None].float(), size, size
    )
    shape = _reduce(linear_to_srgb(drawn.image_linear[0].clamp(0, 1)))
    alpha = 0.85 * _reduce(drawn.mask[0, ..., None])
    mixed = np.ascontiguousarray(np.rint(crop * (1.0 - alpha) + 255.0 * shape * alpha).astype(np.uint8))
    for x, y in (result.landmarks68_px - (left, top)) * scale:
        cv2.circle(mixed, (round(float(x)), round(float(y))), 2, (60, 200, 90), -1, cv2.LINE_AA)
    return crop, mixed


def _turned(
    result: FaceResult,
    textures_srgb: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    atlases: Sequence[Atlas],
    hair: HairMesh | None,
    yaw_degrees: float,
) -> UInt8[np.ndarray, "tile tile 3"]:
    """The textured head, turned about its middle."""
    size = _TILE_PX * _SUPERSAMPLE
    vertices = _seen_from(result.vertices_mm, yaw_degrees)
    starts = np.cumsum([0, *(len(atlas.uv) for atlas in atlases)])
    image = vertices[:, torch.from_numpy(np.concatenate([a.vertex for a in atlases]))]
    faces = torch.from_numpy(np.concatenate([a.faces + start for a, start in zip(atlases, starts, strict=False)]))
    rasterizer = build_rasterizer("cpu")
    fragments = rasterizer.rasterize(image, faces.int(), size, size)
    uv = torch.from_numpy(np.concatenate([atlas.uv for atlas in atlases]))
    uv = rasterizer.interpolate(uv[None], fragments, faces.int())[0].numpy()
    face_index, first = fragments.face_index[0].numpy(), 0
    picture = np.full((size, size, 3), _BACKGROUND, np.float32)
    for atlas in atlases:
        shown = (face_index >= first) & (face_index < first + len(atlas.faces))
        picture[shown] = _texels(textures_srgb[atlas.part], uv, shown) / 255.0
        first += len(atlas.faces)
    if hair is not None:
        _draw_hair(picture, fragments.depth_mm[0].numpy(), hair, yaw_degrees)
    return np.rint(255.0 * _reduce(torch.from_numpy(picture))).astype(np.uint8)


def _seen_from(vertices_mm: Float[np.ndarray, "vertex 3"], yaw_degrees: float) -> Float[Tensor, "1 vertex 3"]:
    """Places in a supersampled tile, and depths, of points of a head that is turned."""
    size = _TILE_PX * _SUPERSAMPLE
    rotation = rotation_from_euler(torch.tensor([math.radians(yaw_degrees), 0.0, 0.0]))
    centre = torch.tensor([0.0, -58.0, -65.0])
    vertices = (torch.from_numpy(vertices_mm) - centre) @ rotation.T - torch.tensor([0.0, 0.0, _DISTANCE_MM])
    focal_px = size * _DISTANCE_MM / _VIEW_MM
    intrinsics = torch.tensor([[focal_px, 0.0, 0.5 * size], [0.0, focal_px, 0.5 * size], [0.0, 0.0, 1.0]])
    return project(vertices[None], intrinsics[None])


def _draw_hair(
    picture: Float[np.ndarray, "side side 3"],
    depth_mm: Float[np.ndarray, "side side"],
    hair: HairMesh,
    yaw_degrees: float,
) -> None:
    """Draw hair into a picture of the head: its far side first, which is seen where the near one is cut out."""
    size, texture, rasterizer = len(picture), hair.texture, build_rasterizer("cpu")
    image = _seen_from(hair.vertices_mm, yaw_degrees)
    corners = image[0, :, :2].numpy()[hair.faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # What is counter-clockwise seen from outside has a negative area where y goes down.
    near = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0.0
    for side in (~near, near):
        faces = torch.from_numpy(hair.faces[side])
        if not len(faces):
            continue
        fragments = rasterizer.rasterize(image, faces, size, size)
        uv = rasterizer.interpolate(torch.from_numpy(hair.uv)[None], fragments, faces)[0].numpy()
        depth = fragments.depth_mm[0].numpy()
        shown = (depth > 0.0) & ((depth_mm <= 0.0) | (depth < depth_mm))
        shown[shown] = _texels(texture.cover, uv, shown) > 255 * COVER_CUTOFF
        picture[shown] = _texels(texture.image_srgb, uv, shown) / 255.0
        depth_mm = np.where(shown, depth, depth_mm)


def _texels(
    texture: UInt8[np.ndarray, "rows columns *channel"],
    uv: Float[np.ndarray, "side side 2"],
    shown: Bool[np.ndarray, "side side"],
) -> UInt8[np.ndarray, "pixel *channel"]:
    """A texture in the pixels that show it, row by row; only the part of the picture about them is drawn."""
    if not shown.any():
        return np.zeros((0, *texture.shape[2:]), np.uint8)
    rows, columns = (np.flatnonzero(shown.any(axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = texture.shape[:2]
    texels = (uv[part] * (width, -height) + (0, height) - 0.5).astype(np.float32)
    drawn = cv2.remap(texture, texels[..., 0], texels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return drawn[shown[part]]


def _reduce(image: Float[Tensor, "height width channel"]) -> Float[np.ndarray, "tile tile channel"]:
    """Average the supersampled pixels."""
    blocks = image.unflatten(1, (_TILE_PX, _SUPERSAMPLE)).unflatten(0, (_TILE_PX, _SUPERSAMPLE))
    return blocks.mean(dim=(1, 3)).numpy()
