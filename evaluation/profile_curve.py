"""The profile: the curve in which the plane x = 0 cuts the skin, and how far nose, lips and chin stand out.

Curves are pieces in that plane: (piece, end, (y, z)), +y up, +z out of the face.

How the four features are found, on a scan and on a mesh by the same rule. Only the front is looked at: for each height,
every quarter of a millimetre, the piece that stands out furthest, if it is no further back than a neck. On it

- the nose's tip is the point that stands out furthest between the eyes and the mouth;
- the slit of the mouth is the point that stands out least at the height of the corners of the mouth, 6 mm up and down;
- the base of the nose is the point furthest behind the straight line from the nose's tip to that slit;
- the upper lip is the point furthest in front of the straight line from the base of the nose to the slit;
- the lower lip and the chin are the two points that a ruler rests on that is laid across the hollow between them: the
  edge of the convex hull of what lies below the slit with the deepest hollow behind it.

The heights of the eyes and of the corners of the mouth are those of the seven landmarks. A feature that a curve does
not have, such as the chin of a face without a hollow above it, is not a number.
"""

from dataclasses import astuple, dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull, QhullError
from trimesh.intersections import mesh_plane

_HEIGHT_STEP_MM = 0.25
_SLIT_WINDOW_MM = 6.0
_CHIN_REACH = 2.5
"""The chin lies no deeper under the slit of the mouth than this many times the way from the nose's base to the slit."""

_BEHIND_MOUTH_MM = 15.0
"""What lies further behind the corners of the mouth is neck, or through an open mouth the back of the head."""

_LEAST_HOLLOW_MM = 0.3
"""Hollows above the chin that are shallower than this are noise or a chin without one."""


@dataclass(frozen=True)
class FeatureDepths:
    """Depths along z or, as the difference of two of them, errors: positive stands too far out. In mm; NaN: not found.

    Attributes:
        nose_mm: The nose's tip.
        upper_lip_mm: The upper lip.
        lower_lip_mm: The lower lip.
        chin_mm: The chin.
    """

    nose_mm: float
    upper_lip_mm: float
    lower_lip_mm: float
    chin_mm: float

    def __sub__(self, truth: "FeatureDepths") -> "FeatureDepths":
        return FeatureDepths(*(ours - true for ours, true in zip(astuple(self), astuple(truth), strict=True)))


def cut_at_middle(
    vertices_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], skin: Bool[np.ndarray, " face"]
) -> Float[np.ndarray, "piece 2 2"]:
    """The curve in which the plane x = 0 cuts the skin.

    Args:
        vertices_mm: A mesh, laid onto the scan.
        faces: Its triangles.
        skin: Those that are skin; what lies inside the mouth and the eyes is no profile.

    Raises:
        ValueError: If the plane meets no skin.
    """
    # The plane is moved off the vertices that lie in it to the last bit: of an edge in the plane, nothing is cut.
    beside = np.array([1e-6, 0.0, 0.0])
    mesh = trimesh.Trimesh(np.asarray(vertices_mm, np.float64), np.asarray(faces)[skin], process=False)
    pieces = np.asarray(mesh_plane(mesh, plane_normal=[1.0, 0.0, 0.0], plane_origin=beside))
    if not len(pieces):
        raise ValueError("the plane x = 0 of the scan does not meet the skin of the head; it lies elsewhere")
    return pieces[:, :, 1:]


def polyline(points_mm: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "piece 2 2"]:
    """The pieces between consecutive points of a curve in the plane x = 0."""
    points_mm = np.asarray(points_mm, np.float64)
    return np.stack((points_mm[:-1, 1:], points_mm[1:, 1:]), axis=1)


def distances_to_curve(
    points_mm: Float[np.ndarray, "point 3"], curve_mm: Float[np.ndarray, "piece 2 2"]
) -> Float[np.ndarray, " point"]:
    """Distances in mm from points in the plane x = 0 to the nearest point of a curve."""
    asked = np.asarray(points_mm, np.float64)[:, None, 1:]
    start, along = curve_mm[None, :, 0], (curve_mm[:, 1] - curve_mm[:, 0])[None]
    length = np.square(along).sum(-1).clip(1e-18)
    share = (((asked - start) * along).sum(-1) / length).clip(0.0, 1.0)
    return np.linalg.norm(asked - start - share[..., None] * along, axis=-1).min(1)


