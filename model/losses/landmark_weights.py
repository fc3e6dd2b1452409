"""How much each of iBUG's 68 points counts in a landmark loss: published weights, by name, and visibility."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

_PRESETS: Mapping[str, tuple[tuple[range, float], ...]] = MappingProxyType(
    {
        "uniform": (),
        # Deng et al. 2019, the authors' code: tip of the nose's bridge and inner lips.
        "deep3d": ((range(28, 31), 20.0), (range(60, 68), 20.0)),
        # Feng et al. 2021, the authors' code: jaw's corners, nose with its tip and ends, mouth with its corners.
        "deca": (
            (range(5, 7), 2.0),
            (range(10, 12), 2.0),
            (range(27, 36), 1.5),
            (range(30, 32), 3.0),
            (range(35, 36), 3.0),
            (range(48, 68), 1.5),
            (range(48, 49), 3.0),
            (range(54, 55), 3.0),
        ),
    }
)
# Cosine between a point's normal and the way to the viewer: below the first it is hidden, above the second seen.
_HIDDEN_COSINE, _SEEN_COSINE = -0.3, 0.1


def landmark_weights(name: str) -> Float[Tensor, "68"]:
    """Weights of the 68 points, indices from 0, as published; only their ratios matter.

    Args:
        name: `uniform`, `deep3d` or `deca`.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in _PRESETS:
        raise ValueError(f"no landmark weights {name!r}; there are {', '.join(_PRESETS)}")
    weights = torch.ones(68)
    for indices, weight in _PRESETS[name]:
        weights[list(indices)] = weight
    return weights


def landmark_visibility(
    normals: Float[Tensor, "point 3"],
    rotation: Float[Tensor, "batch 3 3"],
    translation_mm: Float[Tensor, "batch 3"],
    hidden: float,
) -> Float[Tensor, "batch point"]:
    """Weights of points by the side of the head they lie on, in the pose that was answered; no gradient.

    In a profile a labeller, person or network, guesses the points of the far side. Our labels are points of a 3D
    fit, not of the visible outline, so a hidden point is still where the label says, only less surely: it counts less
    and is not moved to the contour (as Zhu et al., "3DDFA", CVPR 2016, must do with 2D labels).

    Args:
        normals: Unit normals of the points on the mean head, model space.
        rotation: Model space to camera space.
        translation_mm: Head in camera space.
        hidden: Weight of a point on the far side, 0 to 1; on the near side it is 1.
    """
    with torch.no_grad():
        to_viewer = torch.nn.functional.normalize(-translation_mm, dim=-1)
        cosine = torch.einsum("lc,bdc,bd->bl", normals, rotation, to_viewer)
        seen = ((cosine - _HIDDEN_COSINE) / (_SEEN_COSINE - _HIDDEN_COSINE)).clamp(0.0, 1.0)
        return hidden + (1.0 - hidden) * seen
