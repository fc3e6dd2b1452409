"""The space a hair shell lives in: rays out of a capsule in the head, by azimuth and height.

Rows of the grid run from the crown downwards: over a hemisphere to the height of the brows, then down a cylinder.
Columns run around the head, from the back over the right side, the front and the left side to the back again. A shell
is one radius for each ray, so it can neither fold nor cross itself, and hair may fall to the shoulders.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from model.face.morphable_model import MorphableModel
from model.face.regions import INSIDE, any_region
from model.render.backends import build_rasterizer

COLUMNS, ROWS, DOME_ROWS = 128, 80, 36
CENTER_MM = np.array([0.0, 12.0, -78.0])
"""Where the hemisphere has its centre and the cylinder its axis, in model space."""
ROW_MM = 6.0
"""Height of a row of the cylinder."""
_FAR_MM = 1000.0
_POLE_ROWS = 2


@dataclass(frozen=True)
class HairGrid:
    """The rays of a head.

    Attributes:
        origin_mm: Where each ray starts, model space.
        direction: Unit vectors.
        azimuth_rad: 0 in front, positive to the subject's left, in [-pi, pi), by column.
        height_mm: Height of the point at 100 mm along the ray, by row.
    """

    origin_mm: Float[np.ndarray, "row column 3"]
    direction: Float[np.ndarray, "row column 3"]
    azimuth_rad: Float[np.ndarray, " column"]
    height_mm: Float[np.ndarray, " row"]

    def points_mm(self, radius_mm: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column 3"]:
        """The points at these distances along the rays."""
        return self.origin_mm + radius_mm[..., None] * self.direction


@cache
def hair_grid(rows: int = ROWS, columns: int = COLUMNS, dome_rows: float = DOME_ROWS) -> HairGrid:
    """The rays at the middles of a grid's cells; other numbers make a finer one of the same space.

    Args:
        rows: From crown to shoulders; the same part of them as by default must be those of the dome.
        columns: Around.
        dome_rows: Rows of the hemisphere.
    """
    azimuth = -np.pi + 2.0 * np.pi * (np.arange(columns) + 0.5) / columns
    row = np.arange(rows) + 0.5
    elevation = np.where(row < dome_rows, 0.5 * np.pi * (1.0 - row / dome_rows), 0.0)
    sunk_mm = np.where(row < dome_rows, 0.0, (row - dome_rows) * ROW_MM * DOME_ROWS / dome_rows)
    flat = np.cos(elevation)[:, None]
    up = np.broadcast_to(np.sin(elevation)[:, None], (rows, columns))
    direction = np.stack((flat * np.sin(azimuth), up, flat * np.cos(azimuth)), axis=-1)
    origin = np.broadcast_to(CENTER_MM, direction.shape) - sunk_mm[:, None, None] * (0.0, 1.0, 0.0)
    height = CENTER_MM[1] - sunk_mm + 100.0 * np.sin(elevation)
    return HairGrid(origin, direction, azimuth, height)


def grid_place(points_mm: Float[np.ndarray, "*point 3"]) -> Float[np.ndarray, "*point 3"]:
    """Column, row (continuous; the first cell's middle is 0.5) and radius in mm of points of model space."""
    offset = points_mm - CENTER_MM
    across = np.hypot(offset[..., 0], offset[..., 2])
    above = offset[..., 1] > 0.0
    radius = np.where(above, np.hypot(across, offset[..., 1]), across)
    elevation = np.arctan2(offset[..., 1], np.maximum(across, 1e-9))
    row = np.where(above, DOME_ROWS * (1.0 - elevation / (0.5 * np.pi)), DOME_ROWS - offset[..., 1] / ROW_MM)
    column = (np.arctan2(offset[..., 0], offset[..., 2]) + np.pi) / (2.0 * np.pi) * COLUMNS
    return np.stack((column, row, radius), axis=-1)


def outer_radius(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
) -> Float[np.ndarray, "row column"]:
    """How far out a head reaches along each ray; 0 where it is not hit.

    Args:
        vertices_mm: The head, model space.
        faces: Those of its triangles that count; none hits nothing.
    """
    if not len(faces):
        return np.zeros((ROWS, COLUMNS))
    place = grid_place(vertices_mm)
    image = np.stack((place[:, 0], place[:, 1], _FAR_MM - place[:, 2]), axis=-1).astype(np.float32)
    corners, triangles = _unrolled(image, faces)
    fragments = build_rasterizer("cpu").rasterize(
        torch.from_numpy(corners)[None], torch.from_numpy(triangles), ROWS, COLUMNS
    )
    depth = fragments.depth_mm[0].numpy().astype(np.float64)
    widest = np.where(depth > 0.0, _FAR_MM - depth, 0.0)
    # The triangles about the pole are torn apart on the way to the grid.
    widest[:_POLE_ROWS] = widest[_POLE_ROWS].max()
    return widest


def _unrolled(
    shape: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "corner 3"], Int[np.ndarray, "piece 3"]]:
    """Triangles of the unrolled grid; those across the seam at the back are there twice, once at each end."""
    corners = shape[faces]
    (a, b, c), rows = corners[..., 0].T, corners[..., 1].T
    torn = np.maximum(np.maximum(a, b), c) - np.minimum(np.minimum(a, b), c) > 0.5 * COLUMNS
    # A triangle beside the pole spans half the grid as well; it is left out.
    wide = torn & (np.minimum(np.minimum(rows[0], rows[1]), rows[2]) > _POLE_ROWS)
    plain = corners[~torn]
    right = corners[wide].copy()
    right[..., 0] += COLUMNS * (right[..., 0] < 0.5 * COLUMNS)
    left = right - np.array([COLUMNS, 0.0, 0.0], np.float32)
    every = np.concatenate((plain, right, left)).astype(np.float32)
    return every.reshape(-1, 3), np.arange(3 * len(every), dtype=np.int32).reshape(-1, 3)


