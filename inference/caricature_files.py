"""The files of a caricature, made of the files of a head."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree

from common.atomic import atomic_path
from common.mesh_options import Units
from model.export.arrays import read_arrays
from model.export.glb import write_glb
from model.export.glb_stored import StoredHead, StoredPart, read_glb
from model.export.mesh_part import MeshPart
from model.export.obj import write_obj
from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from model.face.skeleton import Skeleton
from model.geometry.camera import project
from model.look.atlas import build_atlas
from model.look.caricature import exaggerated
from model.look.face_result import FaceResult
from model.look.head_shape import HeadShape
from model.look.lips import LipSeam
from model.look.rig import HeadRig

_ATLAS_PX = 64
"""Only its split vertices are asked for, which are those of any size."""
_FOLLOWED = 8
"""Vertices of the head that a vertex of hair goes along with."""


@dataclass(frozen=True)
class CaricatureRequest:
    """What is asked for.

    Attributes:
        factor: Of the difference from the mean person.
        regions: Factors of their own, by region.
    """

    factor: float
    regions: dict[str, float]


@torch.inference_mode()
def write_caricature(head: Path, output: Path, request: CaricatureRequest, model: MorphableModel) -> float:
    """Write `mesh.glb` and `face.npz` of a caricature, and the OBJ files with their textures where the head has them.

    Args:
        head: Folder of a face.
        output: Folder for the files; made if missing.
        request: What is asked for.
        model: The head model.

    Returns:
        The share of the head that was held back, since its skin would have cut itself.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is of another kind or head model, or the request cannot be met.
    """
    result, stored = read_arrays(head / "face.npz", model), read_glb(head / "mesh.glb")
    welds = _welds(stored, model, head)
    before = _shape(stored, welds, len(model.mean_mm))
    morphs = model.expression_basis.unflatten(-1, (-1, 3)).numpy()
    fitted_mm = result.vertices_mm - np.einsum("e,evx->vx", result.expression, morphs)
    caricature = exaggerated(fitted_mm, model, request.factor, request.regions)
    after = _closed(before, fitted_mm, caricature.rest_mm, LipSeam.of(model))
    moved = _result(result, caricature.rest_mm, request.factor, model)
    rig = HeadRig.of(after, Skeleton.of(model))
    parts = [_part(part, welds.get(part.name), before, after, rig) for part in stored.parts]
    output.mkdir(parents=True, exist_ok=True)
    write_glb(moved, parts, rig, output / "mesh.glb", stored.picture_px, stored.pose)
    if (head / "mesh.obj").is_file():
        files = {part.name: "texture.png" if part.name == "skin" else f"{part.name}.png" for part in parts}
        for name in files.values():
            with atomic_path(output / name) as temporary:
                shutil.copyfile(head / name, temporary)
        write_obj(moved, parts, files, output, _units(head / "mesh.obj"))
    _write_arrays(head / "face.npz", output / "face.npz", moved)
    return caricature.held_back


def _welds(stored: StoredHead, model: MorphableModel, head: Path) -> dict[str, np.ndarray]:
    """The head's vertex of each vertex of the parts that are the head model's."""
    names = {part.name: part for part in stored.parts}
    welds = {}
    for part in head_parts(model):
        vertex = build_atlas(model, _ATLAS_PX, part).vertex
        if part.name not in names or len(names[part.name].vertices_mm) != len(vertex):
            raise ValueError(
                f"{head / 'mesh.glb'}: its part {part.name} is not this head model's; name its --checkpoint"
            )
        welds[part.name] = vertex
    return welds


def _shape(stored: StoredHead, welds: dict[str, np.ndarray], count: int) -> HeadShape:
    """The stored head as the vertices of its head model."""
    parts = [part for part in stored.parts if part.name in welds]
    rest = np.zeros((count, 3), np.float32)
    morphs = np.zeros((len(parts[0].morphs_mm), count, 3), np.float32)
    for part in parts:
        rest[welds[part.name]] = part.vertices_mm
        morphs[:, welds[part.name]] = part.morphs_mm
    return HeadShape(rest, morphs)


def _closed(
    before: HeadShape,
    fitted_mm: Float[np.ndarray, "vertex 3"],
    rest_mm: Float[np.ndarray, "vertex 3"],
    seam: LipSeam | None,
) -> HeadShape:
    """The caricature as it is shown: its lips touch, and its teeth stand as the head's do."""
    if seam is None:
        return HeadShape(rest_mm + before.rest_mm - fitted_mm, before.morphs_mm)
    old, new = seam.closing_mm(fitted_mm), seam.closing_mm(rest_mm, parting=True)
    morphs = [morph + seam.opened_by(number)[:, None] * (old - new) for number, morph in enumerate(before.morphs_mm)]
    rest = rest_mm + new + (before.rest_mm - fitted_mm - old)
    return HeadShape(rest.astype(np.float32), np.stack(morphs).astype(np.float32))


