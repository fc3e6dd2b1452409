"""`RefinedFace`: what a refinement found out about one face."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from model.look.appearance import Appearance
from model.refine.face import FaceCrop, FittedFace, StageRecord


@dataclass(frozen=True)
class Raytraced:
    """What the ray-traced stage adds to a face.

    Attributes:
        appearance: Skin and light.
        rendered_linear: The face as they make it look, linear RGB.
        mask: Where that is known, [0, 1].
        albedo_linear: The diffuse albedo as the window shows it, where the mask is.
    """

    appearance: Appearance
    rendered_linear: Float[Tensor, "size size 3"]
    mask: Float[Tensor, "size size"]
    albedo_linear: Float[Tensor, "size size 3"]


@dataclass(frozen=True)
class StageAnswer:
    """What a stage answers.

    Attributes:
        fitted: The face.
        raytraced: Of the ray-traced stage.
    """

    fitted: FittedFace
    raytraced: Raytraced | None = None


Stage = Callable[[FaceCrop, FittedFace | None], tuple[StageAnswer, StageRecord]]
"""A stage with its settings; it may raise. Only the first one may start from nothing, which is the mean head."""


@dataclass(frozen=True)
class RefinedFace:
    """What became of a face.

    Attributes:
        crop: The window of the photograph that it was fitted in.
        start: The face before: the network's, or without it what the first stage made of the mean head.
        fitted: The face now.
        records: What each stage says of itself.
        raytraced: Of the ray-traced stage, where it was run and its answer accepted.
        path_traced_srgb: The head in its light by a path tracer, if one was asked.
    """

    crop: FaceCrop
    start: FittedFace
    fitted: FittedFace
    records: tuple[StageRecord, ...]
    raytraced: Raytraced | None = None
    path_traced_srgb: UInt8[np.ndarray, "picture picture 3"] | None = None
