"""Readers of the Basel Face Model: 2009 (MATLAB), its front as Deep3DFaceRecon packs it, 2017 and 2019 (HDF5).

Layouts: BFM 2009's keys, unit, order of corners and standard deviations after patrikhuber/eos
`share/scripts/convert-bfm2009-to-eos.py`; the expressions of Guo et al. after sicxu/Deep3DFaceRecon_pytorch
`util/load_mats.py`, whose packed model is written and read by the same file and `models/bfm.py`; BFM 2017 after eos
`share/scripts/convert-bfm2017-to-eos.py`; AlbedoMM's parts after waps101/AlbedoMM `README.md` and its Scala code.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.io import loadmat

from model.face.readers.colours import linear_components
from model.face.readers.foreign import ForeignArrays, ForeignHead, at_vertices, foreign_head, signed_pairs
from model.face.readers.hdf5 import Hdf5File, read_hdf5

MM_PER_MICROMETRE = 1e-3
MM_PER_DECIMETRE = 100.0
EXPRESSION_VERTICES = 53215
"""Vertices of Guo et al.'s expressions: BFM 2009's without the inside of the mouth."""

POINTS_2009 = {
    17: 38792, 19: 40087, 21: 40514, 22: 41091, 24: 41511, 26: 42825, 30: 8319, 33: 8334, 36: 2088, 39: 5959,
    42: 10603, 45: 14472, 48: 5006, 51: 8344, 54: 11714, 57: 8374, 62: 8354, 66: 8366,
}  # fmt: skip
"""iBUG's numbers from 0 and BFM 2009's vertices: eos `share/ibug_to_bfm2009.txt`."""

POINTS_2017 = {
    8: 47846, 30: 8156, 36: 2602, 39: 5830, 42: 10390, 45: 13481, 48: 5522, 49: 6026, 50: 7355, 51: 8181, 52: 9007,
    53: 10329, 54: 10857, 55: 9730, 56: 8670, 57: 8199, 58: 7726, 59: 6898, 60: 6291, 61: 7364, 62: 8190, 63: 9016,
    64: 10088, 65: 8663, 66: 8191, 67: 7719,
}  # fmt: skip
"""The same of BFM 2017's head without a mouth, 53,149 vertices: eos `share/ibug_to_bfm2017-1_bfm_nomouth.txt`."""
_VERTICES_2017 = 53149

NAMED_POINTS = {
    "center.chin.tip": 8, "center.nose.tip": 30, "right.eye.corner_outer": 36, "right.eye.corner_inner": 39,
    "left.eye.corner_inner": 42, "left.eye.corner_outer": 45, "right.lips.corner": 48, "center.lips.upper.outer": 51,
    "left.lips.corner": 54, "center.lips.lower.outer": 57, "center.lips.upper.inner": 62,
    "center.lips.lower.inner": 66,
}  # fmt: skip
"""Landmarks that the HDF5 files name themselves (`metadata/landmarks/json`), by iBUG's numbers."""


