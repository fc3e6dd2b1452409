"""Small files in the exact layouts of published head models, which cannot be shipped: the toy head in each of them.

Keys, types, orders of axes, units and counting from 0 or 1 are those of the sources that the readers name. What a
layout fixes about its own model (300 shapes, five joints) is kept; the surface is the toy head's.
"""

import copyreg
import json
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.io import savemat
from scipy.sparse import csc_matrix

from model.face.assets import HeadAssets
from tests.small_world import toy_head

SHIFT_MM = np.array([0.0, -20.0, 15.0])
"""Every model has an origin of its own."""


@dataclass(frozen=True)
class Truth:
    """What a reader must find again, in mm and in the source's place.

    Attributes:
        vertices_mm: Mean.
        faces: Triangles, counter-clockwise seen from outside.
        identity_mm: Per standard deviation.
        expression_mm: Signed components, per standard deviation; or blendshapes.
        corners68: Vertices at iBUG's points, the heaviest corner of each.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    identity_mm: Float[np.ndarray, "identity vertex 3"]
    expression_mm: Float[np.ndarray, "expression vertex 3"]
    corners68: Int[np.ndarray, "68"]


def truth(identity_count: int = 6, expression_count: int = 4) -> Truth:
    """The toy head, away from our origin."""
    head = toy_head()
    points = head.landmarks["ibug68"]
    corners = head.faces[points.face][np.arange(68), points.barycentric.argmax(1)]
    generator = np.random.default_rng(5)
    vertices = head.vertices_mm + SHIFT_MM
    identity = generator.normal(size=(identity_count, *vertices.shape))
    return Truth(vertices, head.faces, identity, generator.normal(size=(expression_count, *vertices.shape)), corners)


class _Ch:
    """Stands for chumpy's array while a file is written: an object with a state of named parts."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self._dirty_vars, self._itr = x, set(), None

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # As Python 2 wrote it.
        return copyreg._reconstructor, (_Ch, object, None), {"x": self.x, "_itr": None, "_depends_on_deps": None}


