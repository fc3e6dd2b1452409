"""`mesh.obj` and `mesh.mtl`: the head in mm with its own vertex order, textured."""

from pathlib import Path

import numpy as np
import torch

from common.atomic import atomic_path
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals
from model.look.face_result import FaceResult

_MATERIAL = "newmtl head\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nmap_Kd texture.png\n"


def write_obj(result: FaceResult, morphable_model: MorphableModel, folder: Path) -> None:
    """Write both files into a folder; the texture is expected beside them as `texture.png`."""
    normals = vertex_normals(torch.from_numpy(result.vertices_mm)[None], morphable_model.faces.cpu())[0].numpy()
    uv = morphable_model.uv.cpu().numpy()
    corners = np.stack((result.faces, morphable_model.uv_faces.cpu().numpy(), result.faces), axis=-1) + 1
    parts = [
        "# Likeness: millimetres, +x to the subject's left, +y up, +z out of the face\nmtllib mesh.mtl\nusemtl head\n",
        _lines("v", result.vertices_mm, "%.4f"),
        _lines("vt", uv, "%.6f"),
        _lines("vn", normals, "%.4f"),
        _lines("f", corners.reshape(-1, 9), "%d/%d/%d %d/%d/%d %d/%d/%d", per_row=1),
    ]
    with atomic_path(folder / "mesh.mtl") as temporary:
        temporary.write_text(_MATERIAL, encoding="utf-8")
    with atomic_path(folder / "mesh.obj") as temporary:
        temporary.write_text("".join(parts), encoding="utf-8")


def _lines(keyword: str, rows: np.ndarray, number: str, per_row: int | None = None) -> str:
    """One formatting of the whole array: a hundred times as fast as one per row."""
    pattern = " ".join([keyword] + [number] * (per_row or rows.shape[1])) + "\n"
    return (pattern * len(rows)) % tuple(rows.ravel().tolist())
