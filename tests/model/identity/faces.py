"""A soft picture and a face's points in it, for the tests of recognition networks."""

import numpy as np
import torch
from torch import Tensor

from tests.small_world import ibug68_layout


def smooth_pictures(batch: int = 2, height: int = 90, width: int = 110) -> Tensor:
    """Pictures of nothing, soft enough that interpolation has little to choose."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    waves = [torch.sin(x / (9.0 + k) + i) + torch.cos(y / (7.0 + k) - i) for i in range(batch) for k in range(3)]
    return (0.5 + 0.2 * torch.stack(waves)).reshape(batch, 3, height, width)


def face_points(center_px: tuple[float, float] = (55.0, 45.0), turn_rad: float = 0.0, size_px: float = 30.0) -> Tensor:
    """iBUG's 68 of a frontal face (68, 2) somewhere in a picture, turned clockwise as seen."""
    points = torch.from_numpy(ibug68_layout() * (1.0, -1.0)).float() * size_px
    cosine, sine = float(np.cos(turn_rad)), float(np.sin(turn_rad))
    turn = torch.tensor([[cosine, -sine], [sine, cosine]])
    return points @ turn.T + torch.tensor(center_px)
