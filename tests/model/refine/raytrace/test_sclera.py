import math
from dataclasses import replace

import pytest
import torch

from model import load_reconstructor
from model.face.morphable_model import MorphableModel
from model.refine.raytrace.sclera import ScleraConfig, sclera_faces, shifted_coefficients, skin_shift
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import TransportTables

CONFIG = ScleraConfig()


def eyes(gain: float, count: int = 60) -> SkinProblem:
    """Samples of sclera under one light of radiance 1, photographed `gain` times as bright as they are."""
    white = torch.full((count, 3), 0.4)
    nothing = torch.zeros(count, 2, 1)
    tables = TransportTables(torch.ones(count, 1), None, nothing, nothing, torch.tensor([0.2, 0.8]))
    return SkinProblem(
        observed_linear=gain * white,
        saturated=torch.zeros(count, 3, dtype=torch.bool),
        weight=torch.ones(count),
        color=True,
        uv=torch.rand(count, 2),
        albedo_mean=white,
        albedo_basis=torch.randn(4, count, 3, generator=torch.Generator().manual_seed(0)) * 0.05,
        regions=torch.ones(count, 1),
        tables=tables,
    )


LIGHT = torch.ones(1, 3)


def test_eyes_as_bright_as_expected_leave_the_skin():
    assert skin_shift(eyes(1.0), LIGHT, CONFIG) == pytest.approx(0.0, abs=1e-5)


def test_eyes_brighter_than_expected_make_the_light_stronger_and_the_skin_darker_but_only_in_part():
    shift = skin_shift(eyes(1.3), LIGHT, CONFIG)
    assert -math.log(1.3) < shift < -0.3 * math.log(1.3)


def test_skin_is_made_lighter_only_a_little():
    assert skin_shift(eyes(0.5), LIGHT, CONFIG) == CONFIG.most_lighter
    assert skin_shift(eyes(0.5), LIGHT, replace(CONFIG, most_lighter=1.0)) > 2.0 * CONFIG.most_lighter


def test_lashes_over_half_of_the_eye_change_little():
    half = eyes(1.3)
    half.observed_linear[::2] *= 0.3
    assert skin_shift(half, LIGHT, CONFIG) == pytest.approx(skin_shift(eyes(1.3), LIGHT, CONFIG), abs=0.02)


@pytest.mark.parametrize("seen", [eyes(1.3, count=5), eyes(1.3, count=0), eyes(20.0), eyes(0.01)])
def test_too_few_pixels_and_what_is_no_sclera_say_nothing(seen: SkinProblem):
    assert skin_shift(seen, LIGHT, CONFIG) == 0.0


def test_few_pixels_say_less_than_many():
    assert abs(skin_shift(eyes(1.3, count=20), LIGHT, CONFIG)) < abs(skin_shift(eyes(1.3), LIGHT, CONFIG))


def test_shifted_coefficients_make_the_skin_darker_as_far_as_the_model_can():
    problem = replace(eyes(1.0), albedo_basis=torch.cat((torch.full((1, 60, 3), 0.1), eyes(1.0).albedo_basis)))
    start = torch.zeros(5)
    shifted = shifted_coefficients(problem, start, -0.3)
    ratio = (problem.tone(problem.albedo_linear(shifted)) - problem.tone(problem.albedo_linear(start))).mean()
    assert float(ratio) == pytest.approx(-0.3, abs=0.03)
    assert torch.allclose(shifted_coefficients(problem, start, 0.0), start, atol=1e-6)


def test_the_white_of_the_released_heads_eyes_is_found_without_the_iris():
    model: MorphableModel = load_reconstructor().morphable_model
    white = sclera_faces(model)
    corners = model.faces[white].long()
    assert 100 < int(white.sum()) < 2000
    assert bool(model.region("eyes")[corners].all())
    front = model.mean_mm[model.region("eyes"), 2].max()
    # The iris bulges out in the middle of the eye: no triangle of sclera is as far in front.
    assert float(model.mean_mm[corners, 2].mean(1).max()) < float(front) - 0.2
