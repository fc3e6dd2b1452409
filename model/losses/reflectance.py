"""Reflectance consistency: the skin of one face has nearly one colour."""

from jaxtyping import Bool, Float
from torch import Tensor


def reflectance_variance(
    albedo_linear: Float[Tensor, "batch vertex 3"], skin: Bool[Tensor, " vertex"]
) -> Float[Tensor, ""]:
    """Variance of the albedo within the skin of each face, summed over the channels, mean over the faces.

    Keeps shadows and lamps out of the skin (`reflectance loss` of Deng et al., CVPRW 2019, section 3.2, from Tewari
    et al., FML; Dib et al.'s NextFace has it as `consistency`).

    Args:
        albedo_linear: Diffuse albedo.
        skin: Vertices that are bare skin.

    Raises:
        ValueError: If no vertex is.
    """
    if skin.device.type == "cpu" and not bool(skin.any()):
        raise ValueError("no vertex of this head is skin: its reflectance cannot be compared")
    values = albedo_linear[:, skin]
    return (values - values.mean(1, keepdim=True)).square().sum(-1).mean()
