from typing import Any

import pytest

from model.refine.raytrace.config import LightConfig, RaytraceConfig


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"bands": 0}, "light.bands"),
        ({"bands": 10}, "light.bands"),
        ({"lamps": 19}, "light.lamps"),
        ({"gaussians": 5}, "light.gaussians"),
        ({"wide_gaussians": 5}, "light.wide_gaussians"),
        ({"directions": 63}, "light.directions"),
    ],
)
def test_light_that_cannot_be_is_refused_by_name_and_value(settings: dict[str, Any], name: str):
    with pytest.raises(ValueError, match=rf"{name} is {next(iter(settings.values()))}"):
        LightConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"texture_px": 8}, "texture_px"),
        ({"texture_px": 48}, "texture_px"),
        ({"rounds": 0}, "rounds"),
        ({"light_samples": 0}, "light_samples"),
        ({"light_steps": -1}, "light_steps"),
        ({"texture_steps": -1}, "texture_steps"),
        ({"material_steps": -1}, "material_steps"),
    ],
)
def test_settings_of_the_stage_that_cannot_be_are_refused_by_name(settings: dict[str, Any], name: str):
    with pytest.raises(ValueError, match=name):
        RaytraceConfig(**settings)


def test_the_least_and_the_most_are_allowed():
    LightConfig(bands=9, lamps=20, gaussians=6, wide_gaussians=6, directions=64)
    LightConfig(bands=1)
    RaytraceConfig(texture_px=16, rounds=1, light_samples=1, light_steps=0)
