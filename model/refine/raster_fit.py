"""Stage 1: the whole statistical head and its light, by rasterization, coarse to fine."""

from dataclasses import dataclass

from model.face.morphable_model import MorphableModel
from model.identity.network import IdentityNetwork
from model.refine.face import FaceCrop, FittedFace, StageRecord


@dataclass(frozen=True)
class RasterFitConfig:
    """Settings; to come."""


def fit_raster(
    morphable_model: MorphableModel,
    crop: FaceCrop,
    start: FittedFace,
    config: RasterFitConfig,
    identity_network: IdentityNetwork | None = None,
) -> tuple[FittedFace, StageRecord]:
    """Fit what a picture of a face tells, by drawing it; keeps the start for now."""
    return start, StageRecord("raster", False, "not written yet", 0.0)
