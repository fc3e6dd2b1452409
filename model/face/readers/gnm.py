"""Reader of Google's GNM Head v3 (2026, Apache-2.0): `gnm_head.npz` in the schema of google/GNM.

Keys after that repository's `gnm/shape/gnm_data_schema.py`, shapes and the sum of its parts after `gnm_xnp.py` and
`gnm_common.py`, metres after its notebooks, names of vertex groups after `gnm_data_loader.py` and its tests; the 68
points (three vertices and their weights a line) after `gnm_landmarks.py` and `data/landmarks/head_sparse_68.txt`.
"""

import zipfile
from math import radians
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from model.face.assets import LandmarkSet
from model.face.readers.foreign import ForeignArrays, ForeignHead, foreign_head, in_one_tile, signed_pairs
from model.face.skinning import Skinning

MM_PER_M = 1000.0
LANDMARKS = Path("data") / "landmarks" / "head_sparse_68.txt"
"""In the repository, below `gnm/shape`."""

_KEYS = (
    "template_vertex_positions", "template_joint_positions", "vertex_identity_basis", "joint_identity_basis",
    "expression_basis", "identity_names", "joint_names", "expression_names", "joint_parent_indices",
    "skinning_weights", "quads", "triangles", "quad_uvs", "triangle_uvs", "mesh_component_names", "mirror_indices",
    "joint_regressor", "pose_correctives_regressor", "bone_aligned_template_joint_orientations", "vertex_groups",
    "vertex_group_names", "version", "variant",
)  # fmt: skip

_GROUPS = {
    "skin": ("skin",),
    "eyes": ("eyes",),
    "left_eye": ("left_eye",),
    "right_eye": ("right_eye",),
    "teeth": ("upper_teeth_and_gums", "lower_teeth_and_gums"),
    "tongue": ("tongue",),
    "ears": ("ears",),
}
"""Our regions and the vertex groups of the file that they are; a group that is not there is left out."""

_ON_A_GROUP = 0.5


def read_gnm(path: Path, landmarks: Path | None = None) -> ForeignHead:
    """Read GNM Head v3.

    Args:
        path: `gnm_head.npz`, or the folder it lies in.
        landmarks: `head_sparse_68.txt`; by default where the repository has it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is not what it should be; the message names it.
    """
    path = path / "gnm_head.npz" if path.is_dir() else path
    content = _content(path)
    vertices = MM_PER_M * content["template_vertex_positions"].astype(float)
    faces = content["triangles"].astype(np.int32)
    try:
        skinning = _skinning(content)
        joint_shapes = {name: skinning.shape(vertices, turns) for name, turns in _gaze(skinning.names).items()}
        signed = MM_PER_M * content["expression_basis"].astype(np.float32)
        regions = _regions(content)
        uv, uv_faces = _texture_space(content, faces)
    except ValueError as error:
        raise ValueError(f"{path}: not GNM's head: {error}") from error
    pairs, expressions = signed_pairs("", signed)
    own = [str(name) for name in content["expression_names"]]
    # `Plus` and `Minus` behind the file's own names, so that what moves what can still be told.
    names = tuple(f"{own[k // 2]}{pair[3:]}" for k, pair in enumerate(pairs))
    shapes = np.stack(list(joint_shapes.values())) if joint_shapes else np.zeros((0, *vertices.shape))
    points = _landmarks(_landmark_file(path, landmarks), faces, vertices)
    return foreign_head(
        ForeignArrays(
            vertices_mm=vertices,
            faces=faces,
            identity_mm=MM_PER_M * content["vertex_identity_basis"].astype(np.float32),
            expression_mm=np.concatenate((shapes.astype(np.float32), expressions)),
            expression_names=(*joint_shapes, *names),
            landmarks=points,
            uv=uv,
            uv_faces=uv_faces,
            mirror=content["mirror_indices"].astype(np.int32),
            regions=regions,
            skinning=skinning,
            notes=("GNM has no albedo; the neck's and the head's turns are left to the pose of the head.",),
        )
    )


