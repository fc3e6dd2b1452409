"""Silhouette: the head must cover the skin that is expected."""

from jaxtyping import Float
from torch import Tensor


def silhouette(
    coverage: Float[Tensor, "batch height width"],
    skin: Float[Tensor, "batch height width"],
    sample_weight: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Mean part of the expected skin that the rendering leaves bare.

    The segmentation term of Zhu et al., "ReDA: Reinforced Differentiable Attribute for 3D Face Reconstruction", CVPR
    2020, through the antialiased coverage, whose gradient lives at the outline. One-sided, for our label says where
    skin is and not where it ends: it stops at the brows' height above them and at the 68 points, while the head goes
    on to the ears, the neck and the scalp. Covering more is therefore free.

    Args:
        coverage: The rendering's antialiased mask.
        skin: Where skin is expected, [0, 1]; eyes may count less, the open mouth not at all.
        sample_weight: Weight of each photograph, 1 by default.

    Returns:
        A scalar in [0, 1]; 0 when no photograph has skin or weight.
    """
    area = skin.sum((1, 2))
    bare = (skin * (1.0 - coverage).clamp(0.0, 1.0)).sum((1, 2)) / area.clamp(min=1e-6)
    weight = (area > 0).to(bare.dtype)
    if sample_weight is not None:
        weight = weight * sample_weight
    return (bare * weight).sum() / weight.sum().clamp(min=1e-6)
