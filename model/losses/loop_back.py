"""Loop-back: a drawn head's parameters must come out of the encoder again."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.parameters import FaceParameters

# An error of this size in each group counts 1 when squared: about what is left between photographs of one face.
_EXPRESSION_SCALE, _ROTATION_SCALE_RAD, _TRANSLATION_SCALE, _LIGHTING_SCALE = 0.2, 0.1, 0.05, 0.2


def loop_back(
    predicted: FaceParameters, true: FaceParameters, sample_weight: Float[Tensor, " batch"] | None = None
) -> Float[Tensor, ""]:
    """Mean squared error of the parameters, each group in units of its own, mean over the groups.

    Genova et al., "Unsupervised Training for 3D Morphable Model Regression", CVPR 2018, section 3.4, after the
    real/synthetic loop of Tewari et al. and Kim et al. (InverseFaceNet): on drawn heads the truth is known, and the
    encoder is kept in the domain where the renderings live. Identity and albedo count in standard deviations,
    translation over the true distance, light over its true level.

    Args:
        predicted: What the encoder says of a rendering.
        true: What was drawn; no gradient flows into it.
        sample_weight: Weight of each face, 1 by default.

    Raises:
        ValueError: If the two have different numbers of coefficients.
    """
    for name in ("identity", "expression", "albedo"):
        got, wanted = getattr(predicted, name).shape, getattr(true, name).shape
        if got != wanted:
            raise ValueError(f"{name}: predicted {tuple(got)}, true {tuple(wanted)}; they must be of one head model")
    distance_mm = true.translation_mm.norm(dim=-1, keepdim=True).clamp(min=1.0)
    level = true.lighting[:, 0].mean(-1)[:, None, None].abs().clamp(min=0.1)
    turned = predicted.rotation - true.rotation.detach()
    errors = (
        predicted.identity - true.identity.detach(),
        (predicted.expression - true.expression.detach()) / _EXPRESSION_SCALE,
        predicted.albedo - true.albedo.detach(),
        # The chord of a rotation by a small angle has the square 2 angle^2 in all; the mean of nine is made that sum.
        turned.flatten(1) * (4.5**0.5 / _ROTATION_SCALE_RAD),
        (predicted.translation_mm - true.translation_mm.detach()) / (_TRANSLATION_SCALE * distance_mm.detach()),
        ((predicted.lighting - true.lighting.detach()) / (_LIGHTING_SCALE * level.detach())).flatten(1),
    )
    squared = torch.stack([error.square().mean(1) for error in errors if error.shape[1] > 0], dim=1).mean(1)
    weight = torch.ones_like(squared) if sample_weight is None else sample_weight
    return (squared * weight).sum() / weight.sum().clamp(min=1e-6)
