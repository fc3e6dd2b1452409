"""Peak signal-to-noise ratio: how near a picture is to another one.

Over which pixels it is taken, and in which space, those say who measure: the mean of squared differences is theirs.
"""

import math

import torch
from torch import Tensor

_LEAST_ERROR = 1e-10


def psnr_db(squared_error: Tensor | float) -> float:
    """The ratio for values in [0, 1].

    Args:
        squared_error: Mean of the squared differences.

    Returns:
        Decibels: 20 for differences of a tenth, 40 for those of a hundredth, 100 at the most.
    """
    if isinstance(squared_error, Tensor):
        # In its own precision.
        return float(-10.0 * torch.log10(squared_error.clamp(min=_LEAST_ERROR)))
    return -10.0 * math.log10(max(squared_error, _LEAST_ERROR))