def _part(part: StoredPart, weld: np.ndarray | None, before: HeadShape, after: HeadShape, rig: HeadRig) -> MeshPart:
    if weld is not None:
        vertices, morphs, weights = after.rest_mm[weld], after.morphs_mm[:, weld], rig.weights[weld]
    else:
        distance, nearest = KDTree(before.rest_mm).query(part.vertices_mm, k=_FOLLOWED)
        share = 1.0 / np.maximum(distance, 1.0)
        along = (after.rest_mm - before.rest_mm)[nearest] * (share / share.sum(1, keepdims=True))[..., None]
        vertices = (part.vertices_mm + along.sum(1)).astype(np.float32)
        morphs, weights = part.morphs_mm, part.joint_weights
        weld = np.unique(part.vertices_mm, axis=0, return_inverse=True)[1].ravel()
    return MeshPart(part.name, vertices, weld, part.faces, part.uv, morphs, part.material, weights)


def _result(
    result: FaceResult, rest_mm: Float[np.ndarray, "vertex 3"], factor: float, model: MorphableModel
) -> FaceResult:
    """The numbers of the caricature; what coefficients cannot say of it is in the offsets."""
    morphs = model.expression_basis.unflatten(-1, (-1, 3)).numpy()
    posed = (rest_mm + np.einsum("e,evx->vx", result.expression, morphs)).astype(np.float32)
    centre = model.identity_center.numpy()
    identity = (centre + factor * (result.identity - centre)).astype(np.float32)
    neutral = model.neutral_mm(torch.from_numpy(identity)[None])[0].numpy()
    in_camera = (posed @ result.rotation.T + result.translation_mm).astype(np.float32)
    camera = torch.from_numpy(result.intrinsics_px)[None]
    landmarks = model.landmarks(torch.from_numpy(posed)[None])
    seen = landmarks @ torch.from_numpy(result.rotation).T + torch.from_numpy(result.translation_mm)
    return replace(
        result,
        identity=identity,
        vertices_mm=posed,
        vertices_neutral_mm=neutral,
        offsets_mm=(rest_mm - neutral).astype(np.float32),
        vertices_camera_mm=in_camera,
        vertices_image=project(torch.from_numpy(in_camera)[None], camera)[0].numpy(),
        landmarks68_mm=landmarks[0].numpy(),
        landmarks68_px=project(seen, camera)[0, :, :2].numpy(),
    )


def _write_arrays(source: Path, path: Path, result: FaceResult) -> None:
    """The file with the numbers that the caricature changes, all others as they are."""
    with np.load(source, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= {
        "identity": result.identity,
        "vertices": result.vertices_mm,
        "vertices_neutral": result.vertices_neutral_mm,
        "vertices_camera": result.vertices_camera_mm,
        "vertices_image": result.vertices_image,
        "offsets_mm": result.offsets_mm,
        "landmarks68_model": result.landmarks68_mm,
        "landmarks68_image": result.landmarks68_px,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _units(path: Path) -> Units:
    """The unit that the first line of an OBJ file names; mm where it names none."""
    with path.open(encoding="utf-8") as file:
        words = file.readline().replace(",", " ").split()
    named: list[Units] = [unit for unit in get_args(Units) if unit in words]
    return named[0] if named else "mm"
