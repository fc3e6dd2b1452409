"""ICT-FaceKit's light model as it is downloaded: the OBJ files of its folder `FaceXModel` as arrays."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Int

NEUTRAL = "generic_neutral_mesh"
IDENTITY_COUNT = 100
_MOST_NAMED = 8
"""Of the missing files: a folder without the model lacks them all."""


@dataclass(frozen=True)
class ObjMesh:
    """An OBJ file's surface, indices from 0.

    Attributes:
        vertices: Positions in the file's unit; ICT-FaceKit's is cm.
        uv: Texture vertices.
        faces: Quads; -1 pads a triangle.
        uv_faces: Their texture vertices, padded alike.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    uv: Float[np.ndarray, "texture 2"]
    faces: Int[np.ndarray, "face 4"]
    uv_faces: Int[np.ndarray, "face 4"]


def read_obj(path: Path) -> ObjMesh:
    """Read an OBJ file of triangles and quads whose corners are written `vertex/texture`.

    Raises:
        ValueError: If the file has a line that cannot be read so; the message names both.
    """
    axes, rows = {"v": 3, "vt": 2}, {"v": [], "vt": []}
    corners: list[list[list[int]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        kind, *fields = line.split() or [""]
        try:
            if kind in rows:
                rows[kind].append([float(field) for field in fields[: axes[kind]]])
                if len(fields) < axes[kind]:
                    raise ValueError(f"{axes[kind]} coordinates expected")
            elif kind == "f":
                face = [[int(index) - 1 for index in field.split("/")[:2]] for field in fields]
                if len(face) not in (3, 4) or any(len(corner) != 2 or min(corner) < 0 for corner in face):
                    raise ValueError("a face must have 3 or 4 corners, each vertex/texture")
                corners.append((face + [[-1, -1]])[:4])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    vertices, uv = (np.array(rows[kind], float).reshape(-1, count) for kind, count in axes.items())
    table = np.array(corners, np.int32).reshape(-1, 4, 2)
    return ObjMesh(vertices, uv, table[..., 0], table[..., 1])


def pack(folder: Path, identity_count: int = IDENTITY_COUNT) -> dict[str, Any]:
    """The arrays that `model.face.readers.ict.read_ict_facekit` lists, from ICT-FaceKit's folder `FaceXModel`.

    Args:
        folder: Holds OBJ files (neutral, identities from 000, one for each expression) and the list of indices.
        identity_count: How many identity components the model has.

    Raises:
        FileNotFoundError: If files are missing; the message names them.
        ValueError: If a file cannot be read, or its mesh is not the neutral one displaced.
    """
    indices_path = folder / "vertex_indices.json"
    if not indices_path.is_file():
        raise FileNotFoundError(f"{indices_path}: no such file; expected ICT-FaceKit's folder FaceXModel")
    try:
        indices = json.loads(indices_path.read_text(encoding="utf-8"))
        landmarks, listed = indices["idx_to_landmark_verts"], set(indices["expressions"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{indices_path}: not ICT-FaceKit's list of vertices and expressions ({error!r})") from error
    found = {path.stem for path in folder.glob("*.obj")}
    identities = [f"identity{number:03d}" for number in range(identity_count)]
    if missing := sorted({NEUTRAL, *identities, *listed} - found):
        told = ", ".join(f"{name}.obj" for name in missing[:_MOST_NAMED]) + (", ..." if missing[_MOST_NAMED:] else "")
        raise FileNotFoundError(f"{folder}: {len(missing)} files missing: {told}")
    # The list leaves out four that the model has (cheekRaiser and PupilDilate of either side); they are packed too.
    expressions = sorted(name for name in found - {NEUTRAL} if not re.fullmatch(r"identity\d{3}", name))
    neutral = read_obj(folder / f"{NEUTRAL}.obj")
    return {
        "neutral": neutral.vertices.astype(np.float32),
        "faces": neutral.faces,
        "uv": neutral.uv.astype(np.float32),
        "uv_faces": neutral.uv_faces,
        "identity": np.stack([displacement(folder / f"{name}.obj", neutral) for name in identities]),
        "expression": np.stack([displacement(folder / f"{name}.obj", neutral) for name in expressions]),
        "expression_names": np.array(expressions),
        "landmarks68": np.array(landmarks, np.int32),
    }


def displacement(path: Path, neutral: ObjMesh) -> Float16[np.ndarray, "vertex 3"]:
    """How far a file's vertices lie from the neutral ones, in cm; half precision errs by at most 0.01 mm."""
    mesh = read_obj(path)
    if mesh.vertices.shape != neutral.vertices.shape or not np.array_equal(mesh.faces, neutral.faces):
        raise ValueError(f"{path}: not the mesh of {NEUTRAL}.obj; both must come from the same download")
    return (mesh.vertices - neutral.vertices).astype(np.float16)
