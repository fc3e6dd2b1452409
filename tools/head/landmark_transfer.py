"""Landmarks of the source, carried over to our triangles through the texture, exactly mirror-symmetric."""

import numpy as np
from jaxtyping import Float, Int

from model.face.assets import LandmarkSet
from tools.head.half_mesh import HalfMesh
from tools.head.relax import SampledMesh
from tools.head.texture_lookup import TextureLookup
from tools.statistics.surface import nearest_on_surface


class LandmarkTransfer:
    """Places landmarks on our mesh."""

    def __init__(self, mesh: SampledMesh, half: HalfMesh, source_mirror: Int[np.ndarray, " source"]) -> None:
        """Take our left half, the source's left half, and the source's mirror table."""
        self._mesh, self._half, self._mirror = mesh, half, source_mirror
        self._lookup = TextureLookup(mesh.uv, mesh.uv_faces)
        self._row_of = {int(vertex): row for row, vertex in enumerate(half.source)}

    def place(
        self,
        points_mm: Float[np.ndarray, "landmark 3"],
        corners: Int[np.ndarray, "landmark 3"],
        mirror: Int[np.ndarray, " landmark"],
    ) -> LandmarkSet:
        """Carry a landmark set over.

        Args:
            points_mm: Positions on the source's mean head, symmetric.
            corners: The source's vertices around each.
            mirror: Landmark on the other side.
        """
        face = np.empty(len(points_mm), np.int32)
        barycentric = np.empty((len(points_mm), 3), np.float32)
        for left in np.flatnonzero((points_mm[:, 0] > 0.0) | (mirror == np.arange(len(mirror)))):
            on_middle = mirror[left] == left
            place = self._on_left(points_mm[left], corners[left], on_middle)
            face[left], barycentric[left] = place
            if not on_middle:
                face[mirror[left]] = place[0] + len(self._mesh.faces)
                barycentric[mirror[left]] = place[1][[0, 2, 1]]
        return LandmarkSet(face, barycentric)

    def _on_left(
        self, point_mm: Float[np.ndarray, " 3"], corners: Int[np.ndarray, " 3"], on_middle: bool
    ) -> tuple[int, Float[np.ndarray, " 3"]]:
        rows = [self._row_of.get(int(v), self._row_of.get(int(self._mirror[v]), -1)) for v in corners]
        around = np.flatnonzero(np.isin(self._half.faces, rows).any(1))
        found = nearest_on_surface(point_mm[None], self._half.vertices_mm, self._half.faces, around)
        texture = found.barycentric[0] @ self._half.uv[self._half.uv_faces[found.face[0]]]
        if not on_middle:
            place = self._lookup.locate(texture)
            return place.face, place.weights.astype(np.float32)
        return self._on_middle_edge(texture)

    def _on_middle_edge(self, texture: Float[np.ndarray, " 2"]) -> tuple[int, Float[np.ndarray, " 3"]]:
        """The nearest point of our mid-line, which is a chain of edges in the texture too."""
        best = (np.inf, 0, np.zeros(3, np.float32))
        for face in np.flatnonzero(self._mesh.middle[self._mesh.faces].sum(1) == 2):
            ends = np.flatnonzero(self._mesh.middle[self._mesh.faces[face]])
            start, end = self._mesh.uv[self._mesh.uv_faces[face][ends]]
            along = np.clip((texture - start) @ (end - start) / ((end - start) ** 2).sum(), 0.0, 1.0)
            distance = float(np.linalg.norm(start + along * (end - start) - texture))
            if distance < best[0]:
                weights = np.zeros(3, np.float32)
                weights[ends] = 1.0 - along, along
                best = (distance, int(face), weights)
        return best[1], best[2]