@contextmanager
def _chumpy() -> Iterator[None]:
    """A module of chumpy's name, so that pickles name it; it is gone when they are read."""
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = _Ch  # pyright: ignore[reportAttributeAccessIssue]
    before = _Ch.__module__, _Ch.__qualname__
    _Ch.__module__, _Ch.__qualname__ = "chumpy.ch", "Ch"
    sys.modules |= {"chumpy": package, "chumpy.ch": module}
    try:
        yield
    finally:
        _Ch.__module__, _Ch.__qualname__ = before
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def flame_arrays(made: Truth, expression_count: int = 4) -> dict[str, np.ndarray]:
    """FLAME's arrays: metres, shapes behind the vertices, 300 of them before the expressions, five joints."""
    generator = np.random.default_rng(7)
    count = len(made.vertices_mm)
    shapes = np.zeros((count, 3, 300 + expression_count))
    shapes[..., : len(made.identity_mm)] = made.identity_mm.transpose(1, 2, 0) / 1000.0
    shapes[..., 300:] = made.expression_mm.transpose(1, 2, 0) / 1000.0
    weights = generator.random((count, 5)) ** 4
    regressor = generator.random((5, count)) ** 30
    return {
        "v_template": made.vertices_mm / 1000.0,
        "f": made.faces.astype(np.uint32),
        "shapedirs": shapes,
        "posedirs": 0.002 * generator.normal(size=(count, 3, 36)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        # The root has no parent, which an unsigned number says by its largest value.
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        "weights": weights / weights.sum(1, keepdims=True),
    }


def write_flame(folder: Path, made: Truth, **changes: Any) -> Path:
    """`flame2023.pkl`: chumpy's arrays for shapes, SciPy's sparse matrix for the joints, as protocol 2."""
    arrays = flame_arrays(made, len(made.expression_mm))
    content: dict[str, Any] = arrays | {
        "v_template": _Ch(arrays["v_template"]),
        "shapedirs": _Ch(arrays["shapedirs"]),
        "posedirs": _Ch(arrays["posedirs"]),
        "J_regressor": csc_matrix(arrays["J_regressor"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
    content |= changes
    path = folder / "flame2023.pkl"
    with _chumpy(), path.open("wb") as file:
        pickle.dump({k: v for k, v in content.items() if v is not None}, file, protocol=2)
    return path


def write_flame_landmarks(folder: Path, head: HeadAssets) -> Path:
    """DECA's `landmark_embedding.npy`: 51 points and 79 outlines of 17, triangles and weights."""
    points = head.landmarks["ibug68"]
    generator = np.random.default_rng(3)
    face, weights = np.tile(points.face[:17], (79, 1)), np.tile(points.barycentric[:17].astype(float), (79, 1, 1))
    # Row 0 is the head from the front; the others lie elsewhere.
    face[1:] = generator.integers(0, len(head.faces), (78, 17))
    content = {
        "static_lmk_faces_idx": points.face[17:].astype(np.int64),
        "static_lmk_bary_coords": points.barycentric[17:].astype(float),
        "dynamic_lmk_faces_idx": face.astype(np.int64),
        "dynamic_lmk_bary_coords": weights,
    }
    path = folder / "landmark_embedding.npy"
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def write_flame_static(folder: Path, head: HeadAssets) -> Path:
    """TF_FLAME's `flame_static_embedding_68.pkl`, as protocol 0."""
    points = head.landmarks["ibug68"]
    path = folder / "flame_static_embedding_68.pkl"
    content = {"lmk_face_idx": points.face.astype(np.uint32), "lmk_b_coords": points.barycentric.astype(np.float64)}
    path.write_bytes(pickle.dumps(content, protocol=0))
    return path


def write_flame_texture(folder: Path, head: HeadAssets, size: int = 16) -> Path:
    """`FLAME_texture.npz`: coded BGR of 0..255, v of `vt` up."""
    mean = np.zeros((size, size, 3), np.float32)
    mean[...] = (60.0, 120.0, 200.0)
    mean[: size // 2] = (30.0, 60.0, 100.0)
    directions = np.zeros((size, size, 3, 2), np.float32)
    directions[..., 2, 0] = 10.0
    path = folder / "FLAME_texture.npz"
    np.savez(path, mean=mean, tex_dir=directions, vt=head.uv, ft=head.uv_faces.astype(np.uint32))
    return path


def write_flame_masks(folder: Path, head: HeadAssets) -> Path:
    """`FLAME_masks.pkl`: lists of vertices by name."""
    rows = {
        name: np.flatnonzero(head.regions[name]) for name in ("face", "lips", "nose", "scalp", "neck", "ears", "eyes")
    }
    left = head.vertices_mm[:, 0] > 0.0
    content = {name: rows[name] for name in ("face", "lips", "nose", "scalp", "neck")}
    for side, inside in (("left", left), ("right", ~left)):
        content[f"{side}_ear"] = rows["ears"][inside[rows["ears"]]]
        content[f"{side}_eyeball"] = rows["eyes"][inside[rows["eyes"]]]
    path = folder / "FLAME_masks.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def write_basel_2009(folder: Path, made: Truth, *, expressions: bool) -> Path:
    """`01_MorphableModel.mat` in micrometres, unit components beside deviations, triangles from 1 and inside out."""
    lengths = np.linalg.norm(made.identity_mm.reshape(len(made.identity_mm), -1), axis=1)
    unit = (made.identity_mm.reshape(len(lengths), -1) / lengths[:, None]).T
    count = len(made.vertices_mm)
    colour = np.tile((200.0, 120.0, 60.0), count)
    savemat(
        folder / "01_MorphableModel.mat",
        {
            "shapeMU": (1000.0 * made.vertices_mm).reshape(-1, 1).astype(np.float32),
            "shapePC": unit.astype(np.float32),
            "shapeEV": (1000.0 * lengths)[:, None].astype(np.float32),
            "texMU": colour[:, None].astype(np.float32),
            "texPC": np.eye(3 * count, 2, dtype=np.float32),
            "texEV": np.full((2, 1), 10.0, np.float32),
            "tl": (made.faces[:, [0, 2, 1]] + 1).astype(np.int32),
        },
    )
    if expressions:
        # All vertices but the last are in the trimmed model.
        kept = np.arange(count - 1)
        savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (kept + 1)[:, None].astype(np.int32)})
        basis = 1000.0 * made.expression_mm[:, kept].reshape(len(made.expression_mm), -1) / 2.0
        head = struct.pack("<i", len(basis)) + np.zeros(3 * len(kept), "<f4").tobytes()
        (folder / "Exp_Pca.bin").write_bytes(head + basis.astype("<f4").tobytes())
        np.savetxt(folder / "std_exp.txt", np.full(len(basis), 2.0)[None])
    return folder


def write_deep3d(folder: Path, made: Truth) -> Path:
    """`BFM_model_front.mat`: decimetres, components times deviations, everything counted from 1."""
    path, count = folder / "BFM_model_front.mat", len(made.vertices_mm)
    savemat(
        path,
        {
            "meanshape": (made.vertices_mm / 100.0).reshape(1, -1),
            "idBase": (made.identity_mm / 100.0).reshape(len(made.identity_mm), -1).T,
            "exBase": (made.expression_mm / 100.0).reshape(len(made.expression_mm), -1).T,
            "meantex": np.tile((200.0, 120.0, 60.0), count)[None],
            "texBase": np.full((3 * count, 2), 5.0),
            "tri": (made.faces + 1).astype(np.float64),
            "point_buf": np.ones((count, 8)),
            "keypoints": (made.corners68 + 1)[None].astype(np.float64),
            "skinmask": np.ones((1, count)),
        },
    )
    return path


def write_basel_hdf5(folder: Path, made: Truth) -> Path:
    """`model2019_bfm.h5`: mm, unit components beside variances, points and cells lying down, landmarks as JSON."""
    import h5py

    path, count = folder / "model2019_bfm.h5", len(made.vertices_mm)
    names = {8: "center.chin.tip", 30: "center.nose.tip", 36: "right.eye.corner_outer", 39: "right.eye.corner_inner",
             42: "left.eye.corner_inner", 45: "left.eye.corner_outer", 48: "right.lips.corner",
             54: "left.lips.corner"}  # fmt: skip
    marks = [{"id": name, "coordinates": made.vertices_mm[made.corners68[k]].tolist()} for k, name in names.items()]
    with h5py.File(path, "w") as file:
        for part, components, mean in (
            ("shape", made.identity_mm, made.vertices_mm.ravel()),
            ("expression", made.expression_mm, np.zeros(3 * count)),
            ("color", np.full((2, count, 3), 0.01), np.tile((0.8, 0.5, 0.3), count)),
        ):
            flat = components.reshape(len(components), -1)
            lengths = np.linalg.norm(flat, axis=1)
            file[f"{part}/model/mean"] = mean.astype(np.float32)
            file[f"{part}/model/pcaBasis"] = (flat / lengths[:, None]).T.astype(np.float32)
            file[f"{part}/model/pcaVariance"] = (lengths**2).astype(np.float32)
            file[f"{part}/representer/points"] = made.vertices_mm.T.astype(np.float32)
            file[f"{part}/representer/cells"] = made.faces.T.astype(np.int32)
        file["metadata/landmarks/json"] = json.dumps(marks)
    return path


def write_albedo_part(folder: Path, count: int) -> Path:
    """AlbedoMM's `albedoModel2020_bfm_albedoPart.h5`: linear RGB."""
    import h5py

    path = folder / "albedoModel2020_bfm_albedoPart.h5"
    with h5py.File(path, "w") as file:
        for part in ("diffuseAlbedo", "specularAlbedo"):
            file[f"{part}/model/mean"] = np.tile((0.4, 0.2, 0.1), count).astype(np.float32)
            file[f"{part}/model/pcaBasis"] = np.eye(3 * count, 2, dtype=np.float32)
            file[f"{part}/model/pcaVariance"] = np.array([0.04, 0.01], np.float32)
    return path


def gnm_arrays(made: Truth) -> dict[str, np.ndarray]:
    """GNM's arrays: metres, components before vertices, joints before vertices, coordinates by corner."""
    head = toy_head()
    count = len(made.vertices_mm)
    eye = {side: head.regions[f"{side}_eye"] for side in ("left", "right")}
    weights = np.stack((0.0 * eye["left"], ~(eye["left"] | eye["right"]), eye["left"], eye["right"])).astype(float)
    groups = {"skin": ~head.regions["eyes"], "eyes": head.regions["eyes"], "left_eye": eye["left"],
              "right_eye": eye["right"]}  # fmt: skip
    centres = [made.vertices_mm[mask].mean(0) / 1000.0 for mask in (eye["left"], eye["right"])]
    return {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": made.vertices_mm / 1000.0,
        "template_joint_positions": np.stack(([0.0, -0.1, 0.0], [0.0, -0.05, 0.0], *centres)),
        "vertex_identity_basis": made.identity_mm / 1000.0,
        "joint_identity_basis": np.zeros((len(made.identity_mm), 4, 3)),
        "expression_basis": made.expression_mm / 1000.0,
        "identity_names": np.array([f"head_{k:03d}" for k in range(len(made.identity_mm))]),
        "joint_names": np.array(["neck", "head", "left_eye", "right_eye"]),
        "expression_names": np.array([f"lower_face_region_{k:03d}" for k in range(len(made.expression_mm))]),
        "joint_parent_indices": np.array([0, 0, 1, 1]),
        "skinning_weights": weights,
        "quads": np.zeros((1, 4), np.int32),
        "triangles": made.faces,
        "quad_uvs": np.zeros((1, 4, 2)),
        "triangle_uvs": head.uv[head.uv_faces],
        "mesh_component_names": np.array(["skin", "eyes"]),
        "mirror_indices": head.mirror,
        "joint_regressor": np.zeros((4, count)),
        "pose_correctives_regressor": np.zeros((36, 3 * count)),
        "bone_aligned_template_joint_orientations": np.tile(np.eye(3), (4, 1, 1)),
        "vertex_groups": np.stack(list(groups.values())).astype(np.float32),
        "vertex_group_names": np.array(list(groups)),
    }


def write_gnm(folder: Path, made: Truth, **changes: Any) -> Path:
    """The model where the repository has it, and the landmarks where it has those, in its order of the jaw."""
    place = folder / "data" / "versions" / "v3_0"
    place.mkdir(parents=True)
    arrays = gnm_arrays(made) | changes
    np.savez(place / "gnm_head.npz", **{name: array for name, array in arrays.items() if array is not None})
    (folder / "data" / "landmarks").mkdir()
    points = toy_head().landmarks["ibug68"]
    order = np.concatenate(([0, 1, 6, 5, 4, 3, 2], np.arange(7, 68)))
    corners, weights = made.faces[points.face[order]], points.barycentric[order]
    rows = np.stack((corners, weights), 2).reshape(68, 6)
    np.savetxt(folder / "data" / "landmarks" / "head_sparse_68.txt", rows, fmt="%.6g")
    return place / "gnm_head.npz"


def write_surrey(folder: Path, made: Truth, *, blendshapes: bool, version: int = 1) -> Path:
    """`sfm_shape_3448.bin`, shape alone: cereal's bytes, matrices column by column, texture coordinates v down."""

    def matrix(values: np.ndarray) -> bytes:
        return struct.pack("<ii", *values.shape) + values.T.astype("<f4").tobytes()

    flat = made.identity_mm.reshape(len(made.identity_mm), -1)
    lengths = np.linalg.norm(flat, axis=1)
    data = struct.pack("<I", version) + matrix(made.vertices_mm.reshape(-1, 1))
    data += matrix((flat / lengths[:, None]).T) + matrix((lengths**2)[:, None])
    data += struct.pack("<Q", len(made.faces)) + made.faces.astype("<i4").tobytes()
    empty = np.zeros((0, 1))
    data += matrix(empty) + matrix(np.zeros((0, 0))) + matrix(empty) + struct.pack("<Q", 0)
    uv = np.linspace(0.0, 1.0, 2 * len(made.vertices_mm)).reshape(-1, 2)
    data += struct.pack("<Q", len(uv)) + uv.astype("<f8").tobytes()
    path = folder / "sfm_shape_3448.bin"
    path.write_bytes(data)
    if blendshapes:
        content = struct.pack("<Q", 2)
        for name, shape in zip(("anger", "happiness"), made.expression_mm, strict=False):
            content += struct.pack("<Q", len(name)) + name.encode() + matrix(shape.reshape(-1, 1))
        (folder / "expression_blendshapes_3448.bin").write_bytes(content)
    return path
