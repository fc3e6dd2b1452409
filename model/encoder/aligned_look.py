"""Looks again where the answer says that the head's points are, and corrects the answer by what is there.

Pooled features do not tell places apart, and a point's place alone keeps little of what the crop shows around it. The
features under the projected head are aligned with it, so that one layer can learn what each part's look says of the
person (mesh-aligned evidence, Zhang et al., "PyMAF", ICCV 2021).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from model.encoder.backbone import Seen
from model.encoder.point_decoder import MAP_CHANNELS

_WIDTH = 256
# What an output of one does: identity in standard deviations, blendshape weights, turn in radians, shift and depth over
# the distance. The layers learn at one rate, and shall move each of these at a fitting one.
_IDENTITY, _EXPRESSION, _TURN, _SHIFT, _DEPTH = 1.0, 0.3, 0.1, 0.02, 0.05
# Residuals of points are a few hundredths of the crop.
_RESIDUAL = 0.03


class AlignedLook(nn.Module):
    """From the features under a head's points to a step of its coefficients and pose; at first, no step."""

    unit: Float[Tensor, " unknown"]

    def __init__(self, point_count: int, feature_count: int, counts: tuple[int, int]) -> None:
        """Make the layers.

        Args:
            point_count: How many points are looked at.
            feature_count: Width of the pooled features.
            counts: Identity components and expressions of the head.
        """
        super().__init__()
        units = [_IDENTITY] * counts[0] + [_EXPRESSION] * counts[1] + [_TURN] * 3 + [_SHIFT] * 2 + [_DEPTH]
        self.register_buffer("unit", torch.tensor(units), persistent=False)
        self.at_points = nn.Linear(point_count * (MAP_CHANNELS + 2), _WIDTH)
        self.of_crop = nn.Linear(feature_count + 9, _WIDTH, bias=False)
        self.norm = nn.LayerNorm(_WIDTH)
        self.step = nn.Linear(_WIDTH, len(units))
        nn.init.zeros_(self.step.weight)
        nn.init.zeros_(self.step.bias)

    def forward(
        self,
        seen: Seen,
        answered: Float[Tensor, "batch point 2"],
        rotation: Float[Tensor, "batch 3 3"],
    ) -> Float[Tensor, "batch unknown"]:
        """What the answer is to be moved by, in the order of `PointUpdate.moved`.

        Args:
            seen: What the backbone saw.
            answered: Where the answer's points are, in sides of the crop.
            rotation: The answer's rotation.
        """
        # The places are taken as they are: what moves them is learned from the losses of the answer, and the slope
        # of a feature map is noise beside that.
        answered = answered.detach()
        assert seen.feature_map is not None  # A model that looks again has a decoder that gives one.
        under = grid_sample(seen.feature_map, (2.0 * answered - 1.0)[:, :, None], align_corners=False)[..., 0]
        residual = ((seen.points - answered) / _RESIDUAL).clamp(-3.0, 3.0)
        at_points = torch.cat((under.flatten(1), residual.flatten(1)), dim=1)
        of_crop = torch.cat((seen.pooled, rotation.detach().flatten(1)), dim=1)
        hidden = self.norm(self.at_points(at_points) + self.of_crop(of_crop)).relu()
        return self.step(hidden) * self.unit
