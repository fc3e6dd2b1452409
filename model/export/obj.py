"""`mesh.obj`, `mesh_neutral.obj` and `mesh.mtl`: the head, one object and one material for each part."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from common.mesh_options import UNITS_PER_MM, Units
from model.export.mesh_part import MeshPart
from model.look.face_result import FaceResult

_DECIMALS: dict[Units, int] = {"mm": 4, "cm": 5, "m": 7}
_CUT_OUT = "map_d {texture}\n"
"""Of a texture whose fourth channel says where there is something."""
_MATERIAL = "newmtl {name}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nmap_Kd {texture}\n"


def write_obj(
    result: FaceResult,
    parts: Sequence[MeshPart],
    texture_names: Mapping[str, str],
    folder: Path,
    units: Units = "mm",
) -> None:
    """Write the files into a folder: `mesh.obj` with the face's expression, `mesh_neutral.obj` without any.

    Args:
        result: The face, for its expression.
        parts: Its meshes.
        texture_names: Name of the picture of each part, which is expected in the folder.
        folder: Where to.
        units: Of lengths.
    """
    head = f"# Likeness: lengths in {units}, +x to the subject's left, +y up, +z out of the face\nmtllib mesh.mtl\n"
    posed, neutral = [head], [head]
    scale, places_before, textures_before = UNITS_PER_MM[units], 0, 0
    number = f"%.{_DECIMALS[units]}f"
    for part in parts:
        # An OBJ file's corners name place and texture apart: no vertex has to be split.
        first, whole = part.whole
        places, textures = 1 + places_before + whole[part.faces], 1 + textures_before + part.faces
        corners = np.stack((places, textures, places), axis=-1)
        texture_lines = _lines("vt", part.uv, "%.6f")
        face_lines = _lines("f", corners.reshape(-1, 9), "%d/%d/%d %d/%d/%d %d/%d/%d", per_row=1)
        for lines, vertices in ((posed, part.posed_mm(result.expression)), (neutral, part.vertices_mm)):
            lines += [
                f"o {part.name}\nusemtl {part.name}\n",
                _lines("v", scale * vertices[first], number),
                texture_lines,
                _lines("vn", part.normals(vertices)[first], "%.4f"),
                face_lines,
            ]
        places_before, textures_before = places_before + len(first), textures_before + len(part.uv)
    materials = [
        (_MATERIAL + _CUT_OUT * part.material.cut_out).format(name=part.name, texture=texture_names[part.name])
        for part in parts
    ]
    with atomic_path(folder / "mesh.mtl") as temporary:
        temporary.write_text("\n".join(materials), encoding="utf-8")
    for name, lines in (("mesh.obj", posed), ("mesh_neutral.obj", neutral)):
        with atomic_path(folder / name) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def _lines(keyword: str, rows: np.ndarray, number: str, per_row: int | None = None) -> str:
    """One formatting of the whole array: a hundred times as fast as one per row."""
    pattern = " ".join([keyword] + [number] * (per_row or rows.shape[1])) + "\n"
    return (pattern * len(rows)) % tuple(rows.ravel().tolist())
