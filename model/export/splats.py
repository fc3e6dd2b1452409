"""`splats.ply`: the head as flat 3D Gaussians, which viewers of Gaussian splats open.

The file is that of Kerbl et al., "3D Gaussian splatting for real-time radiance field rendering" (SIGGRAPH 2023): a row
of binary floats for each Gaussian, with colour as spherical harmonics of degree 0, opacity before its logistic, and the
logarithms of the deviations.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from common.atomic import atomic_path
from model.export.mesh_part import MeshPart

SPLATS = 200_000
"""Of a head; they lie a millimetre apart, which is a pixel where a head fills 250 px."""

_SH_DEGREE_0 = 0.28209479177387814
_FLATNESS = 0.1
"""Deviation along the normal over that along the surface."""
_OVERLAP = 0.7
"""Deviation along the surface over the distance of the Gaussians: less leaves holes, more blurs."""
_OPACITY = 0.99
_LEAST_COVER = 0.5
_NAMES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def head_splats(
    parts: Sequence[MeshPart],
    weights: Float[np.ndarray, " expression"],
    textures_srgb: Mapping[str, UInt8[np.ndarray, "_ _ _"]],
    count: int = SPLATS,
) -> Float[np.ndarray, "splat 17"]:
    """Spread Gaussians evenly over the surfaces of a head.

    Args:
        parts: The head's meshes.
        weights: Its expression.
        textures_srgb: The picture of each part, by its name; a fourth channel says where there is something.
        count: How many Gaussians, before those are left out whose picture has nothing at their place.

    Returns:
        A row of the file for each: place in mm in model space, normal, colour, opacity, size, turn as (w, x, y, z).
    """
    posed = [part.posed_mm(weights) for part in parts]
    areas_mm2 = [_areas_mm2(vertices[part.faces]) for part, vertices in zip(parts, posed, strict=True)]
    total_mm2 = sum(float(area.sum()) for area in areas_mm2)
    generator = np.random.default_rng(0)
    rows = []
    for part, vertices, area in zip(parts, posed, areas_mm2, strict=True):
        own = round(count * float(area.sum()) / total_mm2)
        face, share = _spread(area, own, generator)
        corners = part.faces[face]
        at_mm = np.einsum("sc,scx->sx", share, vertices[corners])
        normal = np.einsum("sc,scx->sx", share, part.normals(vertices)[corners])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-6)
        color = _looked_up(textures_srgb[part.name], np.einsum("sc,scu->su", share, part.uv[corners]))
        if color.shape[1] == 4:
            there = color[:, 3] > _LEAST_COVER
            at_mm, normal, color = at_mm[there], normal[there], color[there, :3]
        rows.append(_rows(at_mm, normal, color, math.sqrt(total_mm2 / count)))
    return np.concatenate(rows).astype(np.float32)


def write_splats(splats: Float[np.ndarray, "splat 17"], path: Path) -> None:
    """Write the file.

    Args:
        splats: `head_splats`.
        path: Where to.
    """
    properties = "".join(f"property float {name}\n" for name in _NAMES)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(splats)}\n{properties}end_header\n"
    with atomic_path(path) as temporary:
        temporary.write_bytes(header.encode("ascii") + np.ascontiguousarray(splats, "<f4").tobytes())


def _areas_mm2(triangles_mm: Float[np.ndarray, "face 3 3"]) -> Float[np.ndarray, " face"]:
    first, second = triangles_mm[:, 1] - triangles_mm[:, 0], triangles_mm[:, 2] - triangles_mm[:, 0]
    return 0.5 * np.linalg.norm(np.cross(first, second), axis=1)


def _spread(
    areas: Float[np.ndarray, " face"], count: int, generator: np.random.Generator
) -> tuple[np.ndarray, Float[np.ndarray, "splat 3"]]:
    """Triangles and places in them, even over the surface: one in each of as many equal parts of its area."""
    places = (np.arange(count) + generator.random(count)) / max(count, 1) * areas.sum()
    face = np.searchsorted(np.cumsum(areas), places).clip(max=len(areas) - 1)
    root, other = np.sqrt(generator.random(count)), generator.random(count)
    return face, np.stack((1.0 - root, root * (1.0 - other), root * other), axis=1)


def _looked_up(
    picture: UInt8[np.ndarray, "height width channel"], uv: Float[np.ndarray, "splat 2"]
) -> Float[np.ndarray, "splat channel"]:
    """Colours of the nearest texels: a texel is far smaller than a Gaussian."""
    height, width = picture.shape[:2]
    column = (uv[:, 0] * width).astype(np.int64).clip(0, width - 1)
    row = ((1.0 - uv[:, 1]) * height).astype(np.int64).clip(0, height - 1)
    return picture[row, column].astype(np.float32) / 255.0


def _rows(
    at_mm: Float[np.ndarray, "splat 3"],
    normal: Float[np.ndarray, "splat 3"],
    color_srgb: Float[np.ndarray, "splat 3"],
    spacing_mm: float,
) -> Float[np.ndarray, "splat 17"]:
    along = math.log(_OVERLAP * spacing_mm)
    sizes = np.tile([along, along, along + math.log(_FLATNESS)], (len(at_mm), 1))
    opacity = np.full((len(at_mm), 1), math.log(_OPACITY / (1.0 - _OPACITY)))
    harmonics = (color_srgb - 0.5) / _SH_DEGREE_0
    return np.concatenate((at_mm, normal, harmonics, opacity, sizes, _turn_to(normal)), axis=1)


def _turn_to(normal: Float[np.ndarray, "splat 3"]) -> Float[np.ndarray, "splat 4"]:
    """Quaternions (w, x, y, z) that turn the z axis to the normals by the shortest way."""
    w = 1.0 + normal[:, 2]
    turn = np.stack((w, -normal[:, 1], normal[:, 0], np.zeros(len(normal))), axis=1)
    # Right behind, every way is the shortest.
    turn[w < 1e-6] = (0.0, 1.0, 0.0, 0.0)
    return turn / np.linalg.norm(turn, axis=1, keepdims=True)
