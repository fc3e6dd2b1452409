"""The morphable-model file: safetensors with metadata `format: likeness-head-1`.

Every head, ours or a converted one, is this one file, so nothing downstream knows which model it holds. Linear
bases may be stored in half precision; they are read as float32.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from common.tensors import read_tensors, save_tensors
from model.face.skinning import Skinning, YawContour

HEAD_FORMAT = "likeness-head-1"


@dataclass(frozen=True)
class LandmarkSet:
    """Points fixed on the surface.

    Attributes:
        face: Index into `HeadAssets.faces`.
        barycentric: Weights of that face's three corners; each row sums to 1.
    """

    face: Int[np.ndarray, " landmark"]
    barycentric: Float[np.ndarray, "landmark 3"]


@dataclass(frozen=True)
class HeadAssets:
    """A linear head model as arrays.

    V vertices, F triangles, T texture vertices, K identity components, E expressions, A albedo components.

    Attributes:
        vertices_mm: Mean head in model space: +x to the subject's left, +y up, +z out of the face, origin between the
            eyeballs (ours: 5 mm in front of the middle of their centres).
        faces: Triangles, counter-clockwise seen from outside.
        uv: Texture coordinates, v up, in [0, 1] or in several tiles side by side, one for each part of the head
            (`model.face.parts`).
        uv_faces: The triangles' texture vertices.
        identity_basis: Displacement in mm per standard deviation.
        expression_basis: Displacement in mm at weight 1.
        expression_names: ARKit's names, or those of a published model (docs/morphable-models.md).
        albedo_mean: Linear RGB in [0, 1].
        albedo_basis: Linear RGB per standard deviation.
        mirror: `mirror[v]` is the vertex on the other side (v itself on the mid-line).
        landmarks: Landmark sets by name, `ibug68` and `mediapipe478` for our own head.
        regions: Vertex masks by name.
        identity_center: Mean person of the people who are photographed, standard deviations: the centre of the identity
            prior. The mean head, zeros, where nothing is known.
        exposure: How open each vertex is to the eyes of the world, [0, 1]: share of the directions above it, weighed
            with the cosine, from which it is seen on the mean head at rest; with the jaw open for what is in the mouth.
        succeeds: SHA-256 of earlier head files that this one stands in for: skin and bases are the same, so that
            checkpoints trained with them fit.
        skinning: Joints, for a model that was published with some; our own head has none.
        contour: The outline of the face by yaw, where it was published.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "texture 2"]
    uv_faces: Int[np.ndarray, "face 3"]
    identity_basis: Float[np.ndarray, "identity vertex 3"]
    expression_basis: Float[np.ndarray, "expression vertex 3"]
    expression_names: tuple[str, ...]
    albedo_mean: Float[np.ndarray, "vertex 3"]
    albedo_basis: Float[np.ndarray, "albedo vertex 3"]
    mirror: Int[np.ndarray, " vertex"]
    landmarks: dict[str, LandmarkSet] = field(default_factory=dict)
    regions: dict[str, Bool[np.ndarray, " vertex"]] = field(default_factory=dict)
    identity_center: Float[np.ndarray, " identity"] | None = None
    exposure: Float[np.ndarray, " vertex"] | None = None
    succeeds: tuple[str, ...] = ()
    skinning: Skinning | None = None
    contour: YawContour | None = None

    def __post_init__(self) -> None:
        """Check that the arrays agree with one another.

        Raises:
            ValueError: Naming the array and what is wrong with it.
        """
        vertex_count = len(self.vertices_mm)
        for name in ("identity_basis", "expression_basis", "albedo_basis"):
            shape = getattr(self, name).shape
            if len(shape) != 3 or shape[1:] != (vertex_count, 3):
                raise ValueError(f"{name} has shape {shape}, expected (components, {vertex_count}, 3)")
        if self.albedo_mean.shape != (vertex_count, 3) or self.mirror.shape != (vertex_count,):
            raise ValueError(f"albedo_mean and mirror must have one row for each of {vertex_count} vertices")
        if len(self.expression_names) != len(self.expression_basis):
            raise ValueError(
                f"{len(self.expression_names)} expression_names for {len(self.expression_basis)} expressions"
            )
        if self.identity_center is not None and self.identity_center.shape != (len(self.identity_basis),):
            raise ValueError(
                f"identity_center has shape {self.identity_center.shape}, expected ({len(self.identity_basis)},)"
            )
        _check_indices("faces", self.faces, vertex_count)
        _check_indices("mirror", self.mirror, vertex_count)
        _check_indices("uv_faces", self.uv_faces, len(self.uv))
        if self.faces.shape != self.uv_faces.shape:
            raise ValueError(f"{len(self.faces)} faces but {len(self.uv_faces)} uv_faces")
        for name in ("vertices_mm", "uv", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds values that are not finite")
        self._check_parts(vertex_count)

    def _check_parts(self, vertex_count: int) -> None:
        for name, landmarks in self.landmarks.items():
            _check_indices(f"landmarks.{name}.face", landmarks.face, len(self.faces))
            if landmarks.barycentric.shape != (len(landmarks.face), 3):
                raise ValueError(
                    f"landmarks.{name}: {landmarks.barycentric.shape} weights, {len(landmarks.face)} faces"
                )
            if not np.allclose(landmarks.barycentric.sum(1), 1.0, atol=1e-3):
                raise ValueError(f"landmarks.{name}.barycentric: the weights of a point must sum to 1")
        if self.exposure is not None and self.exposure.shape != (vertex_count,):
            raise ValueError(f"exposure has shape {self.exposure.shape}, expected ({vertex_count},)")
        if self.skinning is not None and len(self.skinning.weights) != vertex_count:
            raise ValueError(f"skinning.weights has {len(self.skinning.weights)} rows for {vertex_count} vertices")
        if self.contour is not None:
            _check_indices("contour.face", self.contour.face, len(self.faces))
        for name, mask in self.regions.items():
            if mask.shape != (vertex_count,):
                raise ValueError(f"region.{name} has shape {mask.shape}, expected ({vertex_count},)")


def _check_indices(name: str, indices: np.ndarray, count: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(f"{name} points outside 0..{count - 1}")


def save_head(assets: HeadAssets, path: Path, *, half: bool = True) -> None:
    """Write a head file, atomically.

    Args:
        assets: The head.
        path: Where to; the parent folder must exist.
        half: Store the float arrays in half precision (0.0005 relative; 0.06 mm at 128 mm).
    """
    float_type = np.float16 if half else np.float32
    tensors: dict[str, np.ndarray] = {}
    for name in ("vertices_mm", "uv", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis"):
        # The mean stays in full precision: it is small, and 0.06 mm steps would show in its shading.
        kept = np.float32 if name in ("vertices_mm", "uv") else float_type
        tensors[name] = np.ascontiguousarray(getattr(assets, name), dtype=kept)
    for name in ("faces", "uv_faces", "mirror"):
        tensors[name] = np.ascontiguousarray(getattr(assets, name), dtype=np.int32)
    for name, landmarks in assets.landmarks.items():
        tensors[f"landmarks.{name}.face"] = np.ascontiguousarray(landmarks.face, np.int32)
        tensors[f"landmarks.{name}.barycentric"] = np.ascontiguousarray(landmarks.barycentric, np.float32)
    for name, mask in assets.regions.items():
        tensors[f"region.{name}"] = np.ascontiguousarray(mask, dtype=np.uint8)
    if assets.identity_center is not None:
        tensors["identity_center"] = assets.identity_center.astype(np.float32)
    if assets.exposure is not None:
        tensors["exposure"] = assets.exposure.astype(np.float16)
    metadata = {"format": HEAD_FORMAT, "expression_names": json.dumps(list(assets.expression_names))}
    if assets.succeeds:
        metadata["succeeds"] = json.dumps(list(assets.succeeds))
    if assets.skinning is not None:
        metadata["joint_names"] = json.dumps(list(assets.skinning.names))
    tensors |= _joint_tensors(assets, float_type)
    save_tensors(tensors, path, metadata)


def _joint_tensors(assets: HeadAssets, float_type: type[np.floating]) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    if assets.skinning is not None:
        for name in ("joints_mm", "identity_basis", "weights"):
            tensors[f"skinning.{name}"] = np.ascontiguousarray(getattr(assets.skinning, name), np.float32)
        tensors["skinning.correctives"] = np.ascontiguousarray(assets.skinning.correctives, float_type)
        tensors["skinning.parents"] = assets.skinning.parents.astype(np.int32)
    if assets.contour is not None:
        tensors["contour.yaw_deg"] = assets.contour.yaw_deg.astype(np.float32)
        tensors["contour.face"] = np.ascontiguousarray(assets.contour.face, np.int32)
        tensors["contour.barycentric"] = np.ascontiguousarray(assets.contour.barycentric, np.float32)
    return tensors


def load_head(path: Path) -> HeadAssets:
    """Read and validate a head file.

    Args:
        path: A `likeness-head-1` safetensors file.

    Returns:
        The head, floats as float32.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not such a file or its arrays disagree; the message names the file.
    """
    tensors, metadata = read_tensors(
        path,
        HEAD_FORMAT,
        framework="numpy",
        missing="no such head file; the default one ships in checkpoints/likeness-head/",
        remedy="`likeness head convert` makes one of a published model (docs/morphable-models.md)",
    )
    try:
        return _assets_from_tensors(tensors, metadata)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a valid head file: {error}") from error


def _assets_from_tensors(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> HeadAssets:
    floats = {name: array.astype(np.float32) for name, array in tensors.items() if array.dtype.kind == "f"}
    set_names = sorted({name.split(".")[1] for name in tensors if name.startswith("landmarks.")})
    return HeadAssets(
        vertices_mm=floats["vertices_mm"],
        faces=tensors["faces"],
        uv=floats["uv"],
        uv_faces=tensors["uv_faces"],
        identity_basis=floats["identity_basis"],
        expression_basis=floats["expression_basis"],
        expression_names=tuple(json.loads(metadata["expression_names"])),
        albedo_mean=floats["albedo_mean"],
        albedo_basis=floats["albedo_basis"],
        mirror=tensors["mirror"],
        landmarks={
            name: LandmarkSet(tensors[f"landmarks.{name}.face"], floats[f"landmarks.{name}.barycentric"])
            for name in set_names
        },
        regions={
            name.removeprefix("region."): mask.astype(bool)
            for name, mask in tensors.items()
            if name.startswith("region.")
        },
        identity_center=floats.get("identity_center"),
        exposure=floats.get("exposure"),
        succeeds=tuple(json.loads(metadata.get("succeeds", "[]"))),
        skinning=_skinning(tensors, floats, metadata),
        contour=_contour(tensors, floats),
    )


def _skinning(
    tensors: dict[str, np.ndarray], floats: dict[str, np.ndarray], metadata: dict[str, str]
) -> Skinning | None:
    if "joint_names" not in metadata:
        return None
    names = ("joints_mm", "identity_basis", "weights", "correctives")
    arrays = {name: floats[f"skinning.{name}"] for name in names}
    return Skinning(tuple(json.loads(metadata["joint_names"])), tensors["skinning.parents"], **arrays)


def _contour(tensors: dict[str, np.ndarray], floats: dict[str, np.ndarray]) -> YawContour | None:
    if "contour.face" not in tensors:
        return None
    return YawContour(floats["contour.yaw_deg"], tensors["contour.face"], floats["contour.barycentric"])
