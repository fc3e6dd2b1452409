"""What all readers of published models have in common: from their arrays to a head in our space and units."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from model.face.assets import HeadAssets, LandmarkSet
from model.face.skinning import Skinning, YawContour

DEVIATIONS_AT_ONE = 3.0
"""A signed component that is measured in standard deviations becomes two blendshapes: three of them one way, three the
other. Weights are in [0, 1] everywhere behind a head file; models of components say that theirs are within 3.
"""

_GREY = 0.4
_STRIP = 0.25
"""Height of what is left of a tile for eyes, teeth and mouth."""
_LANDMARKS = 68


@dataclass(frozen=True)
class ForeignHead:
    """A published model as its files say it is, in our space and units.

    Attributes:
        assets: The head; what its files lack is empty, plain or missing.
        known_points: Vertices of iBUG's points that its files name, by their number from 0, where they are not all.
        lacks: What is to be taken from our own head, by name: `albedo`, `expressions`, `regions`.
        notes: What the user should know about what was read, in whole sentences.
    """

    assets: HeadAssets
    known_points: Mapping[int, int]
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignArrays:
    """A model's arrays in mm, in its own place; what a file does not have keeps its default.

    Attributes:
        vertices_mm: The mean head.
        faces: Triangles, turned either way.
        identity_mm: Displacement per standard deviation.
        expression_mm: Displacement at weight 1.
        expression_names: Their names.
        landmarks: `ibug68` where all 68 are known.
        known_points: Vertices of some of iBUG's points, by number.
        uv: Texture coordinates, v up.
        uv_faces: The triangles' texture vertices.
        albedo_mean: Linear RGB.
        albedo_basis: Linear RGB per standard deviation.
        mirror: Vertex on the other side.
        regions: By our names.
        skinning: Joints.
        contour: The outline by yaw.
        notes: What the user should know.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    identity_mm: Float[np.ndarray, "identity vertex 3"]
    expression_mm: Float[np.ndarray, "expression vertex 3"]
    expression_names: tuple[str, ...]
    landmarks: LandmarkSet | None = None
    known_points: Mapping[int, int] = field(default_factory=dict)
    uv: Float[np.ndarray, "texture 2"] | None = None
    uv_faces: Int[np.ndarray, "face 3"] | None = None
    albedo_mean: Float[np.ndarray, "vertex 3"] | None = None
    albedo_basis: Float[np.ndarray, "albedo vertex 3"] | None = None
    mirror: Int[np.ndarray, " vertex"] | None = None
    regions: Mapping[str, Bool[np.ndarray, " vertex"]] = field(default_factory=dict)
    skinning: Skinning | None = None
    contour: YawContour | None = None
    notes: tuple[str, ...] = ()


def foreign_head(arrays: ForeignArrays) -> ForeignHead:
    """A head of a model's arrays: triangles turned outwards, texture space, mirror table and checks added.

    Raises:
        ValueError: If the arrays disagree, or the axes are not +x to the subject's left, +y up, +z out of the face.
    """
    vertices = arrays.vertices_mm.astype(np.float32)
    inwards = _turned_inwards(vertices, arrays.faces)
    order = [0, 2, 1] if inwards else [0, 1, 2]
    faces = np.ascontiguousarray(arrays.faces[:, order], np.int32)
    uv, uv_faces = arrays.uv, arrays.uv_faces
    if uv is None or uv_faces is None:
        uv, uv_faces = cylinder_uv(vertices, faces)
    else:
        uv_faces = uv_faces[:, order]
    plain = np.full_like(vertices, _GREY)
    landmarks = {} if arrays.landmarks is None else {"ibug68": _turned(arrays.landmarks, order)}
    contour = arrays.contour
    if contour is not None and inwards:
        contour = YawContour(contour.yaw_deg, contour.face, contour.barycentric[..., order])
    assets = HeadAssets(
        vertices_mm=vertices,
        faces=faces,
        uv=np.ascontiguousarray(uv, np.float32),
        uv_faces=np.ascontiguousarray(uv_faces, np.int32),
        identity_basis=arrays.identity_mm.astype(np.float32),
        expression_basis=arrays.expression_mm.astype(np.float32),
        expression_names=arrays.expression_names,
        albedo_mean=plain if arrays.albedo_mean is None else arrays.albedo_mean.astype(np.float32),
        albedo_basis=_none(arrays.albedo_basis, vertices),
        mirror=_mirror(vertices) if arrays.mirror is None else arrays.mirror.astype(np.int32),
        landmarks=landmarks,
        regions=dict(arrays.regions),
        skinning=arrays.skinning,
        contour=contour,
    )
    _check_axes(points68(assets, arrays.known_points))
    lacks = [name for name, there in (("expressions", len(arrays.expression_mm)),) if not there]
    lacks += ["albedo"] if arrays.albedo_mean is None else []
    return ForeignHead(assets, arrays.known_points, tuple(lacks), arrays.notes)


def points68(assets: HeadAssets, known_points: Mapping[int, int]) -> dict[int, np.ndarray]:
    """Where iBUG's points are on the mean head, by number; those that are not known are left out."""
    if "ibug68" in assets.landmarks:
        points = assets.landmarks["ibug68"]
        corners = assets.vertices_mm[assets.faces[points.face]].astype(float)
        return dict(enumerate(np.einsum("pcx,pc->px", corners, points.barycentric)))
    return {number: assets.vertices_mm[vertex].astype(float) for number, vertex in known_points.items()}