def read_basel_2009(folder: Path) -> ForeignHead:
    """Read BFM 2009.

    Args:
        folder: Holds `01_MorphableModel.mat`; with `Exp_Pca.bin`, `std_exp.txt` and `BFM_exp_idx.mat` beside it the
            expressions of Guo et al. are read too, on the vertices that they have.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is not what it should be; the message names it.
    """
    path = folder / "01_MorphableModel.mat" if folder.is_dir() else folder
    content = read_mat(path, ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl"))
    # The deviations are called EV, but are no eigenvalues.
    mean = MM_PER_MICROMETRE * _rows(content["shapeMU"], path)
    identity = MM_PER_MICROMETRE * _basis(content["shapePC"] * content["shapeEV"].reshape(1, -1), path)
    colour, components = _coloured(content["texMU"], content["texPC"] * content["texEV"].reshape(1, -1), path)
    faces = content["tl"].astype(np.int64) - 1
    expressions, names = np.zeros((0, len(mean), 3), np.float32), ()
    points = POINTS_2009 if len(mean) > max(POINTS_2009.values()) else {}
    if (path.parent / "Exp_Pca.bin").is_file():
        kept = _kept_vertices(path.parent, len(mean))
        names, expressions = signed_pairs("expression", _guo_expressions(path.parent, len(kept)))
        place = np.full(len(mean), -1)
        place[kept] = np.arange(len(kept))
        faces = place[faces]
        faces = faces[(faces >= 0).all(1)]
        mean, identity, colour, components = mean[kept], identity[:, kept], colour[kept], components[:, kept]
        points = {number: int(place[vertex]) for number, vertex in points.items() if place[vertex] >= 0}
    return _built(path, mean, faces, identity, expressions, names, colour, components, known_points=points)


def read_deep3d(path: Path) -> ForeignHead:
    """Read `BFM_model_front.mat`, the front of BFM 2009 with Guo et al.'s expressions, 35,709 vertices.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not such a file.
    """
    content = read_mat(path, ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints"))
    mean = MM_PER_DECIMETRE * _rows(content["meanshape"], path)
    # The authors' code takes the mean of the vertices as the origin; here the eyes decide, later.
    names, expressions = signed_pairs("expression", MM_PER_DECIMETRE * _basis(content["exBase"], path))
    colour, components = _coloured(content["meantex"], content["texBase"], path)
    points = content["keypoints"].astype(np.int64).ravel() - 1
    return _built(
        path,
        mean,
        content["tri"].astype(np.int64) - 1,
        MM_PER_DECIMETRE * _basis(content["idBase"], path),
        expressions,
        names,
        colour,
        components,
        points=points,
    )


def read_basel_hdf5(path: Path, albedo: Path | None = None) -> ForeignHead:
    """Read BFM 2017 or 2019 (`model2017-1_*.h5`, `model2019_*.h5`).

    Args:
        path: The file; units are mm.
        albedo: AlbedoMM's `albedoModel2020_*_albedoPart.h5` for the same vertices, whose diffuse albedo, linear
            already, takes the place of the file's own colours.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is not what it should be, or h5py is not installed.
    """
    needed = [f"{part}/model/{name}" for part in ("shape", "color") for name in ("mean", "pcaBasis", "pcaVariance")]
    file = read_hdf5(path, (*needed, "shape/representer/cells", "shape/representer/points"))
    mean = _rows(file.arrays["shape/model/mean"], path)
    expressions, names = np.zeros((0, len(mean), 3), np.float32), ()
    if "expression/model/pcaBasis" in file.arrays:
        names, expressions = signed_pairs("expression", _deviations(file, "expression", path))
        # Faces of the expression model are added to those of the shape model: its mean belongs to the mean head.
        mean = mean + _rows(file.arrays["expression/model/mean"], path)
    if albedo is None:
        variance = _deviations(file, "color", path)
        colour, components = linear_components(_rows(file.arrays["color/model/mean"], path), variance)
    else:
        colour, components = _albedo_model(albedo, len(mean))
    cells = file.arrays["shape/representer/cells"].astype(np.int64)
    points = POINTS_2017 if len(mean) == _VERTICES_2017 else _named_points(file, path)
    identity = _deviations(file, "shape", path)
    faces = cells.T if cells.shape[0] == 3 else cells
    return _built(path, mean, faces, identity, expressions, names, colour, components, known_points=points)


def read_mat(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB file.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no such file, or lacks arrays; the message names them.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = loadmat(path, variable_names=list(needed))
    except Exception as error:
        # What SciPy raises for a broken file is of many kinds.
        raise ValueError(f"{path}: not a MATLAB file that can be read ({error})") from error
    if missing := sorted(set(needed) - set(content)):
        raise ValueError(f"{path}: {', '.join(missing)} missing")
    if wrong := sorted(name for name in needed if np.asarray(content[name]).dtype.kind not in "fiub"):
        raise ValueError(f"{path}: {', '.join(wrong)} hold no numbers")
    return {name: content[name] for name in needed}


def _built(
    path: Path,
    mean: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    identity: Float[np.ndarray, "identity vertex 3"],
    expressions: Float[np.ndarray, "expression vertex 3"],
    names: tuple[str, ...],
    colour: Float[np.ndarray, "vertex 3"],
    components: Float[np.ndarray, "albedo vertex 3"],
    *,
    points: Int[np.ndarray, " point"] | None = None,
    known_points: dict[int, int] | None = None,
) -> ForeignHead:
    try:
        return foreign_head(
            ForeignArrays(
                vertices_mm=mean,
                faces=faces,
                identity_mm=identity,
                expression_mm=expressions,
                expression_names=names,
                landmarks=None if points is None else at_vertices(points, faces),
                known_points=known_points or {},
                albedo_mean=colour,
                albedo_basis=components,
            )
        )
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from error


def _rows(flat: np.ndarray, path: Path) -> Float[np.ndarray, "vertex 3"]:
    if flat.size % 3:
        raise ValueError(f"{path}: a mean of {flat.size} numbers, which is no multiple of 3")
    return np.asarray(flat, np.float64).reshape(-1, 3)


def _basis(columns: np.ndarray, path: Path) -> Float[np.ndarray, "component vertex 3"]:
    if columns.ndim != 2 or columns.shape[0] % 3:
        raise ValueError(f"{path}: components of shape {columns.shape}, expected (3 vertices, components)")
    return np.ascontiguousarray(columns.T, np.float32).reshape(columns.shape[1], -1, 3)


def _coloured(mean: np.ndarray, columns: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """From 0..255 of coded RGB to linear RGB."""
    return linear_components(_rows(mean, path) / 255.0, _basis(columns, path) / 255.0)


def _deviations(file: Hdf5File, part: str, path: Path) -> Float[np.ndarray, "component vertex 3"]:
    variance = np.asarray(file.arrays[f"{part}/model/pcaVariance"], np.float64).ravel()
    return _basis(file.arrays[f"{part}/model/pcaBasis"] * np.sqrt(np.maximum(variance, 0.0)), path)


def _kept_vertices(folder: Path, count: int) -> Int[np.ndarray, " kept"]:
    path = folder / "BFM_exp_idx.mat"
    kept = read_mat(path, ("trimIndex",))["trimIndex"].astype(np.int64).ravel() - 1
    if not kept.size or kept.min() < 0 or kept.max() >= count:
        raise ValueError(f"{path}: names vertices that 01_MorphableModel.mat does not have")
    return kept


def _guo_expressions(folder: Path, count: int) -> Float[np.ndarray, "component vertex 3"]:
    """A 32-bit number of components, the mean, then one component after the other, in micrometres."""
    path, deviations_path = folder / "Exp_Pca.bin", folder / "std_exp.txt"
    if not deviations_path.is_file():
        raise FileNotFoundError(f"{deviations_path}: no such file; it belongs to Exp_Pca.bin")
    data = path.read_bytes()
    components = int(np.frombuffer(data, "<i4", 1)[0]) if len(data) >= 4 else -1
    if components < 1 or len(data) != 4 + 4 * 3 * count * (components + 1):
        raise ValueError(f"{path}: {len(data)} bytes are not {components} components of {count} vertices")
    try:
        deviations = np.loadtxt(deviations_path).ravel()
    except ValueError as error:
        raise ValueError(f"{deviations_path}: not a list of numbers ({error})") from error
    if len(deviations) != components:
        raise ValueError(f"{deviations_path}: {len(deviations)} numbers for {components} components of {path.name}")
    basis = np.frombuffer(data, "<f4", 3 * count * components, 4 + 4 * 3 * count).reshape(components, count, 3)
    return (MM_PER_MICROMETRE * deviations[:, None, None] * basis).astype(np.float32)


def _albedo_model(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    names = tuple(f"diffuseAlbedo/model/{name}" for name in ("mean", "pcaBasis", "pcaVariance"))
    file = read_hdf5(path, names)
    mean = _rows(file.arrays[names[0]], path)
    if len(mean) != count:
        raise ValueError(f"{path}: {len(mean)} vertices, the model has {count}: take the part for the same model")
    return mean, _deviations(file, "diffuseAlbedo", path)


def _named_points(file: Hdf5File, path: Path) -> dict[int, int]:
    """The file's own landmarks, which it gives as places on the mean, at the vertices nearest to them."""
    text = file.texts.get("metadata/landmarks/json")
    if text is None:
        raise ValueError(f"{path}: no metadata/landmarks/json, and not the model of {_VERTICES_2017} vertices")
    try:
        listed: list[dict[str, Any]] = json.loads(text)
        places = {one["id"]: np.asarray(one["coordinates"], float).reshape(3) for one in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: metadata/landmarks/json is no list of landmarks ({error!r})") from error
    points = _rows(file.arrays["shape/representer/points"].T, path)
    found = {number: places[name] for name, number in NAMED_POINTS.items() if name in places}
    return {number: int(np.square(points - place).sum(1).argmin()) for number, place in found.items()}