def feature_depths(curve_mm: Float[np.ndarray, "piece 2 2"], landmarks7_mm: Float[np.ndarray, "7 3"]) -> FeatureDepths:
    """How far nose, lips and chin stand out; the module's docstring says how they are found.

    Args:
        curve_mm: A profile curve.
        landmarks7_mm: The seven landmarks of `NOW_LANDMARKS` in the same space.
    """
    eyes_mm, mouth_mm = float(landmarks7_mm[:4, 1].mean()), float(landmarks7_mm[5:, 1].mean())
    front_mm = _front(curve_mm)
    front_mm = front_mm[front_mm[:, 1] > float(landmarks7_mm[5:, 2].mean()) - _BEHIND_MOUTH_MM]
    nose = _between(front_mm, mouth_mm + _SLIT_WINDOW_MM, eyes_mm)
    mouth = _between(front_mm, mouth_mm - _SLIT_WINDOW_MM, mouth_mm + _SLIT_WINDOW_MM)
    if not len(nose) or not len(mouth):
        return FeatureDepths(np.nan, np.nan, np.nan, np.nan)
    tip, slit = nose[nose[:, 1].argmax()], mouth[mouth[:, 1].argmin()]
    nose_to_mouth = _between(front_mm, slit[0], tip[0])
    base = nose_to_mouth[_before_line(nose_to_mouth, slit, tip).argmin()]
    upper_lip = _between(front_mm, slit[0], base[0])
    upper_lip_mm = float(upper_lip[_before_line(upper_lip, slit, base).argmax(), 1]) if len(upper_lip) > 2 else np.nan
    below = _between(front_mm, slit[0] - _CHIN_REACH * (base[0] - slit[0]), slit[0])
    return FeatureDepths(float(tip[1]), upper_lip_mm, *_across_hollow(below))


def _front(curve_mm: Float[np.ndarray, "piece 2 2"]) -> Float[np.ndarray, "height 2"]:
    """(y, z) of what stands out furthest at each height that the curve reaches, from below to above."""
    low, high = curve_mm[..., 0].min(1), curve_mm[..., 0].max(1)
    heights = np.arange(low.min(), high.max(), _HEIGHT_STEP_MM)[:, None]
    rise = curve_mm[:, 1, 0] - curve_mm[:, 0, 0]
    # A level piece is met at its ends by its neighbours.
    share = (heights - curve_mm[:, 0, 0]) / np.where(np.abs(rise) < 1e-12, 1.0, rise)
    depth_mm = curve_mm[:, 0, 1] + share * (curve_mm[:, 1, 1] - curve_mm[:, 0, 1])
    met = (heights >= low) & (heights <= high) & (np.abs(rise) >= 1e-12)
    foremost_mm = np.where(met, depth_mm, -np.inf).max(1)
    found = np.isfinite(foremost_mm)
    return np.column_stack((heights[found, 0], foremost_mm[found]))


def _between(front_mm: Float[np.ndarray, "height 2"], low: float, high: float) -> Float[np.ndarray, "part 2"]:
    return front_mm[(front_mm[:, 0] >= low) & (front_mm[:, 0] <= high)]


def _before_line(
    points_mm: Float[np.ndarray, "point 2"], below: Float[np.ndarray, "2"], above: Float[np.ndarray, "2"]
) -> Float[np.ndarray, " point"]:
    """How far points (y, z) lie in front of the line through two of them."""
    along = (above - below) / np.linalg.norm(above - below).clip(1e-12)
    offset = points_mm - below
    return along[0] * offset[:, 1] - along[1] * offset[:, 0]


def _across_hollow(below_mm: Float[np.ndarray, "height 2"]) -> tuple[float, float]:
    """Depths of lower lip and chin, the ends of the front hull's edge with the deepest hollow behind it."""
    try:
        corners = np.sort(ConvexHull(below_mm).vertices)
    except (QhullError, ValueError):
        return np.nan, np.nan
    # Only the front of the hull: its corners that lie before the line from its lowest to its highest point.
    ahead = _before_line(below_mm[corners], below_mm[0], below_mm[-1]) >= -1e-9
    corners = corners[ahead]
    edges = [
        (-_before_line(below_mm[low : high + 1], below_mm[low], below_mm[high]).min(), low, high)
        for low, high in zip(corners[:-1], corners[1:], strict=True)
    ]
    hollow_mm, chin, lip = max(edges, default=(0.0, 0, 0))
    if hollow_mm < _LEAST_HOLLOW_MM:
        return np.nan, np.nan
    return float(below_mm[lip, 1]), float(below_mm[chin, 1])
