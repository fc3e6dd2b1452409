"""Reader of FLAME (Li et al., ACM TOG 2017): the 2020, 2023 and 2023 Open releases of https://flame.is.tue.mpg.de.

The layout is that of the authors' code: keys of the model's pickle and the sum of its parts after
soubhiksanyal/FLAME_PyTorch `flame_pytorch/flame.py`; the 68 points and the outline after the same file,
TimoBolkart/TF_FLAME `data/flame_static_embedding_68.pkl` and DECA's `landmark_embedding.npy`; the texture space and
AlbedoMM's one of FLAME after TF_FLAME `sample_texture.py`, which writes both by OpenCV, so that they are BGR, `vt` with
v up.
"""

import zipfile
from dataclasses import dataclass
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from model.face.assets import LandmarkSet
from model.face.readers.colours import linear_components
from model.face.readers.foreign import ForeignArrays, ForeignHead, foreign_head, signed_pairs
from model.face.readers.safe_pickle import as_array, read_npy_of_objects, read_pickle
from model.face.skinning import Skinning, YawContour

MM_PER_M = 1000.0
SHAPE_COUNT = 300
"""Shape comes first among `shapedirs`, expression behind it."""

JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
"""In the order of `kintree_table`, which has no names."""

_NEEDED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")

JOINT_SHAPES: dict[str, dict[str, tuple[float, float, float]]] = {
    "jawOpen": {"jaw": (radians(26.0), 0.0, 0.0)},
    "jawLeft": {"jaw": (0.0, radians(8.0), 0.0)},
    "jawRight": {"jaw": (0.0, radians(-8.0), 0.0)},
}
"""Turns of the joints that become blendshapes, by ARKit's names. The neck's are the pose of the head and none."""
for _side, _out in (("left", 1.0), ("right", -1.0)):
    _name = _side.capitalize()
    JOINT_SHAPES[f"eyeLookDown{_name}"] = {f"{_side}_eye": (radians(25.0), 0.0, 0.0)}
    JOINT_SHAPES[f"eyeLookUp{_name}"] = {f"{_side}_eye": (radians(-25.0), 0.0, 0.0)}
    JOINT_SHAPES[f"eyeLookOut{_name}"] = {f"{_side}_eye": (0.0, _out * radians(30.0), 0.0)}
    JOINT_SHAPES[f"eyeLookIn{_name}"] = {f"{_side}_eye": (0.0, -_out * radians(30.0), 0.0)}

MASKS = {
    "face": ("face",),
    "lips": ("lips",),
    "nose": ("nose",),
    "scalp": ("scalp",),
    "neck": ("neck",),
    "ears": ("left_ear", "right_ear"),
    "eyes": ("left_eyeball", "right_eyeball"),
}
"""Our regions and those of FLAME_masks.pkl."""


@dataclass(frozen=True)
class FlameFiles:
    """The files of a FLAME download.

    Attributes:
        model: `generic_model.pkl`, `flame2023.pkl`, `flame2023_Open.pkl` or one of the sexes' models.
        landmarks: `landmark_embedding.npy`, `flame_static_embedding_68.pkl` or `flame_static_embedding.pkl`.
        contour: `flame_dynamic_embedding.npy`, beside the last of these.
        texture: `FLAME_texture.npz` or AlbedoMM's `albedoModel2020_FLAME_albedoPart.npz`.
        masks: `FLAME_masks.pkl`.
    """

    model: Path
    landmarks: Path | None = None
    contour: Path | None = None
    texture: Path | None = None
    masks: Path | None = None