@dataclass(frozen=True)
class ScalpTemplate:
    """Where hair grows on a head of this model, and its skin without what is inside; worked out once for a head model.

    Attributes:
        skin_faces: Triangles of the skin, ears included.
        bare_faces: Triangles of the skin without the ears.
        grows: 1 on rays through the scalp, from the hairline to the nape; 0 elsewhere, soft between.
    """

    skin_faces: Int[np.ndarray, "face 3"]
    bare_faces: Int[np.ndarray, "bare 3"]
    grows: Float[np.ndarray, "row column"]


_NAPE_MM, _NAPE_DEGREES = -72.0, 118.0
"""The head model's scalp ends behind the ears at their height; hair grows on down to the nape."""


def scalp_template(model: MorphableModel) -> ScalpTemplate:
    """The template of a head model.

    Raises:
        ValueError: If the model does not know where its scalp is.
    """
    if "scalp" not in model.region_names:
        raise ValueError("this head model has no region 'scalp', on which hair could grow; use hair=cap or none")
    faces, mean_mm = model.faces.cpu().numpy(), model.mean_mm.cpu().numpy()
    inside = any_region(model, "eyes", *INSIDE).cpu().numpy()
    ears = any_region(model, "ears").cpu().numpy()
    scalp = model.region("scalp").cpu().numpy()
    skin_faces = faces[~inside[faces].any(1)]
    bare_faces = skin_faces[~ears[skin_faces].any(1)]
    grows = _hit(mean_mm, skin_faces[scalp[skin_faces].all(1)])
    grid = hair_grid()
    behind = np.abs(grid.azimuth_rad)[None, :] > np.radians(_NAPE_DEGREES)
    grows |= behind & (grid.height_mm > _NAPE_MM)[:, None]
    grows[:_POLE_ROWS] = True
    return ScalpTemplate(skin_faces, bare_faces, grows.astype(np.float64))


def _hit(
    vertices_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Bool[np.ndarray, "row column"]:
    return outer_radius(vertices_mm, faces) > 0.0
