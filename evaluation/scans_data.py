"""Scanned heads with pictures of them, and the meshes that somebody answered about these pictures.

A folder holds `heads/HEAD.npz` and `photos/HEAD_YAW.png`. A head file holds in millimetres, +x to the subject's left,
+y up, +z out of the face, the plane x = 0 through the middle of the face:

| key | shape | |
|---|---|---|
| `points` | (N, 3) | points of the scan's face that are scored |
| `landmarks7` | (7, 3) | the landmarks of `evaluation.scan_alignment.NOW_LANDMARKS` |
| `profile` | (P, 3) | the skin in the plane x = 0, from the glabella to below the chin |
| `fit_vertices` | (V, 3) | the head model registered to the scan: the nearest that it can come |
| `fit_identity`, `fit_expression` | (K,), (E,) | the coefficients of that registration |

`cameras.npz` of such a folder is not read: the pictures are taken as `infer.py` takes them.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from evaluation.scan_alignment import NOW_LANDMARKS
from model.face.morphable_model import MorphableModel
from model.geometry.surface_distance import Surface

_HEAD_KEYS = {"points": 3, "landmarks7": 3, "profile": 3, "fit_vertices": 3, "fit_identity": 0, "fit_expression": 0}
"""What is read of a head file, with the width of each array; 0 for one number a row."""

_FACE_KEYS = {"vertices": 3, "vertices_neutral": 3, "landmarks68_model": 3, "faces": 3}
_WHAT_A_FACE_IS = "it must hold vertices, vertices_neutral, faces and landmarks68_model, as infer.py writes them now"


@dataclass(frozen=True)
class ScannedHead:
    """What is known of a head.

    Attributes:
        name: File name without suffix.
        points_mm: Scored points of the scan.
        landmarks7_mm: The benchmark's seven landmarks.
        profile_mm: The skin in the plane x = 0, from above to below.
        fit_vertices_mm: The head model registered to the scan, in the scan's axes.
        fit_identity: Its identity coefficients.
        fit_expression: Its blendshape weights.
    """

    name: str
    points_mm: Float[np.ndarray, "point 3"]
    landmarks7_mm: Float[np.ndarray, "7 3"]
    profile_mm: Float[np.ndarray, "profile 3"]
    fit_vertices_mm: Float[np.ndarray, "vertex 3"]
    fit_identity: Float[np.ndarray, " identity"]
    fit_expression: Float[np.ndarray, " expression"]


@dataclass(frozen=True)
class ScanPicture:
    """A picture of a head.

    Attributes:
        path: The file.
        head: Whom it shows.
    """

    path: Path
    head: ScannedHead

    @property
    def name(self) -> str:
        """File name without suffix, `HEAD_YAW`."""
        return self.path.stem


@dataclass(frozen=True)
class AnsweredHead:
    """A head that is to be measured, posed and neutral in one space or each in its own.

    Attributes:
        posed_mm: Vertices as answered, with expression and offsets.
        posed_landmarks7_mm: The seven landmarks on them.
        neutral_mm: Vertices of the identity alone.
        neutral_landmarks7_mm: The seven landmarks on these.
        faces: Triangles.
        skin: Which of them are skin.
    """

    posed_mm: Float[np.ndarray, "vertex 3"]
    posed_landmarks7_mm: Float[np.ndarray, "7 3"]
    neutral_mm: Float[np.ndarray, "vertex 3"]
    neutral_landmarks7_mm: Float[np.ndarray, "7 3"]
    faces: Int[np.ndarray, "face 3"]
    skin: Bool[np.ndarray, " face"]

    @classmethod
    def of_model(
        cls,
        model: MorphableModel,
        posed_mm: Float[np.ndarray, "vertex 3"],
        neutral_mm: Float[np.ndarray, "vertex 3"],
    ) -> "AnsweredHead":
        """A head in the vertices of a morphable model on the CPU.

        Args:
            model: Knows triangles, landmarks and skin.
            posed_mm: With expression.
            neutral_mm: Without.
        """
        both = torch.from_numpy(np.stack((posed_mm, neutral_mm)).astype(np.float64))
        posed7, neutral7 = model.landmarks(both)[:, list(NOW_LANDMARKS)].numpy()
        return cls(posed_mm, posed7, neutral_mm, neutral7, model.faces.numpy(), named_skin_faces(model))


def named_skin_faces(model: MorphableModel) -> Bool[np.ndarray, " face"]:
    """Triangles of a head that are skin, all of them if it does not name its skin.

    A head's own `skin` has neither eyes, teeth and tongue nor the inside of the mouth in it.
    """
    if "skin" not in model.region_names:
        return np.ones(len(model.faces), bool)
    return np.all(model.region("skin").numpy()[model.faces.numpy()], axis=1)


def read_scans(folder: Path) -> tuple[list[ScannedHead], list[ScanPicture]]:
    """Read the heads and list the pictures of a folder, both by name.

    Raises:
        FileNotFoundError: If the folder, the heads or the pictures are missing, or the head of a picture.
        ValueError: If a head file is damaged, or lacks a key, or an array has the wrong shape.
    """
    for place, what in (
        (folder, "heads/ and photos/"),
        (folder / "heads", "HEAD.npz"),
        (folder / "photos", "pictures"),
    ):
        if not place.is_dir():
            raise FileNotFoundError(f"{place}: no such folder; --data names a folder of scans, which holds {what} here")
    heads = {path.stem: _read_head(path) for path in sorted((folder / "heads").glob("*.npz"))}
    if not heads:
        raise FileNotFoundError(f"{folder / 'heads'}: holds no head file HEAD.npz; --data names a folder of scans")
    pictures = []
    for path in sorted((folder / "photos").glob("*.png"), key=_by_head_and_turn):
        name = path.stem.rpartition("_")[0]
        if name not in heads:
            raise FileNotFoundError(
                f"{folder / 'heads' / f'{name}.npz'}: missing, but photos/{path.name} shows that head; "
                "pictures are named HEAD_YAW.png"
            )
        pictures.append(ScanPicture(path, heads[name]))
    if not pictures:
        raise FileNotFoundError(f"{folder / 'photos'}: holds no picture HEAD_YAW.png; --data names a folder of scans")
    return list(heads.values()), pictures


def _by_head_and_turn(path: Path) -> tuple[str, float, str]:
    name, _, yaw = path.stem.rpartition("_")
    try:
        return name, abs(float(yaw)), path.stem
    except ValueError:
        return name, 0.0, path.stem


def _read_head(path: Path) -> ScannedHead:
    arrays = _read_arrays(path, _HEAD_KEYS, "not a head file of a folder of scans; take the file from its source again")
    if len(arrays["landmarks7"]) != 7:
        raise ValueError(f"{path}: landmarks7 has {len(arrays['landmarks7'])} rows; the benchmark's landmarks are 7")
    if len(arrays["profile"]) < 2 or np.abs(arrays["profile"][:, 0]).max() > 1e-3:
        raise ValueError(f"{path}: profile must hold 2 points or more in the plane x = 0")
    if len(arrays["points"]) < 10:
        raise ValueError(f"{path}: points has {len(arrays['points'])} rows; a scan needs 10 scored points at least")
    return ScannedHead(
        name=path.stem,
        points_mm=arrays["points"],
        landmarks7_mm=arrays["landmarks7"],
        profile_mm=arrays["profile"],
        fit_vertices_mm=arrays["fit_vertices"],
        fit_identity=arrays["fit_identity"],
        fit_expression=arrays["fit_expression"],
    )


def read_prediction(results: Path, picture: ScanPicture, model: MorphableModel) -> AnsweredHead | None:
    """Read what lies in a results folder about a picture: `RESULTS/HEAD_YAW.png/face0/face.npz`.

    Another method's mesh may have any vertices and triangles. Its 68 landmarks are those of `vertices`; they are
    carried over to `vertices_neutral` with the triangles that they lie in. Where the triangles are not the model's own,
    all of them count as skin.

    Args:
        results: Output folder of `infer.py`, or one laid out like it.
        picture: The picture.
        model: The head model, on the CPU, whose skin is known.

    Returns:
        The head, None where the method gave none.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the file lacks a key or its arrays do not fit one another.
    """
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder; --predictions names what infer.py --output wrote")
    path = prediction_path(results, picture)
    if not path.is_file():
        return None
    arrays = _read_arrays(path, _FACE_KEYS, _WHAT_A_FACE_IS)
    posed_mm, neutral_mm, landmarks_mm = (arrays[key] for key in ("vertices", "vertices_neutral", "landmarks68_model"))
    faces = arrays["faces"].astype(np.int64)
    if len(landmarks_mm) != 68 or posed_mm.shape != neutral_mm.shape or not _within(faces, len(posed_mm)):
        raise ValueError(f"{path}: vertices, vertices_neutral, faces and 68 landmarks do not fit one another")
    known = np.array_equal(faces, model.faces.numpy())
    if known and len(posed_mm) == len(model.mean_mm):
        return AnsweredHead.of_model(model, posed_mm, neutral_mm)
    landmarks7_mm = landmarks_mm[list(NOW_LANDMARKS)]
    neutral7_mm = _carried_over(landmarks7_mm, posed_mm, neutral_mm, faces)
    return AnsweredHead(posed_mm, landmarks7_mm, neutral_mm, neutral7_mm, faces, np.ones(len(faces), bool))


def prediction_path(results: Path, picture: ScanPicture) -> Path:
    """Where `infer.py` writes the first face of a picture."""
    return results / picture.path.name / "face0" / "face.npz"


def _within(faces: Int[np.ndarray, "face 3"], count: int) -> bool:
    return bool(faces.size) and int(faces.min()) >= 0 and int(faces.max()) < count


def _carried_over(
    points_mm: Float[np.ndarray, "point 3"],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    others_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
) -> Float[np.ndarray, "point 3"]:
    """Points on a surface, where they lie on the same triangles with other vertices."""
    found = Surface(vertices_mm, faces).nearest(points_mm)
    corners = faces[found.face]
    weights = _barycentric(vertices_mm[corners], found.position_mm)
    return np.einsum("pc,pcx->px", weights, others_mm[corners])


def _barycentric(
    triangles_mm: Float[np.ndarray, "point 3 3"], points_mm: Float[np.ndarray, "point 3"]
) -> Float[np.ndarray, "point 3"]:
    edges = np.stack((triangles_mm[:, 1] - triangles_mm[:, 0], triangles_mm[:, 2] - triangles_mm[:, 0]), axis=2)
    # In the triangle's own plane: least squares, by the pseudo-inverse.
    second = (np.linalg.pinv(edges) @ (points_mm - triangles_mm[:, 0])[..., None])[..., 0]
    return np.concatenate((1.0 - second.sum(1, keepdims=True), second), axis=1)


def _read_arrays(path: Path, widths: dict[str, int], advice: str) -> dict[str, Float[np.ndarray, "..."]]:
    """Named arrays of a file as doubles, of the right number of axes and finite.

    Raises:
        ValueError: Naming the file, what is wrong and what to do.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in widths if key not in file.files]
            if missing:
                raise ValueError(f"{path}: {', '.join(missing)} missing; {advice}")
            arrays = {key: np.asarray(file[key]) for key in widths}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {advice}") from error
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: cannot be read ({error}); {advice}") from error
    for key, width in widths.items():
        shape = arrays[key].shape
        right = len(shape) == 2 and shape[1] == width if width else len(shape) == 1
        if not right or arrays[key].dtype.kind not in "fiu":
            wanted = f"(rows, {width})" if width else "(numbers,)"
            raise ValueError(
                f"{path}: {key} has shape {shape} and type {arrays[key].dtype}; expected {wanted}; {advice}"
            )
        if not np.isfinite(arrays[key]).all():
            raise ValueError(f"{path}: {key} holds values that are not finite; {advice}")
    return {key: array.astype(np.float64) for key, array in arrays.items()}
