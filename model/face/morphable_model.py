"""The morphable model as a module: coefficients in, vertices, albedo and landmarks out.

Linear in each group (Blanz & Vetter 1999; blendshapes as in Li et al., "Learning Formation of Physically-Based
Face Attributes", CVPR 2020, whose ICT-FaceKit statistics our default head carries).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from model.face.assets import HeadAssets


class MorphableModel(nn.Module):
    """V vertices, F faces, K identity, E expression, A albedo components, L landmarks.

    Attributes:
        mean_mm: Mean head in model space (V, 3).
        faces: Triangles (F, 3), int32.
        mirror: Mirror vertex of each vertex (V,).
        expression_names: The E names.
        identity_center: Mean person of the photographed people (K,), standard deviations: the centre of priors.
        exposure: How open each vertex is to be seen (V,), [0, 1]; 1 where the head's file does not tell.
    """

    mean_mm: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    uv: Float[Tensor, "texture 2"]
    uv_faces: Int[Tensor, "face 3"]
    mirror: Int[Tensor, " vertex"]
    identity_basis: Float[Tensor, "identity coordinate"]
    expression_basis: Float[Tensor, "expression coordinate"]
    albedo_mean: Float[Tensor, "vertex 3"]
    albedo_basis: Float[Tensor, "albedo coordinate"]
    identity_center: Float[Tensor, " identity"]
    exposure: Float[Tensor, " vertex"]

    def __init__(self, assets: HeadAssets) -> None:
        """Take the arrays of a head file; they become buffers, none is trained."""
        super().__init__()
        self.expression_names = assets.expression_names
        self.landmark_names = tuple(assets.landmarks)
        self.region_names = tuple(assets.regions)
        for name, array in {
            "mean_mm": assets.vertices_mm,
            "faces": assets.faces,
            "uv": assets.uv,
            "uv_faces": assets.uv_faces,
            "mirror": assets.mirror.astype(np.int64),
            # Flattened once: a coefficient vector times a (K, 3V) matrix is one matrix product.
            "identity_basis": _as_matrix(assets.identity_basis),
            "expression_basis": _as_matrix(assets.expression_basis),
            "albedo_mean": assets.albedo_mean,
            "albedo_basis": _as_matrix(assets.albedo_basis),
            "identity_center": _identity_center(assets),
            "exposure": np.ones(len(assets.vertices_mm), np.float32) if assets.exposure is None else assets.exposure,
        }.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)
        for name, landmarks in assets.landmarks.items():
            corners = assets.faces[landmarks.face].astype(np.int64)
            self.register_buffer(f"{name}_corners", torch.from_numpy(corners), persistent=False)
            self.register_buffer(f"{name}_weights", torch.from_numpy(landmarks.barycentric), persistent=False)
            # The few landmarks have small bases of their own: a training step on them alone is ten times cheaper.
            for basis in ("identity", "expression"):
                at_points = _at_landmarks(getattr(assets, f"{basis}_basis"), corners, landmarks.barycentric)
                self.register_buffer(f"{name}_{basis}", torch.from_numpy(at_points), persistent=False)
        for name, mask in assets.regions.items():
            self.register_buffer(f"region_{name}", torch.from_numpy(mask), persistent=False)

    @property
    def identity_count(self) -> int:
        """K."""
        return len(self.identity_basis)

    @property
    def expression_count(self) -> int:
        """E."""
        return len(self.expression_basis)

    @property
    def albedo_count(self) -> int:
        """A."""
        return len(self.albedo_basis)

    def vertices_mm(
        self, identity: Float[Tensor, "batch identity"], expression: Float[Tensor, "batch expression"]
    ) -> Float[Tensor, "batch vertex 3"]:
        """Vertices in model space.

        Args:
            identity: Standard deviations.
            expression: Blendshape weights, [0, 1].
        """
        offsets = identity @ self.identity_basis + expression @ self.expression_basis
        return self.mean_mm + offsets.unflatten(-1, (-1, 3))

    def neutral_mm(self, identity: Float[Tensor, "batch identity"]) -> Float[Tensor, "batch vertex 3"]:
        """Vertices in model space of heads at rest: the identity alone, in standard deviations, without expression."""
        return self.mean_mm + (identity @ self.identity_basis).unflatten(-1, (-1, 3))

    def albedo_linear(self, albedo: Float[Tensor, "batch albedo"]) -> Float[Tensor, "batch vertex 3"]:
        """Albedo per vertex in linear RGB. Not clamped, so that its gradient never dies; clamp where it is shown."""
        return self.albedo_mean + (albedo @ self.albedo_basis).unflatten(-1, (-1, 3))

    def landmarks(
        self, vertices: Float[Tensor, "batch vertex channel"], name: str = "ibug68"
    ) -> Float[Tensor, "batch landmark channel"]:
        """The points of a landmark set, interpolated from per-vertex values of any space.

        Raises:
            KeyError: If the head has no such set; the message lists those it has.
        """
        if name not in self.landmark_names:
            raise KeyError(f"this head has no landmarks {name!r}; it has {', '.join(self.landmark_names) or 'none'}")
        corners, weights = self.get_buffer(f"{name}_corners"), self.get_buffer(f"{name}_weights")
        return (vertices[:, corners] * weights[None, :, :, None]).sum(2)

    def landmarks_mm(
        self,
        identity: Float[Tensor, "batch identity"],
        expression: Float[Tensor, "batch expression"],
        name: str = "ibug68",
    ) -> Float[Tensor, "batch landmark 3"]:
        """Landmarks in model space, equal to `landmarks(vertices_mm(...), name)` without the other vertices."""
        mean = self.landmarks(self.mean_mm[None], name)
        offsets = identity @ self.get_buffer(f"{name}_identity") + expression @ self.get_buffer(f"{name}_expression")
        return mean + offsets.unflatten(-1, (-1, 3))

    def region(self, name: str) -> Bool[Tensor, " vertex"]:
        """Vertex mask of a named region.

        Raises:
            KeyError: If the head has no such region; the message lists those it has.
        """
        if name not in self.region_names:
            raise KeyError(f"this head has no region {name!r}; it has {', '.join(self.region_names) or 'none'}")
        return self.get_buffer(f"region_{name}")


def _identity_center(assets: HeadAssets) -> Float[np.ndarray, " identity"]:
    if assets.identity_center is None:
        return np.zeros(len(assets.identity_basis), np.float32)
    return assets.identity_center


def _as_matrix(basis: Float[np.ndarray, "component vertex 3"]) -> Float[np.ndarray, "component coordinate"]:
    # Not reshape(len, -1): a head straight from a reader has no albedo components.
    return basis.reshape(len(basis), 3 * basis.shape[1])


def _at_landmarks(
    basis: Float[np.ndarray, "component vertex 3"],
    corners: Int[np.ndarray, "landmark 3"],
    weights: Float[np.ndarray, "landmark 3"],
) -> Float[np.ndarray, "component coordinate"]:
    points = np.einsum("klcx,lc->klx", basis[:, corners], weights)
    return np.ascontiguousarray(points.reshape(len(basis), -1), dtype=np.float32)
