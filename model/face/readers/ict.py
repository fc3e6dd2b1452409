"""ICT-FaceKit's light morphable model (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020).

MIT licence; https://github.com/USC-ICT/ICT-FaceKit. Read from one `.npz` with the keys listed at `read_ict_facekit`.
"""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from model.face.assets import HeadAssets, LandmarkSet
from model.face.readers.ict_folder import pack

PARTS: dict[str, tuple[int, int]] = {
    "face": (0, 9409),
    "head": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "eye_sockets": (13294, 14062),
    "gums": (14062, 17039),
    "teeth": (17039, 21451),
    "left_eye_outer": (21451, 22221),
    "left_eye_inner": (22221, 23021),
    "right_eye_outer": (23021, 23791),
    "right_eye_inner": (23791, 24591),
}
"""Vertex ranges; what follows (lacrimal fluid, eye blend, occlusion, lashes) is transparent card and is left out."""

ORIGIN_MM = np.array([0.0, 36.158, 84.411])
"""Our origin in the source's space: the mean of its eyeballs' vertices, 5 mm before the middle of their centres."""

_KEYS = ("neutral", "faces", "uv", "uv_faces", "identity", "expression", "expression_names", "landmarks68")
MM_PER_CM = 10.0
_EYEBALL_TILE = 4.0
"""The source lays its eyeballs over the face's own tile of the texture; here they get one of their own."""
_MERGED = ("browInnerUp", "cheekPuff")
_NOT_ARKIT = ("PupilDilate", "cheekRaiser")
_MIRRORED_TOGETHER = (
    ("face", "head", "mouth_socket", "eye_sockets"),
    ("gums",),
    ("teeth",),
    ("left_eye_outer", "right_eye_outer"),
    ("left_eye_inner", "right_eye_inner"),
)


def read_ict_facekit(path: Path) -> HeadAssets:
    """Read the model with its own topology.

    Args:
        path: The folder `FaceXModel` of the download, or `.npz` with `neutral` (V,3) cm, `faces` and `uv_faces` (F,4)
            quads (-1 pads a triangle), `uv` (T,2),
            `identity` (100,V,3) cm per standard deviation, `expression` (E,V,3) cm at weight 1, `expression_names`
            (ARKit's with _L and _R), `landmarks68` (68,) vertex indices.

    Returns:
        The head in our space and units. `uv` keeps the source's tiles, u counts up to 5. Albedo is plain grey without
        components. Expressions are ARKit's 52, `tongueOut` (which the source lacks) last and zero. `regions` are the
        source's parts. `ibug68` is the source's own; `mediapipe478` is missing.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not such a file; the message names what is missing.
    """
    arrays = pack(path) if path.is_dir() else _packed(path)
    if missing := sorted(set(_KEYS) - set(arrays)):
        raise ValueError(f"{path}: not ICT-FaceKit's light model: {', '.join(missing)} missing")
    count = max(end for _, end in PARTS.values())
    if len(arrays["neutral"]) < count:
        raise ValueError(f"{path}: {len(arrays['neutral'])} vertices, ICT-FaceKit's light model has at least {count}")
    return _assets(arrays, count)


def _packed(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected ICT-FaceKit's light model as .npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in _KEYS if name in archive.files}
    except (ValueError, zipfile.BadZipFile, EOFError, TypeError) as error:
        raise ValueError(f"{path}: not an .npz archive of plain arrays ({error})") from error


def _assets(arrays: dict[str, np.ndarray], count: int) -> HeadAssets:
    vertices = (MM_PER_CM * arrays["neutral"][:count].astype(np.float64) - ORIGIN_MM).astype(np.float32)
    kept = arrays["faces"][:, :3].max(1) < count
    faces = _triangles(arrays["faces"][kept], arrays["faces"][kept])
    uv_faces = _triangles(arrays["uv_faces"][kept], arrays["faces"][kept])
    uv = arrays["uv"].astype(np.float32)
    eyeballs = faces[:, 0] >= PARTS["left_eye_outer"][0]
    uv[np.unique(uv_faces[eyeballs])] += (_EYEBALL_TILE, 0.0)
    names, expressions = _arkit(arrays["expression_names"], arrays["expression"][:, :count])
    regions = {name: _range_mask(count, *bounds) for name, bounds in PARTS.items()}
    return HeadAssets(
        vertices_mm=vertices,
        faces=faces,
        uv=uv,
        uv_faces=uv_faces,
        identity_basis=MM_PER_CM * arrays["identity"][:, :count].astype(np.float32),
        expression_basis=expressions,
        expression_names=names,
        albedo_mean=np.full((count, 3), 0.4, np.float32),
        albedo_basis=np.zeros((0, count, 3), np.float32),
        mirror=_mirror(vertices),
        landmarks={"ibug68": _at_vertices(arrays["landmarks68"], faces)},
        regions=regions,
    )


def _range_mask(count: int, start: int, end: int) -> np.ndarray:
    index = np.arange(count)
    return (index >= start) & (index < end)


def _triangles(quads: np.ndarray, quads_of_vertices: np.ndarray) -> Int[np.ndarray, "face 3"]:
    # Quads are cut by their first corner in both tables alike, so that texture triangles match.
    whole = quads_of_vertices[:, 3] >= 0
    return np.concatenate([quads[:, :3], quads[whole][:, [0, 2, 3]]]).astype(np.int32)


def _arkit(
    source_names: np.ndarray, source: Float[np.ndarray, "source vertex 3"]
) -> tuple[tuple[str, ...], Float[np.ndarray, "52 vertex 3"]]:
    """The source splits two of ARKit's shapes by side and has a few that ARKit lacks."""
    groups: dict[str, list[int]] = {}
    for row, source_name in enumerate(source_names):
        if source_name.startswith(_NOT_ARKIT):
            continue
        merged = next((name for name in _MERGED if source_name.startswith(name)), None)
        name = merged or source_name.replace("_L", "Left").replace("_R", "Right")
        groups.setdefault(name, []).append(row)
    shapes = [MM_PER_CM * source[rows].astype(np.float32).sum(0) for rows in groups.values()]
    return (*groups, "tongueOut"), np.stack([*shapes, np.zeros_like(shapes[0])])


def _mirror(vertices: Float[np.ndarray, "vertex 3"]) -> Int[np.ndarray, " vertex"]:
    """Nearest vertex on the other side, within parts that belong together."""
    mirror = np.arange(len(vertices))
    for parts in _MIRRORED_TOGETHER:
        rows = np.concatenate([np.arange(*PARTS[part]) for part in parts])
        mirror[rows] = rows[KDTree(vertices[rows]).query(vertices[rows] * (-1.0, 1.0, 1.0))[1]]
    return mirror.astype(np.int32)


def _at_vertices(vertices: Int[np.ndarray, " landmark"], faces: Int[np.ndarray, "face 3"]) -> LandmarkSet:
    face, barycentric = np.empty(len(vertices), np.int32), np.zeros((len(vertices), 3), np.float32)
    for row, vertex in enumerate(vertices):
        face[row], corner = np.argwhere(faces == vertex)[0]
        barycentric[row, corner] = 1.0
    return LandmarkSet(face, barycentric)
