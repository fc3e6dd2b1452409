"""What losses need to know of a head model, computed once: who mirrors whom, who neighbours whom, what is skin."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from common.blendshapes import BLENDSHAPES
from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin
from model.geometry.mesh import uniform_laplacian, vertex_normals

# Half steps to the neighbours' mean: they even out the folds of lids and lips, whose normals say nothing of a turn.
_SMOOTHING_STEPS = 20


class LossTables(nn.Module):
    """A module only so that it follows the model to its device; nothing in it is trained or saved.

    Attributes:
        faces: Triangles.
        mirror: Mirror vertex of each vertex.
        skin: Vertices of the face's bare skin, without eyes, lips and mouth.
        normals68: Smoothed unit normals of iBUG's points on the mean head, model space.
        normals478: The same of MediaPipe's points.
        identity_center: Centre of the identity prior.
        alphabetical: Place of each blendshape in alphabetical order; empty for a head without ARKit's 52.
    """

    faces: Int[Tensor, "face 3"]
    mirror: Int[Tensor, " vertex"]
    skin: Bool[Tensor, " vertex"]
    normals68: Float[Tensor, "68 3"]
    normals478: Float[Tensor, "478 3"]
    identity_center: Float[Tensor, " identity"]
    alphabetical: Int[Tensor, " blendshape"]

    def __init__(self, model: MorphableModel) -> None:
        """Compute them for a head with both landmark sets.

        Raises:
            KeyError: If the head lacks a landmark set.
        """
        super().__init__()
        laplacian = uniform_laplacian(model.faces, len(model.mean_mm))
        normals = vertex_normals(model.mean_mm[None], model.faces)[0]
        for _ in range(_SMOOTHING_STEPS):
            normals = normals + 0.5 * (laplacian @ normals)
        for name, tensor in {
            "faces": model.faces,
            "mirror": model.mirror.long(),
            "skin": _skin(model),
            # Not one sparse buffer: those cannot be sent from process to process.
            "laplacian_indices": laplacian.indices(),
            "laplacian_values": laplacian.values(),
            "normals68": _unit(model.landmarks(normals[None], "ibug68")[0]),
            "normals478": _unit(model.landmarks(normals[None], "mediapipe478")[0]),
            "identity_center": model.identity_center,
            "alphabetical": _alphabetical(model),
        }.items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def laplacian(self) -> Float[Tensor, "vertex vertex"]:
        """The sparse uniform Laplacian (`model.geometry.mesh`)."""
        indices, values = self.get_buffer("laplacian_indices"), self.get_buffer("laplacian_values")
        size = (len(self.mirror), len(self.mirror))
        return torch.sparse_coo_tensor(indices, values, size, is_coalesced=True, check_invariants=False)


def _alphabetical(model: MorphableModel) -> Int[Tensor, " blendshape"]:
    names = model.expression_names
    order = sorted(range(len(names)), key=lambda index: names[index])
    return torch.tensor(order if len(order) == BLENDSHAPES else [], dtype=torch.long, device=model.mean_mm.device)


def _skin(model: MorphableModel) -> Bool[Tensor, " vertex"]:
    skin = facial_skin(model, "lips")
    return skin & model.region("skin") if "skin" in model.region_names else skin


def _unit(normals: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    return torch.nn.functional.normalize(normals, dim=-1)
