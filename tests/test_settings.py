"""No number of any config may be what no number is, and none is negative."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from data.augment import AugmentConfig
from data.loader_config import LoaderConfig
from data.plan import PrepareConfig
from data.synthetic import SyntheticConfig
from evaluation.inverse_rendering.faces import RenderSettings
from inference.refine_options import PictureConfig, RefineOptions
from model.encoder.backbone import EncoderConfig
from model.encoder.detail_head import DetailConfig
from model.losses.config import LossConfig
from model.person.network import PersonNetworkConfig
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.raster.config import RasterFitConfig
from model.refine.raytrace.config import LightConfig, RaytraceConfig, RaytraceWeights
from model.refine.raytrace.relight import RelightConfig
from model.refine.raytrace.sclera import ScleraConfig
from model.refine.raytrace.transport import TransportConfig
from tools.statistics.fitting import FitConfig
from tools.statistics.registration import RegistrationConfig
from tools.train_person_mask import PersonTrainingConfig
from training.config import Experiment, LoggingConfig, OptimizerConfig, ScheduleConfig, TrainerConfig
from training.person_samples import PersonAugmentConfig
from training.synthetic_geometry import SyntheticGeometryConfig

LOADER = LoaderConfig(Path())
CONFIGS = (
    AugmentConfig(),
    LOADER,
    PrepareConfig(Path(), Path()),
    SyntheticConfig(),
    RenderSettings(),
    PictureConfig(),
    RefineOptions(),
    EncoderConfig(),
    DetailConfig(),
    LossConfig(),
    LandmarkFitConfig(),
    RasterFitConfig(),
    LightConfig(),
    RaytraceConfig(),
    RaytraceWeights(),
    RelightConfig(),
    ScleraConfig(),
    TransportConfig(),
    FitConfig(),
    RegistrationConfig(),
    OptimizerConfig(),
    ScheduleConfig(),
    TrainerConfig(),
    LoggingConfig(),
    SyntheticGeometryConfig(),
    Experiment(Path(), LOADER, LOADER),
    PersonNetworkConfig(),
    PersonAugmentConfig(),
    PersonTrainingConfig(Path(), Path()),
)


SIGNED = {"least_gain_db"}
"""Settings that may be below 0."""


def wrong_numbers() -> list[tuple[Any, str, float]]:
    """Each config with each of its numbers and what it may not be; a whole number is refused by its type."""
    found = []
    for config in CONFIGS:
        for field in fields(config):
            value = getattr(config, field.name)
            if type(value) is int:
                found.append((config, field.name, -1))
            elif type(value) is float:
                found.append((config, field.name, math.nan))
                if field.name not in SIGNED:
                    found.append((config, field.name, -1.0))
    return found


@pytest.mark.parametrize(
    ("config", "name", "wrong"),
    wrong_numbers(),
    ids=lambda value: str(value) if isinstance(value, str | float | int) else type(value).__name__,
)
def test_a_number_that_cannot_be_is_refused_by_its_name(config: Any, name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(config, **{name: wrong})