def _content(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected gnm_head.npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise ValueError(f"{path}: not an .npz archive of plain arrays ({error})") from error
    if missing := sorted(set(_KEYS) - set(content)):
        raise ValueError(f"{path}: not GNM's head: {', '.join(missing)} missing")
    if str(content["variant"]) != "head" or not str(content["version"]).startswith("3."):
        raise ValueError(
            f"{path}: {content['variant']} of version {content['version']}, expected the head of version 3"
        )
    return content


def _skinning(content: dict[str, np.ndarray]) -> Skinning:
    names = tuple(str(name) for name in content["joint_names"])
    vertices = content["template_vertex_positions"]
    correctives = content["pose_correctives_regressor"]
    if correctives.shape != (9 * len(names), 3 * len(vertices)):
        raise ValueError(f"pose_correctives_regressor has shape {correctives.shape}")
    parents = content["joint_parent_indices"].astype(np.int64).copy()
    # The root is its own parent.
    parents[parents >= np.arange(len(parents))] = -1
    return Skinning(
        names=names,
        parents=parents,
        joints_mm=MM_PER_M * content["template_joint_positions"].astype(float),
        identity_basis=MM_PER_M * content["joint_identity_basis"].astype(float),
        weights=content["skinning_weights"].astype(float).T,
        correctives=MM_PER_M * correctives.astype(np.float32).reshape(len(correctives), -1, 3),
    )


def _gaze(joints: tuple[str, ...]) -> dict[str, dict[str, tuple[float, float, float]]]:
    shapes: dict[str, dict[str, tuple[float, float, float]]] = {}
    for side, out in (("left", 1.0), ("right", -1.0)):
        joint, name = f"{side}_eye", side.capitalize()
        if joint in joints:
            shapes[f"eyeLookDown{name}"] = {joint: (radians(25.0), 0.0, 0.0)}
            shapes[f"eyeLookUp{name}"] = {joint: (radians(-25.0), 0.0, 0.0)}
            shapes[f"eyeLookOut{name}"] = {joint: (0.0, out * radians(30.0), 0.0)}
            shapes[f"eyeLookIn{name}"] = {joint: (0.0, -out * radians(30.0), 0.0)}
    return shapes


def _regions(content: dict[str, np.ndarray]) -> dict[str, Bool[np.ndarray, " vertex"]]:
    names = [str(name) for name in content["vertex_group_names"]]
    groups = content["vertex_groups"]
    if groups.shape != (len(names), len(content["template_vertex_positions"])):
        raise ValueError(f"vertex_groups has shape {groups.shape} for {len(names)} names")
    regions = {}
    for ours, wanted in _GROUPS.items():
        rows = [names.index(name) for name in wanted if name in names]
        if rows:
            regions[ours] = (groups[rows] > _ON_A_GROUP).any(0)
    return regions


def _texture_space(
    content: dict[str, np.ndarray], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """The file's coordinates by corner; its parts lie over one another there, and beside one another here."""
    corners = content["triangle_uvs"].astype(float).clip(0.0, 1.0)
    if corners.shape != (*faces.shape, 2):
        raise ValueError(f"triangle_uvs has shape {corners.shape} for {len(faces)} triangles")
    names = [str(name) for name in content["vertex_group_names"]]
    components = [str(name) for name in content["mesh_component_names"]]
    others = [name for name in components if name in names and name != "skin"]
    part = np.zeros(len(faces), np.int64)
    for number, name in enumerate(others, start=1):
        inside = content["vertex_groups"][names.index(name)] > _ON_A_GROUP
        part[inside[faces].all(1)] = number
    placed = in_one_tile(corners.reshape(-1, 2), np.repeat(part, 3), 1 + len(others))
    uv, place = np.unique(placed, axis=0, return_inverse=True)
    return uv.astype(np.float32), place.reshape(faces.shape).astype(np.int32)


def _landmark_file(path: Path, given: Path | None) -> Path:
    # In the repository the model lies in data/versions/v3_0.
    found = given or path.resolve().parent.parent.parent.parent / LANDMARKS
    if not found.is_file():
        raise FileNotFoundError(f"{found}: no such file; give --landmarks head_sparse_68.txt of google/GNM")
    return found


def _landmarks(path: Path, faces: Int[np.ndarray, "face 3"], vertices: Float[np.ndarray, "vertex 3"]) -> LandmarkSet:
    """The file's points, each as weights of the corners of the triangle it lies in."""
    try:
        rows = np.loadtxt(path)
    except ValueError as error:
        raise ValueError(f"{path}: not a table of numbers ({error})") from error
    if rows.shape != (68, 6) or rows[:, ::2].min() < 0 or rows[:, ::2].max() >= len(vertices):
        raise ValueError(f"{path}: not 68 lines of three vertices of this model and their weights")
    table = {tuple(sorted(corners)): index for index, corners in enumerate(faces.tolist())}
    face, weights = np.empty(68, np.int32), np.empty((68, 3), np.float32)
    for number, row in enumerate(rows):
        corners, shares = row[::2].astype(int).tolist(), row[1::2] / row[1::2].sum()
        index = table.get(tuple(sorted(corners)))
        if index is None:
            # The three are corners of a quad that was cut the other way: the heaviest alone has a triangle.
            corners, shares = [corners[int(shares.argmax())]] * 3, np.array([1.0, 0.0, 0.0])
            index = int(np.argwhere(faces == corners[0])[0, 0])
        place = faces[index].tolist()
        face[number] = index
        weights[number] = [sum(s for c, s in zip(corners, shares, strict=True) if c == corner) for corner in place]
    points = np.einsum("pcx,pc->px", vertices[faces[face]], weights)
    # The file of July 2026 has five of the right half of the jaw in reversed order.
    order = np.concatenate((np.argsort(-points[:8, 1]), [8], 9 + np.argsort(points[9:17, 1]), np.arange(17, 68)))
    return LandmarkSet(face[order], weights[order])
