"""Reader of the Surrey Face Model in eos' format: `sfm_shape_3448.bin` of patrikhuber/eos, `share/`.

A cereal archive, little endian: a version, then the shape and the colour model, each a mean, an orthonormal basis, its
variances (Eigen matrices: rows, columns, numbers column by column) and triangles; from version 2 on an optional
expression model, which the public file lacks; texture coordinates last. After eos `include/eos/morphablemodel/`:
`MorphableModel.hpp`, `PcaModel.hpp`, `Blendshape.hpp`, `io/eigen_cerealisation.hpp`. In mm, texture coordinates v down.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from model.face.readers.colours import linear_components
from model.face.readers.foreign import ForeignArrays, ForeignHead, foreign_head

POINTS = {
    8: 33, 17: 225, 18: 229, 19: 233, 20: 2086, 21: 157, 22: 590, 23: 2091, 24: 666, 25: 662, 26: 658, 27: 2842,
    28: 379, 29: 272, 30: 114, 31: 100, 32: 2794, 33: 270, 34: 2797, 35: 537, 36: 177, 37: 172, 38: 191, 39: 181,
    40: 173, 41: 174, 42: 614, 43: 624, 44: 605, 45: 610, 46: 607, 47: 606, 48: 398, 49: 315, 50: 413, 51: 329,
    52: 825, 53: 736, 54: 812, 55: 841, 56: 693, 57: 411, 58: 264, 59: 431, 61: 416, 62: 423, 63: 828, 65: 817,
    66: 442, 67: 404,
}  # fmt: skip
"""iBUG's numbers from 0 and the model's vertices: eos `share/ibug_to_sfm.txt`."""

BLENDSHAPES = "expression_blendshapes_3448.bin"


@dataclass(frozen=True)
class _Pca:
    mean: Float[np.ndarray, "vertex 3"]
    deviations: Float[np.ndarray, "component vertex 3"]
    faces: Int[np.ndarray, "face 3"]


class _Archive:
    """The bytes of a file, read from front to back."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        self._path, self._data, self._place = path, path.read_bytes(), 0

    def number(self, kind: str) -> int:
        return int(self.numbers(kind, 1)[0])

    def numbers(self, kind: str, count: int) -> np.ndarray:
        size = struct.calcsize(kind) * count
        if count < 0 or self._place + size > len(self._data):
            raise ValueError(f"{self._path}: not a model of eos: it ends where {count} numbers should follow")
        found = np.frombuffer(self._data, np.dtype(kind), count, self._place)
        self._place += size
        return found

    def matrix(self) -> np.ndarray:
        rows, columns = self.number("<i"), self.number("<i")
        if rows < 0 or columns < 0:
            raise ValueError(f"{self._path}: not a model of eos: a matrix of {rows} rows and {columns} columns")
        return self.numbers("<f", rows * columns).reshape(columns, rows).T

    def pca(self) -> _Pca:
        mean, basis, variance = self.matrix(), self.matrix(), self.matrix()
        faces = self.numbers("<i", 3 * self.number("<Q")).reshape(-1, 3)
        if mean.size % 3 or (basis.size and basis.shape != (mean.size, variance.size)):
            raise ValueError(f"{self._path}: a mean of {mean.size} numbers with components of shape {basis.shape}")
        scaled = basis.T * np.sqrt(np.maximum(variance.ravel(), 0.0))[:, None]
        return _Pca(
            mean.astype(float).reshape(-1, 3), scaled.reshape(len(scaled), mean.size // 3, 3), faces.astype(np.int64)
        )

    def blendshapes(self) -> tuple[tuple[str, ...], Float[np.ndarray, "shape vertex 3"]]:
        count = self.number("<Q")
        names, shapes = [], []
        for _ in range(count):
            names.append(self.numbers("<B", self.number("<Q")).tobytes().decode("utf-8", "replace"))
            shapes.append(self.matrix().reshape(-1, 3))
        if len({shape.shape for shape in shapes}) > 1:
            raise ValueError(f"{self._path}: blendshapes of different sizes")
        return tuple(names), np.stack(shapes) if shapes else np.zeros((0, 0, 3), np.float32)


def read_surrey(path: Path, blendshapes: Path | None = None) -> ForeignHead:
    """Read the Surrey Face Model.

    Args:
        path: `sfm_shape_3448.bin` or a file of the full model in the same format, or the folder with the first.
        blendshapes: `expression_blendshapes_3448.bin`; by default the one that lies beside the model.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is not what it should be; the message names it.
    """
    path = path / "sfm_shape_3448.bin" if path.is_dir() else path
    archive = _Archive(path)
    version = archive.number("<I")
    if version != 1:
        raise ValueError(f"{path}: a model of eos' version {version}; version 1 is read, as eos' share/ has it")
    shape, colour = archive.pca(), archive.pca()
    uv = archive.numbers("<d", 2 * archive.number("<Q")).reshape(-1, 2)
    if not len(shape.faces) or shape.faces.min() < 0 or shape.faces.max() >= len(shape.mean):
        raise ValueError(f"{path}: not a model of eos: triangles of vertices that it does not have")
    names, expressions = (), np.zeros((0, *shape.mean.shape), np.float32)
    found = blendshapes or path.with_name(BLENDSHAPES)
    if blendshapes is not None or found.is_file():
        names, expressions = _Archive(found).blendshapes()
        if expressions.shape[1:] != shape.mean.shape:
            raise ValueError(f"{found}: blendshapes of shape {expressions.shape} for {len(shape.mean)} vertices")
    albedo = linear_components(colour.mean, colour.deviations) if colour.mean.size else (None, None)
    known = {number: vertex for number, vertex in POINTS.items() if vertex < len(shape.mean)}
    has_uv = len(uv) == len(shape.mean)
    try:
        return foreign_head(
            ForeignArrays(
                vertices_mm=shape.mean,
                faces=shape.faces,
                identity_mm=shape.deviations,
                expression_mm=expressions,
                expression_names=names,
                known_points=known,
                uv=(uv * (1.0, -1.0) + (0.0, 1.0)).astype(np.float32) if has_uv else None,
                uv_faces=shape.faces if has_uv else None,
                albedo_mean=albedo[0],
                albedo_basis=albedo[1],
            )
        )
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from error