def read_flame(files: FlameFiles) -> ForeignHead:
    """Read a FLAME model.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is not what it should be, or the 68 landmarks are nowhere; the message names the file.
    """
    content = read_pickle(files.model)
    if not isinstance(content, dict):
        raise ValueError(f"{files.model}: not a FLAME model")
    if missing := sorted(set(_NEEDED) - set(content)):
        raise ValueError(f"{files.model}: not a FLAME model: {', '.join(missing)} missing")
    try:
        arrays = {name: as_array(content[name], name) for name in _NEEDED}
        vertices, faces = MM_PER_M * arrays["v_template"].astype(float), arrays["f"].astype(np.int32)
        skinning = _skinning(arrays, vertices)
    except ValueError as error:
        raise ValueError(f"{files.model}: not a FLAME model: {error}") from error
    shapes = MM_PER_M * arrays["shapedirs"].astype(np.float32).transpose(2, 0, 1)
    names, expressions = signed_pairs("expression", shapes[SHAPE_COUNT:])
    joint_shapes = np.stack([skinning.shape(vertices, turns) for turns in JOINT_SHAPES.values()])
    points, contour = _landmarks(files)
    albedo = None if files.texture is None else _albedo(files.texture, len(vertices), faces)
    return foreign_head(
        ForeignArrays(
            vertices_mm=vertices,
            faces=faces,
            identity_mm=shapes[:SHAPE_COUNT],
            expression_mm=np.concatenate((joint_shapes.astype(np.float32), expressions)),
            expression_names=(*JOINT_SHAPES, *names),
            landmarks=points,
            uv=None if albedo is None else albedo[2],
            uv_faces=None if albedo is None else albedo[3],
            albedo_mean=None if albedo is None else albedo[0],
            albedo_basis=None if albedo is None else albedo[1],
            regions={} if files.masks is None else _regions(files.masks, vertices),
            skinning=skinning,
            contour=contour,
            notes=_notes(files),
        )
    )