def signed_pairs(
    name: str, components_mm: Float[np.ndarray, "component vertex 3"]
) -> tuple[tuple[str, ...], Float[np.ndarray, "blendshape vertex 3"]]:
    """Components per standard deviation as pairs of blendshapes, `name000Plus` and `name000Minus` and so on."""
    names = tuple(f"{name}{k:03d}{sign}" for k in range(len(components_mm)) for sign in ("Plus", "Minus"))
    signs = np.tile((DEVIATIONS_AT_ONE, -DEVIATIONS_AT_ONE), len(components_mm)).astype(np.float32)
    return names, np.repeat(components_mm.astype(np.float32), 2, axis=0) * signs[:, None, None]


def at_vertices(vertices: Int[np.ndarray, " point"], faces: Int[np.ndarray, "face 3"]) -> LandmarkSet:
    """Landmarks at vertices, each in some triangle that has it.

    Raises:
        ValueError: If a vertex has no triangle.
    """
    flat = faces.ravel()
    order = np.argsort(flat, kind="stable")
    place = np.searchsorted(flat[order], vertices)
    found = order[np.minimum(place, len(order) - 1)]
    if (flat[found] != vertices).any():
        raise ValueError(f"landmark at vertex {vertices[flat[found] != vertices][0]}, which no triangle has")
    return LandmarkSet((found // 3).astype(np.int32), np.eye(3, dtype=np.float32)[found % 3])


def cylinder_uv(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """Texture coordinates for a model that has none: round an upright axis, cut at the back of the head."""
    low, high = vertices.min(0), vertices.max(0)
    middle = 0.5 * (low + high)
    # The axis of an open mask lies behind it.
    depth = middle[2] if high[2] - low[2] > 0.8 * (high[0] - low[0]) else low[2]
    around = np.arctan2(vertices[:, 0] - middle[0], vertices[:, 2] - depth) / (2.0 * np.pi) + 0.5
    height = (vertices[:, 1] - low[1]) / max(float(high[1] - low[1]), 1e-9)
    uv = np.stack((around, height), 1)
    corners = uv[faces]
    # A triangle across the cut gets texture vertices of its own, on the side where most of it is.
    across = np.flatnonzero(np.ptp(corners[..., 0], axis=1) > 0.5)
    own = corners[across].copy()
    at_right = own[..., 0] > 0.5
    mostly_right = (at_right.sum(1) >= 2)[:, None]
    own[..., 0] = np.where(at_right == mostly_right, own[..., 0], mostly_right)
    uv_faces = faces.astype(np.int32).copy()
    uv_faces[across] = len(uv) + np.arange(3 * len(across)).reshape(-1, 3)
    # A little away from the borders: a triangle on one would be taken for the next tile's.
    whole = 0.001 + 0.998 * np.concatenate((uv, own.reshape(-1, 2))).clip(0.0, 1.0)
    return whole.astype(np.float32), uv_faces


def in_one_tile(
    uv: Float[np.ndarray, "place 2"], part: Int[np.ndarray, " place"], count: int
) -> Float[np.ndarray, "place 2"]:
    """Texture coordinates of several parts, each in [0, 1], as one tile: part 0, the skin, above, the others below it.

    Tiles of their own are for eyes and teeth whose texture space is that of our own head, which irises and enamel are
    drawn into. Others wear the colours of their vertices, as skin does.
    """
    if count < 2:
        return uv
    width = 1.0 / (count - 1)
    below = (part[:, None] - 1 + 0.02 + 0.96 * uv[:, :1]) * width
    others = np.concatenate((below, (_STRIP - 0.01) * uv[:, 1:]), axis=1)
    return np.where(part[:, None] == 0, uv * (1.0, 1.0 - _STRIP) + (0.0, _STRIP), others)


def _turned_inwards(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> bool:
    a, b, c = vertices[faces].astype(float).swapaxes(0, 1)
    out = (a + b + c) / 3.0 - vertices.mean(0)
    return float((np.cross(b - a, c - a) * out).sum()) < 0.0


def _turned(points: LandmarkSet, order: list[int]) -> LandmarkSet:
    return LandmarkSet(points.face.astype(np.int32), np.ascontiguousarray(points.barycentric[:, order], np.float32))


def _none(basis: np.ndarray | None, vertices: np.ndarray) -> np.ndarray:
    return np.zeros((0, *vertices.shape), np.float32) if basis is None else basis.astype(np.float32)


def _mirror(vertices: Float[np.ndarray, "vertex 3"]) -> Int[np.ndarray, " vertex"]:
    """The nearest vertex on the other side, for models whose files have no table."""
    middle = np.array([0.5 * (vertices[:, 0].min() + vertices[:, 0].max()), 0.0, 0.0])
    centred = vertices - middle
    return np.asarray(KDTree(centred).query(centred * (-1.0, 1.0, 1.0))[1], np.int32)


def _check_axes(points: dict[int, np.ndarray]) -> None:
    """Refuse what is turned: of the eyes' outer corners, the chin or mouth, the nose, each where it must be."""
    right, left = points.get(36), points.get(45)
    if right is None or left is None:
        return
    width = float(np.linalg.norm(left - right))
    if left[0] - right[0] < 0.5 * width:
        raise ValueError("points 36 and 45, corners of the eyes, do not lie along +x: other axes or another order")
    eyes, below, nose = 0.5 * (left + right), points.get(57, points.get(8)), points.get(30)
    if below is not None and below[1] > eyes[1]:
        raise ValueError("the mouth lies above the eyes: other axes, or another order")
    if nose is not None and nose[2] < eyes[2]:
        raise ValueError("the nose lies behind the eyes: other axes, or another order")
    if not 40.0 < width < 200.0:
        raise ValueError(f"the outer corners of the eyes are {width:.3g} mm apart: another unit than the published one")
