"""What colour the vertices of a fitted head have in its photograph, and how much that can be trusted."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from model.face.assets import HeadAssets
from model.geometry.mesh import vertex_normals
from model.render.color import srgb_to_linear
from model.render.rasterizer import Rasterizer
from tools.statistics.fitting import PointFit
from tools.statistics.photographs import iterate_photographs

_LINEAR = srgb_to_linear(torch.arange(256) / 255.0).numpy().astype(np.float32)
_SATURATED = 252
_DEPTH_OFFSET_MM = 5000.0
_RASTER_SIZE = 224
# Vertices this far behind the visible surface are hidden; pixels of the z-buffer are about 1 mm.
_DEPTH_TOLERANCE_MM = 4.0


@dataclass(frozen=True)
class ColorSamples:
    """Colours of V vertices in N photographs.

    Attributes:
        color_linear: Linear RGB, half precision.
        trust: Visibility times facing, 0 where unseen; half precision.
        normals: Unit normals in camera space, half precision.
        white_level: A bright luminance of the whole photograph (its 98th percentile, linear): how it was exposed.
        row: Which fit each photograph belongs to.
    """

    color_linear: Float[np.ndarray, "photo vertex 3"]
    trust: Float[np.ndarray, "photo vertex"]
    normals: Float[np.ndarray, "photo vertex 3"]
    white_level: Float[np.ndarray, " photo"]
    row: Int[np.ndarray, " photo"]


def sample_colors(
    head: HeadAssets,
    fits: PointFit,
    names: list[str],
    folder: Path,
    domain: Int[np.ndarray, " vertex"],
    rasterizer: Rasterizer,
    batch: int = 32,
) -> ColorSamples:
    """Project the fitted heads into their photographs and read colours where the surface is seen.

    Args:
        head: The head the fits belong to.
        fits: Head and pose of each photograph.
        names: Names of the photographs inside the tars, in the order of the fits.
        folder: Holds the tars.
        domain: Vertices to sample.
        rasterizer: For the z-buffer.
        batch: Photographs per z-buffer batch.

    Returns:
        The samples of all photographs found and decoded.
    """
    wanted = {name: row for row, name in enumerate(names)}
    # Everything but the parts inside the mouth hides what is behind it.
    outer = head.regions["skin"] | head.regions["eyes"]
    faces = torch.from_numpy(head.faces[outer[head.faces].all(1)].astype(np.int64))
    parts: list[ColorSamples] = []
    rows: list[int] = []
    images: list[np.ndarray] = []
    basis = _basis(head)
    for row, image in iterate_photographs(folder, wanted):
        rows.append(row)
        images.append(image)
        if len(rows) == batch:
            parts.append(_sample_batch(head, basis, fits, rows, images, faces, domain, rasterizer))
            rows, images = [], []
    if rows:
        parts.append(_sample_batch(head, basis, fits, rows, images, faces, domain, rasterizer))
    fields = ColorSamples.__dataclass_fields__
    return ColorSamples(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _basis(head: HeadAssets) -> Tensor:
    return torch.from_numpy(
        np.concatenate([head.identity_basis, head.expression_basis]).reshape(-1, head.mirror.size * 3)
    )


def _sample_batch(
    head: HeadAssets,
    basis: Tensor,
    fits: PointFit,
    rows: list[int],
    images: list[UInt8[np.ndarray, "h w 3"]],
    faces: Tensor,
    domain: np.ndarray,
    rasterizer: Rasterizer,
) -> ColorSamples:
    coefficients = torch.cat([fits.identity[rows], fits.expression[rows]], dim=1)
    shape = torch.from_numpy(head.vertices_mm) + (coefficients @ basis).unflatten(1, (-1, 3))
    turned = shape @ fits.rotation[rows].transpose(1, 2)
    normals = vertex_normals(turned, torch.from_numpy(head.faces.astype(np.int64)))[:, domain].numpy()
    image_px = fits.scale[rows, None, None] * turned + fits.shift_px[rows, None]
    height, width = (np.array([image.shape[axis] for image in images]) for axis in (0, 1))
    zoom = torch.from_numpy(_RASTER_SIZE / np.maximum(height, width)).float()[:, None]
    x, y, depth = image_px[..., 0], -image_px[..., 1], _DEPTH_OFFSET_MM - turned[..., 2]
    raster = rasterizer.rasterize(torch.stack([x * zoom, y * zoom, depth], -1), faces, _RASTER_SIZE, _RASTER_SIZE)
    colors, trusts = [], []
    for index, image in enumerate(images):
        x_px, y_px = x[index, domain].numpy(), y[index, domain].numpy()
        inside = (x_px > 1) & (x_px < width[index] - 1) & (y_px > 1) & (y_px < height[index] - 1)
        scale = float(zoom[index])
        column = (x_px * scale).astype(int).clip(0, _RASTER_SIZE - 1)
        line = (y_px * scale).astype(int).clip(0, _RASTER_SIZE - 1)
        front = raster.depth_mm[index].numpy()[line, column]
        facing = normals[index, :, 2]
        # A slanted surface is deeper at one edge of a pixel than at its centre.
        pixel_mm = 1.0 / (scale * float(fits.scale[rows[index]]))
        tolerance = _DEPTH_TOLERANCE_MM + pixel_mm * np.sqrt(1 - facing.clip(0, 1) ** 2) / facing.clip(0.2, 1)
        seen = inside & (front > 0) & (depth[index, domain].numpy() - front < tolerance)
        map_x, map_y = (c[None].astype(np.float32) - 0.5 for c in (x_px, y_px))
        color = cv2.remap(_LINEAR[image], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        nearest = image[y_px.astype(int).clip(0, height[index] - 1), x_px.astype(int).clip(0, width[index] - 1)]
        trust = seen * ((facing - 0.2) / 0.5).clip(0, 1) * np.where(nearest.max(-1) >= _SATURATED, 0.05, 1.0)
        colors.append(color[0])
        trusts.append(trust)
    level = [float(np.percentile(_LINEAR[image] @ (0.2126, 0.7152, 0.0722), 98)) for image in images]
    return ColorSamples(
        np.stack(colors).astype(np.float16),
        np.stack(trusts).astype(np.float16),
        normals.astype(np.float16),
        np.array(level, np.float32),
        np.array(rows),
    )
