"""Lips that touch where a face is at rest: the head model leaves a slit of half a millimetre between them.

Upper and lower lip are moved towards each other, each by half of what gapes there, fading out over a few millimetres.
An expression that opens the mouth takes that back, so an open mouth is as it was.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import KDTree

from model.face.morphable_model import MorphableModel
from model.face.regions import any_region
from model.geometry.mesh import vertex_normals

_FACING = 0.3
"""Cosine with up or down from which a place of a lip faces the other."""
_STATIONS, _REACH = 25, 1.2
"""Places across the mouth where the slit is measured, and how far about each, in steps between them."""
_FADE_MM, _LARGEST_MM = 5.0, 4.0
_OPENED_MM = 1.5
"""An expression that opens the slit by this much undoes the closing wholly."""
_PASSES = 3
_FARTHEST = 1e-4
"""What would move by a smaller share stays where it is."""


@dataclass(frozen=True)
class LipSeam:
    """Where a head's lips meet.

    Attributes:
        upper: Vertices of the upper lip that face the lower one.
        lower: Vertices of the lower lip that face the upper one.
        side: -1 for what goes down with the upper lip, 1 for what comes up with the lower, times how far it goes along.
        across: Places of the stations on the mean head's x, mm.
        opened: How far each expression opens the slit at each station, [0, 1].
    """

    upper: Int[np.ndarray, " upper"]
    lower: Int[np.ndarray, " lower"]
    side: Float[np.ndarray, " vertex"]
    across: Float[np.ndarray, " station"]
    opened: Float[np.ndarray, "expression station"]
    _station: Float[np.ndarray, " vertex"]

    @classmethod
    def of(cls, model: MorphableModel) -> "LipSeam | None":
        """Find the seam on the mean head; None for a head without lips or mouth."""
        if not {"lips", "mouth_inner"} <= set(model.region_names):
            return None
        mean = model.mean_mm.cpu().numpy()
        normals = vertex_normals(model.mean_mm[None].cpu(), model.faces.cpu())[0].numpy()
        lips = model.region("lips").cpu().numpy()
        inner = model.landmarks(model.mean_mm[None])[0, 60:68].cpu().numpy()
        height = float(inner[[1, 2, 3, 5, 6, 7], 1].mean())
        half_width = 0.94 * float(np.abs(inner[:, 0]).max())
        across = np.linspace(-half_width, half_width, _STATIONS)
        upper = np.flatnonzero(lips & (normals[:, 1] < -_FACING) & (mean[:, 1] > height - 1.5))
        lower = np.flatnonzero(lips & (normals[:, 1] > _FACING) & (mean[:, 1] < height + 1.5))
        if len(upper) < 8 or len(lower) < 8:
            return None
        station = np.interp(mean[:, 0], across, np.arange(_STATIONS))
        near = np.exp(-((KDTree(mean[np.concatenate((upper, lower))]).query(mean)[0] / _FADE_MM) ** 2))
        moves = (any_region(model, "skin", "mouth_inner")).cpu().numpy()
        moves &= near > _FARTHEST
        side = (_signs(model, upper, lower, moves) * near).astype(np.float32)
        seam = cls(upper, lower, side, across, np.zeros((0, _STATIONS), np.float32), station)
        basis = model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()
        one, other = seam._pairs(mean)
        opened = np.clip((basis[:, one, 1] - basis[:, other, 1]) / _OPENED_MM, 0.0, 1.0)
        return cls(upper, lower, side, across, opened.astype(np.float32), station)

    def _pairs(
        self, vertices_mm: Float[np.ndarray, "vertex 3"]
    ) -> tuple[Int[np.ndarray, " station"], Int[np.ndarray, " station"]]:
        """At each station the vertex of the upper lip that is nearest to the lower one, and that of the lower."""
        distance, nearest = KDTree(vertices_mm[self.lower]).query(vertices_mm[self.upper])
        place = self._station[self.upper]
        first = [
            int(np.argmin(distance + 10.0 * (np.abs(place - number) > _REACH))) for number in range(len(self.across))
        ]
        return self.upper[first], self.lower[np.asarray(nearest)[first]]

    def gaps_mm(self, vertices_mm: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, " station"]:
        """Least height between the lips at each station; negative where they overlap."""
        below = vertices_mm[self.lower]
        surface = LinearNDInterpolator(below[:, [0, 2]], below[:, 1])
        above = vertices_mm[self.upper]
        gap = above[:, 1] - surface(above[:, [0, 2]])
        place = self._station[self.upper]
        known = np.isfinite(gap)
        gaps = np.full(_STATIONS, np.nan)
        for number in range(_STATIONS):
            near = known & (np.abs(place - number) < _REACH)
            if near.any():
                gaps[number] = gap[near].min()
        found = np.isfinite(gaps)
        if not found.any():
            return np.zeros(_STATIONS)
        return np.interp(np.arange(_STATIONS), np.flatnonzero(found), gaps[found])

    def closing_mm(
        self, rest_mm: Float[np.ndarray, "vertex 3"], *, parting: bool = False
    ) -> Float[np.ndarray, "vertex 3"]:
        """Displacement that makes the lips of a head at rest touch; none where they touch already.

        With `parting`, lips that overlap are parted until they touch.
        """
        closing = np.zeros_like(rest_mm)
        for _ in range(_PASSES):
            gaps = np.clip(self.gaps_mm(rest_mm + closing), -_LARGEST_MM if parting else 0.0, _LARGEST_MM)
            closing[:, 1] += 0.5 * np.interp(self._station, np.arange(_STATIONS), gaps) * self.side
        return closing

    def opened_by(self, expression: int) -> Float[np.ndarray, " vertex"]:
        """How far an expression at weight 1 takes back the closing, for each vertex."""
        return np.interp(self._station, np.arange(_STATIONS), self.opened[expression]).astype(np.float32)


def _signs(
    model: MorphableModel,
    upper: Int[np.ndarray, " upper"],
    lower: Int[np.ndarray, " lower"],
    moves: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """-1 for what belongs to the upper lip and 1 for the lower: that from which fewer edges lead to it."""
    faces = model.faces.cpu().numpy().astype(np.int64)
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    edges = edges[moves[edges].all(1)]
    sign = np.zeros(len(moves), np.float32)
    sign[upper], sign[lower] = -1.0, 1.0
    for _ in range(24):
        total, count = np.zeros_like(sign), np.zeros_like(sign)
        for one, two in ((0, 1), (1, 0)):
            np.add.at(total, edges[:, one], sign[edges[:, two]])
            np.add.at(count, edges[:, one], np.abs(sign[edges[:, two]]) > 0)
        new = (sign == 0.0) & (count > 0)
        # Reached from both at once, at the corners of the mouth: it stays where it is.
        sign[new] = np.where(np.abs(total[new]) > 0.5, np.sign(total[new]), 0.0)
    return sign
