"""Teeth and eyeballs put into our thinned half: their vertices take the places in the order that the old ones leave.

Vertices and their number stay what they were, so everything that counts them stays valid, the mesh decoder's graph for
one; each new vertex takes the place of an old one nearby. What places are left over go to the gums.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from model.face.assets import LandmarkSet
from tools.head.half_mesh import HalfMesh
from tools.head.piece import Piece, joined
from tools.head.relax import SampledMesh
from tools.statistics.surface import nearest_on_surface


@dataclass(frozen=True)
class RebuiltHalf:
    """Our left half with new pieces.

    Attributes:
        mesh: All of it; its last triangles and texture vertices are those of the pieces.
        thinned_faces: How many triangles come first: those thinned from the source, their texture in its tiles.
        face_of: The triangle that each of the half before became, -1 for those that are gone.
        slots: Vertices of the half that the pieces' are.
        vertices_mm: Where they lie.
    """

    mesh: SampledMesh
    thinned_faces: int
    face_of: Int[np.ndarray, " before"]
    slots: Int[np.ndarray, " piece_vertex"]
    vertices_mm: Float[np.ndarray, "piece_vertex 3"]

    def place(
        self, mean_mm: Float[np.ndarray, "vertex 3"], mirror: Int[np.ndarray, " vertex"]
    ) -> Float[np.ndarray, "vertex 3"]:
        """The mean head with the pieces where they lie, on both sides."""
        placed, own = mean_mm.copy(), self.vertices_mm.astype(np.float32)
        placed[self.slots] = own
        placed[mirror[self.slots]] = own * np.array((-1.0, 1.0, 1.0), np.float32)
        return placed


def rebuilt(
    mesh: SampledMesh,
    half: HalfMesh,
    pieces: dict[int, Piece],
    gone: Bool[np.ndarray, " vertex"],
    gums: Bool[np.ndarray, " vertex"],
) -> RebuiltHalf:
    """Replace parts of the half.

    Args:
        mesh: The half, all of it thinned.
        half: The source's half that it lies on.
        pieces: New pieces, bound to the half, by the number of their tile.
        gone: Vertices of what they replace.
        gums: Vertices that edges may be split between where places are left over.
    """
    kept = ~gone[mesh.faces].any(1)
    face_of = np.where(kept, np.cumsum(kept) - 1, -1)
    shifted = [_in_tile(piece, tile) for tile, piece in pieces.items()]
    new = shifted[0]
    for piece in shifted[1:]:
        new = joined(new, piece)
    free = np.flatnonzero(gone)
    thinned = SampledMesh(mesh.corners, mesh.weights, mesh.middle, mesh.faces[kept], mesh.uv, mesh.uv_faces[kept])
    points = mesh.points(half)
    left_over = max(len(free) - len(new.vertices_mm), 0)
    places, free = _nearest_slots(new.vertices_mm, points, free, len(points))
    corners, weights = _with_rows(mesh.corners, mesh.weights, places, new)
    middle = np.concatenate((mesh.middle, np.zeros(len(corners) - len(mesh.middle), bool)))
    thinned = SampledMesh(corners, weights, middle, thinned.faces, thinned.uv, thinned.uv_faces)
    for slot in free[:left_over].tolist():
        thinned = _split_longest(thinned, half, gums, slot)
        gums = gums | (np.arange(len(gums)) == slot)
    whole = SampledMesh(
        thinned.corners,
        thinned.weights,
        thinned.middle,
        np.concatenate((thinned.faces, places[new.faces])),
        np.concatenate((thinned.uv, new.uv)),
        np.concatenate((thinned.uv_faces, new.uv_faces + len(thinned.uv))),
    )
    return RebuiltHalf(whole, len(thinned.faces), face_of, places, new.vertices_mm)


def _in_tile(piece: Piece, tile: int) -> Piece:
    return Piece(piece.vertices_mm, piece.corners, piece.weights, piece.faces, piece.uv + (tile, 0.0), piece.uv_faces)


def _nearest_slots(
    wanted_mm: Float[np.ndarray, "new 3"],
    points_mm: Float[np.ndarray, "vertex 3"],
    free: Int[np.ndarray, " free"],
    count: int,
) -> tuple[Int[np.ndarray, " new"], Int[np.ndarray, " rest"]]:
    """A free vertex for each new one, near it; new numbers where there are too few. Also those still free."""
    distance = np.linalg.norm(wanted_mm[:, None] - points_mm[free][None], axis=-1)
    rows, columns = linear_sum_assignment(distance)
    places = np.full(len(wanted_mm), -1)
    places[rows] = free[columns]
    missing = places < 0
    places[missing] = count + np.arange(int(missing.sum()))
    return places, np.setdiff1d(free, places)


def _with_rows(
    corners: Int[np.ndarray, "vertex 3"],
    weights: Float[np.ndarray, "vertex 3"],
    places: Int[np.ndarray, " new"],
    new: Piece,
) -> tuple[Int[np.ndarray, "more 3"], Float[np.ndarray, "more 3"]]:
    count = max(len(corners), int(places.max()) + 1)
    more_corners, more_weights = np.zeros((count, 3), corners.dtype), np.zeros((count, 3))
    more_corners[: len(corners)], more_weights[: len(corners)] = corners, weights
    more_corners[places], more_weights[places] = new.corners, new.weights
    return more_corners, more_weights


def _split_longest(mesh: SampledMesh, half: HalfMesh, allowed: Bool[np.ndarray, " vertex"], slot: int) -> SampledMesh:
    """Split the longest edge between allowed vertices in two, with a free vertex in its middle."""
    points = mesh.points(half)
    edges = np.concatenate((mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]))
    textures = np.concatenate((mesh.uv_faces[:, [0, 1]], mesh.uv_faces[:, [1, 2]], mesh.uv_faces[:, [2, 0]]))
    owner = np.tile(np.arange(len(mesh.faces)), 3)
    fits = allowed[edges].all(1) & ~mesh.middle[edges].any(1)
    length = np.where(fits, np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1), 0.0)
    # Not at seams of the texture: both sides must have the edge in one place.
    for edge in np.argsort(-length)[:200]:
        start, end = edges[edge]
        back = np.flatnonzero((edges[:, 0] == end) & (edges[:, 1] == start))
        if len(back) == 1 and (textures[back[0]] == textures[edge][::-1]).all():
            break
    else:
        raise ValueError("no edge of the gums can be split")
    middle_mm = 0.5 * (points[start] + points[end])
    source_faces = np.flatnonzero(np.isin(half.faces, mesh.corners[allowed]).any(1))
    found = nearest_on_surface(middle_mm[None], half.vertices_mm, half.faces, source_faces)
    corners, weights = mesh.corners.copy(), mesh.weights.copy()
    corners[slot], weights[slot] = half.faces[found.face[0]], found.barycentric[0]
    uv = np.concatenate((mesh.uv, 0.5 * mesh.uv[textures[edge]].sum(0)[None]))
    rows, new_rows, new_uv_rows = [owner[edge], owner[back[0]]], [], []
    for face in rows:
        for replaced in (start, end):
            at = mesh.faces[face] == replaced
            new_rows.append(np.where(at, slot, mesh.faces[face]))
            new_uv_rows.append(np.where(at, len(uv) - 1, mesh.uv_faces[face]))
    faces, uv_faces = mesh.faces.copy(), mesh.uv_faces.copy()
    faces[rows], uv_faces[rows] = np.array(new_rows)[[0, 2]], np.array(new_uv_rows)[[0, 2]]
    return SampledMesh(
        corners,
        weights,
        mesh.middle,
        np.concatenate((faces, np.array(new_rows)[[1, 3]])),
        uv,
        np.concatenate((uv_faces, np.array(new_uv_rows)[[1, 3]])),
    )


def carried_landmarks(
    placed: LandmarkSet,
    before: SampledMesh,
    after: RebuiltHalf,
    points_mm: Float[np.ndarray, "landmark 3"],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    mirror: Int[np.ndarray, " landmark"],
) -> LandmarkSet:
    """Landmarks of the half before, on the one after: the same triangles, or the nearest place of the new pieces.

    Args:
        placed: Landmarks on the triangles of the half before and, after those, of its reflection.
        before: That half.
        after: The rebuilt half.
        points_mm: Where the landmarks belong.
        vertices_mm: The left half's vertices.
        mirror: Landmark on the other side.
    """
    half_count, new_count = len(before.faces), len(after.mesh.faces)
    right = placed.face >= half_count
    moved = after.face_of[placed.face % half_count]
    face, barycentric = moved + right * new_count, placed.barycentric.copy()
    pieces = np.arange(after.thinned_faces, new_count)
    for left in np.flatnonzero((moved < 0) & ~right):
        found = nearest_on_surface(points_mm[left][None], vertices_mm, after.mesh.faces, pieces)
        face[left], barycentric[left] = found.face[0], found.barycentric[0]
        face[mirror[left]] = found.face[0] + new_count
        barycentric[mirror[left]] = found.barycentric[0][[0, 2, 1]]
    return LandmarkSet(face.astype(np.int32), barycentric)
