"""Crops and cameras that the network is given: what cannot be meant is refused in words, not answered with a head."""

import torch
from torch import Tensor

_MOST_OFF_AXIS = 57.0
"""The tangent of 89 degrees."""
_ROUNDING = 1e-3
"""Resampled pixels may lie so far beyond [0, 1]."""


def refuse_impossible_crops(image_srgb: Tensor, size_px: int) -> None:
    """Refuse what are no crops of a network's size with values in [0, 1].

    Values are not looked at in a graph that is compiled or exported, which has no words.

    Raises:
        ValueError: Saying what is wrong.
        TypeError: If the pixels are whole numbers.
    """
    if image_srgb.ndim != 4 or image_srgb.shape[1] != 3:
        raise ValueError(f"crops of shape {tuple(image_srgb.shape)}: expected (batch, 3, {size_px}, {size_px})")
    if image_srgb.shape[-2:] != (size_px, size_px):
        raise ValueError(f"crops are {tuple(image_srgb.shape[-2:])} px, this model takes {size_px}")
    if not image_srgb.is_floating_point():
        raise TypeError(
            f"crops are of type {image_srgb.dtype}: expected sRGB in [0, 1]; divide pixels of 8 bits by 255"
        )
    if torch.compiler.is_compiling() or not image_srgb.numel():
        return
    lowest, highest = (float(value) for value in torch.aminmax(image_srgb))
    # What is no number compares as false with everything.
    if not (lowest >= -_ROUNDING and highest <= 1.0 + _ROUNDING):
        raise ValueError(
            f"pixels of the crops lie between {lowest:.4g} and {highest:.4g}: expected sRGB in [0, 1], without NaN and "
            "without mean and deviation of a data set taken out"
        )


def refuse_impossible_cameras(intrinsics_px: Tensor, image_srgb: Tensor) -> None:
    """Refuse what are no intrinsics of a batch of crops.

    Raises:
        ValueError: Saying what is wrong.
    """
    # Compared like this, the batch of an exported graph stays open.
    if intrinsics_px.shape[1:] != (3, 3) or intrinsics_px.shape[0] != image_srgb.shape[0]:
        count = image_srgb.shape[0]
        raise ValueError(f"intrinsics of shape {tuple(intrinsics_px.shape)}: expected ({count}, 3, 3), one a crop")
    if torch.compiler.is_compiling():
        return
    matrices = intrinsics_px.detach().double().cpu()
    if not bool(torch.isfinite(matrices).all()):
        raise ValueError("intrinsics hold values that are not finite")
    if not bool((matrices[:, (0, 1), (0, 1)] > 0.0).all()):
        lengths = matrices[:, (0, 1), (0, 1)].tolist()
        raise ValueError(
            f"focal lengths of {lengths} px: expected positive ones, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
        )
    middles = 0.5 * torch.tensor([image_srgb.shape[-1], image_srgb.shape[-2]], dtype=torch.float64)
    off = (middles - matrices[:, (0, 1), (2, 2)]) / matrices[:, (0, 1), (0, 1)]
    if bool((off.norm(dim=-1) > _MOST_OFF_AXIS).any()):
        raise ValueError(
            f"principal points at {matrices[:, (0, 1), (2, 2)].tolist()} px: no camera sees crops so far off its axis; "
            "state them in px of the crop"
        )
    rest = matrices[:, (0, 1, 2, 2, 2), (1, 0, 0, 1, 2)]
    if not torch.allclose(rest, rest.new_tensor([0.0, 0.0, 0.0, 0.0, 1.0]), atol=1e-3):
        raise ValueError("intrinsics with a skew or another last row than [0, 0, 1]: undistort the photograph first")
