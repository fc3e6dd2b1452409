"""Soft symmetry: a face's two sides have nearly the same skin and shape."""

from jaxtyping import Float, Int
from torch import Tensor

# How strongly two sides that the photograph shows are pulled together, over how strongly a hidden one follows.
_BOTH_SEEN = 0.1


def mirror_difference(
    values: Float[Tensor, "batch vertex channel"],
    mirror: Int[Tensor, " vertex"],
    seen: Float[Tensor, "batch vertex"] | None = None,
    *,
    vectors: bool = False,
) -> Float[Tensor, ""]:
    """Mean absolute difference between per-vertex values and their mirror images.

    Absolute rather than squared, so that a mole may stay where it is (Wu et al., "unsup3d", CVPR 2020, make
    symmetry as soft). With `seen`, a hidden side follows the other, a side that is seen does not follow a hidden
    one, and two that are seen are pulled a little (the refiner of Lin et al., "Towards High-Fidelity 3D Face
    Reconstruction from In-the-Wild Images", CVPR 2020, falls back likewise on what was seen).

    Args:
        values: Albedo or another quantity per vertex.
        mirror: The mirror table of the morphable model.
        seen: How far the photograph shows each vertex, [0, 1].
        vectors: The values are vectors in model space, whose x changes its sign in the mirror.

    Raises:
        ValueError: If vectors have not three channels.
    """
    mirrored = values[:, mirror]
    if vectors:
        if values.shape[-1] != 3:
            raise ValueError(f"vectors have 3 channels, these values {values.shape[-1]}")
        mirrored = mirrored * values.new_tensor((-1.0, 1.0, 1.0))
    if seen is None:
        return (values - mirrored).abs().mean()
    weight = (1.0 - seen) + _BOTH_SEEN * seen * seen[:, mirror]
    return (weight.detach()[..., None] * (values - mirrored.detach()).abs()).mean()
