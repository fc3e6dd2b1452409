"""`mesh.obj` and `mesh.mtl`: the head in mm, one object and one material for each part."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from model.export.glb_material import HairMaterial
from model.export.mesh_part import MeshPart
from model.look.face_result import FaceResult

_CUT_OUT = "map_d {texture}\n"
"""Of a texture whose fourth channel says where there is something."""
_MATERIAL = "newmtl {name}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nmap_Kd {texture}\n"


def write_obj(result: FaceResult, parts: Sequence[MeshPart], texture_names: Mapping[str, str], folder: Path) -> None:
    """Write both files into a folder.

    Args:
        result: The face, for its expression.
        parts: Its meshes.
        texture_names: Name of the picture of each part, which is expected in the folder.
        folder: Where to.
    """
    lines = ["# Likeness: millimetres, +x to the subject's left, +y up, +z out of the face\nmtllib mesh.mtl\n"]
    vertices = texture_vertices = 0
    for part in parts:
        posed = part.posed_mm(result.expression)
        # An OBJ file's corners name place and texture apart: no vertex has to be split.
        first, whole = part.whole
        places, textures = 1 + vertices + whole[part.faces], 1 + texture_vertices + part.faces
        corners = np.stack((places, textures, places), axis=-1)
        lines += [
            f"o {part.name}\nusemtl {part.name}\n",
            _lines("v", posed[first], "%.4f"),
            _lines("vt", part.uv, "%.6f"),
            _lines("vn", part.normals(posed)[first], "%.4f"),
            _lines("f", corners.reshape(-1, 9), "%d/%d/%d %d/%d/%d %d/%d/%d", per_row=1),
        ]
        vertices, texture_vertices = vertices + len(first), texture_vertices + len(part.uv)
    materials = [
        (_MATERIAL + _CUT_OUT * isinstance(part.material, HairMaterial)).format(
            name=part.name, texture=texture_names[part.name]
        )
        for part in parts
    ]
    with atomic_path(folder / "mesh.mtl") as temporary:
        temporary.write_text("\n".join(materials), encoding="utf-8")
    with atomic_path(folder / "mesh.obj") as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _lines(keyword: str, rows: np.ndarray, number: str, per_row: int | None = None) -> str:
    """One formatting of the whole array: a hundred times as fast as one per row."""
    pattern = " ".join([keyword] + [number] * (per_row or rows.shape[1])) + "\n"
    return (pattern * len(rows)) % tuple(rows.ravel().tolist())
