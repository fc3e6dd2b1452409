"""Shapes that the morphable model cannot make: smooth random bumps, so that a decoder has something to learn."""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from model.encoder.mesh_convolution import upsampling
from model.face.detail import local_frames
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region

_LEVELS_MM = {3: 1.1, 2: 0.5}
"""Standard deviation of the bumps at the nodes of each level: of about 35 and 15 mm between crests on the face."""

_SHARE_OF_BOTH_SIDES = 0.8
"""How much of the variance the two sides of a face have in common."""


class Relief:
    """Offsets along the normals of the mean head, from independent standard normal coefficients."""

    def __init__(self, model: MorphableModel, hierarchy: MeshHierarchy) -> None:
        """Prepare the fields.

        Raises:
            ValueError: If the hierarchy has too few levels.
        """
        if len(hierarchy.levels) < max(_LEVELS_MM):
            raise ValueError(
                f"relief needs a hierarchy of {max(_LEVELS_MM)} levels, this one has {len(hierarchy.levels)}"
            )
        self._ups = [upsampling(level) for level in hierarchy.levels]
        self._counts = {number: len(hierarchy.levels[number - 1].vertices) for number in _LEVELS_MM}
        self._mirror = model.mirror.long()
        moved = ~any_region(model, *NO_SKIN)
        self._normals = local_frames(model.mean_mm, model.faces)[:, 2] * moved[:, None]

    @property
    def count(self) -> int:
        """How many coefficients there are."""
        return sum(self._counts.values())

    @torch.no_grad()
    def offsets_mm(self, coefficients: Float32[np.ndarray, " coefficient"]) -> Float[Tensor, "vertex 3"]:
        """Offsets in model space.

        Raises:
            ValueError: If there are not `count` coefficients.
        """
        if len(coefficients) != self.count:
            raise ValueError(f"{len(coefficients)} relief coefficients, expected {self.count}")
        height_mm = torch.zeros(len(self._normals))
        start = 0
        for number, deviation_mm in _LEVELS_MM.items():
            nodes = torch.from_numpy(coefficients[start : start + self._counts[number]])[:, None, None]
            start += self._counts[number]
            for up in reversed(self._ups[:number]):
                nodes = up(nodes)
            height_mm = height_mm + deviation_mm * nodes[:, 0, 0]
        common = (height_mm + height_mm[self._mirror]) / 2**0.5
        mixed = _SHARE_OF_BOTH_SIDES**0.5 * common + (1.0 - _SHARE_OF_BOTH_SIDES) ** 0.5 * height_mm
        return mixed[:, None] * self._normals