def _skinning(arrays: dict[str, np.ndarray], vertices: Float[np.ndarray, "vertex 3"]) -> Skinning:
    count, joints = len(vertices), len(JOINTS)
    expected = {"posedirs": (count, 3, 9 * (joints - 1)), "J_regressor": (joints, count), "weights": (count, joints)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {shape}")
    if arrays["shapedirs"].shape[:2] != (count, 3) or arrays["shapedirs"].shape[2] <= SHAPE_COUNT:
        raise ValueError(f"shapedirs has shape {arrays['shapedirs'].shape}, expected ({count}, 3, more than 300)")
    # The root's parent is written as the largest number there is.
    parents = arrays["kintree_table"][0].astype(np.int64)
    parents[0] = -1
    shapes = MM_PER_M * arrays["shapedirs"][..., :SHAPE_COUNT].astype(float)
    # Correctives belong to the joints behind the root: the first nine numbers of ours are zero.
    correctives = MM_PER_M * arrays["posedirs"].astype(np.float32).transpose(2, 0, 1)
    return Skinning(
        names=JOINTS,
        parents=parents,
        joints_mm=arrays["J_regressor"].astype(float) @ vertices,
        identity_basis=np.einsum("jv,vxk->kjx", arrays["J_regressor"].astype(float), shapes),
        weights=arrays["weights"].astype(float),
        correctives=np.concatenate((np.zeros((9, count, 3), np.float32), correctives)),
    )


def _landmarks(files: FlameFiles) -> tuple[LandmarkSet, YawContour | None]:
    if files.landmarks is None:
        raise ValueError(
            f"{files.model}: FLAME's model names no landmarks; give --landmarks landmark_embedding.npy (DECA), "
            "flame_static_embedding_68.pkl (TF_FLAME) or flame_static_embedding.pkl with --contour"
        )
    path = files.landmarks
    content = read_npy_of_objects(path) if path.suffix == ".npy" else read_pickle(path)
    try:
        if not isinstance(content, dict):
            raise ValueError("expected a dictionary")
        if "static_lmk_faces_idx" in content:
            static = _points(content, "static_lmk_faces_idx", "static_lmk_bary_coords")
            turning = _points(content, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
        else:
            static, turning = _points(content, "lmk_face_idx", "lmk_b_coords"), None
            if len(static[0]) == 51 and files.contour is not None:
                path = files.contour
                turning = _points(read_npy_of_objects(path), "lmk_face_idx", "lmk_b_coords")
        contour = None if turning is None else _contour(*turning)
        if len(static[0]) == 51 and contour is not None:
            # At rest the outline is that of a head that faces the camera.
            face, weights = contour.nearest(0.0)
            static = np.concatenate((face, static[0])), np.concatenate((weights, static[1]))
        if len(static[0]) != 68:
            raise ValueError(f"{len(static[0])} points, expected 68, or 51 and the outline of --contour")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a landmark embedding of FLAME: {error}") from error
    return LandmarkSet(static[0].astype(np.int32), static[1].astype(np.float32)), contour


def _points(content: Any, faces: str, weights: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(content, dict) or faces not in content or weights not in content:
        raise ValueError(f"{faces} or {weights} missing")
    found = np.asarray(as_array(content[faces], faces)), np.asarray(as_array(content[weights], weights))
    return found[0].astype(np.int64), found[1].astype(float)


def _contour(face: np.ndarray, weights: np.ndarray) -> YawContour:
    """The outline by yaw: rows 0 to 39 are a head turned by as many degrees to one side, 40 to 78 to the other.

    FLAME_PyTorch asks for row `round(-yaw)` where that is not negative, and for row `39 - round(-yaw)` else, with the
    yaw about +y in degrees.
    """
    if face.shape != (79, 17) or weights.shape != (79, 17, 3):
        raise ValueError(f"the outline has shape {face.shape}, expected (79, 17)")
    rows = np.concatenate((np.arange(39, -1, -1), np.arange(40, 79)))
    return YawContour(np.arange(-39.0, 40.0), face[rows].astype(np.int64), weights[rows].astype(float))


def _albedo(
    path: Path, vertex_count: int, faces: Int[np.ndarray, "face 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and basis of the linear albedo at the vertices, and the texture space."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an .npz archive of plain arrays ({error})") from error
    srgb = {"mean", "tex_dir", "vt", "ft"} <= set(content)
    if not srgb and not {"MU", "PC", "vt", "ft"} <= set(content):
        raise ValueError(f"{path}: expected mean, tex_dir, vt and ft (FLAME) or MU, PC, vt and ft (AlbedoMM)")
    mean, basis = (content["mean"], content["tex_dir"]) if srgb else (content["MU"], content["PC"])
    uv, uv_faces = content["vt"].astype(np.float32), content["ft"].astype(np.int32)
    if uv_faces.shape != faces.shape or mean.ndim != 3 or basis.shape[:3] != mean.shape or mean.shape[2] != 3:
        raise ValueError(f"{path}: its pictures or triangles are not those of this model")
    # A vertex at a seam has several places in the picture; any of them shows its colour.
    place = np.zeros(vertex_count, np.int64)
    place[faces.ravel()] = uv_faces.ravel()
    height, width = mean.shape[:2]
    column = np.clip((uv[place, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1.0 - uv[place, 1]) * height).astype(int), 0, height - 1)
    colour, components = mean[row, column][:, ::-1], basis[row, column][:, ::-1].transpose(2, 0, 1)
    if srgb:
        colour, components = linear_components(colour / 255.0, components / 255.0)
    return colour.astype(np.float32), components.astype(np.float32), uv, uv_faces


def _regions(path: Path, vertices: Float[np.ndarray, "vertex 3"]) -> dict[str, Bool[np.ndarray, " vertex"]]:
    content = read_pickle(path)
    needed = {name for names in MASKS.values() for name in names}
    if not isinstance(content, dict) or not needed <= set(content):
        raise ValueError(f"{path}: not FLAME's masks: {', '.join(sorted(needed))} expected")
    regions = {}
    for ours, names in MASKS.items():
        rows = np.concatenate([as_array(content[name], name).astype(int).ravel() for name in names])
        if rows.size and not 0 <= rows.min() <= rows.max() < len(vertices):
            raise ValueError(f"{path}: {', '.join(names)} names vertices that the model does not have")
        regions[ours] = np.zeros(len(vertices), bool)
        regions[ours][rows] = True
    regions["left_eye"] = regions["eyes"] & (vertices[:, 0] > 0.0)
    regions["right_eye"] = regions["eyes"] & (vertices[:, 0] < 0.0)
    regions["skin"] = ~regions["eyes"]
    return regions


def _notes(files: FlameFiles) -> tuple[str, ...]:
    notes = ["The neck's turns are left to the pose of the head; the joints are kept in the file (`skinning`)."]
    if files.masks is None:
        notes.append("Without --masks the regions of the face are carried over from our own head.")
    return tuple(notes)
