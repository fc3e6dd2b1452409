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
from model.encoder.refinement_head import RefinementConfig
from model.losses.config import LossConfig
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.raster.config import RasterFitConfig
from model.refine.raytrace.config import LightConfig, RaytraceConfig, RaytraceWeights
from model.refine.raytrace.relight import RelightConfig
from model.refine.raytrace.sclera import ScleraConfig
from model.refine.raytrace.transport import TransportConfig
from tools.statistics.fitting import FitConfig
from tools.statistics.registration import RegistrationConfig
from training.config import Experiment, LoggingConfig, OptimizerConfig, ScheduleConfig, TrainerConfig
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
    RefinementConfig(),
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
)


def numbers_of(config: Any) -> list[str]:
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return [name for name, value in values.items() if type(value) in (int, float)]


@pytest.mark.parametrize(
    ("config", "name"),
    [(config, name) for config in CONFIGS for name in numbers_of(config)],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("wrong", [math.nan, -1])
def test_a_number_that_cannot_be_is_refused_by_its_name(config: Any, name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(config, **{name: wrong})
