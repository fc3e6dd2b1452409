from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.refine.raytrace.light_solver import importance, solve_in_turns, solve_light
from tests.model.refine.raytrace.known_faces import COMPONENTS, KnownFace, known_face

TINTS = [(1.0, 1.0, 1.0), (1.3, 1.0, 0.7)]


def solved(face: KnownFace, coefficients: Tensor, *, nonnegative: bool = True) -> Tensor:
    problem = face.problem
    albedo = problem.albedo_linear(coefficients)
    return solve_light(problem, albedo, face.reflection, importance(problem), nonnegative=nonnegative)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("tint", TINTS)
def test_light_of_one_colour_is_recovered(tint: tuple[float, float, float], nonnegative: bool):
    face = known_face(tint=tint)
    light = solved(face, face.coefficients, nonnegative=nonnegative)
    # The ridge leaves a few per cent.
    assert float((light - face.light).abs().max()) < 0.03 * float(face.light.max())
    radiance = face.radiance(light, face.problem.albedo_linear(face.coefficients))
    assert face.problem.psnr_db(radiance) > 50.0


def test_with_bounced_and_spread_light_it_is_recovered_too():
    face = known_face()
    tables, lights = face.problem.tables, len(face.light)
    generator = torch.Generator().manual_seed(0)
    tables = replace(
        tables,
        bounce=0.2 * torch.rand(len(tables.diffuse), 4, 3, generator=generator),
        spread=torch.rand(4, lights, generator=generator) / lights,
        specular=tables.specular[..., :4],
        grazing=tables.grazing[..., :4],
    )
    face = replace(face, problem=replace(face.problem, tables=tables))
    seen = face.radiance(face.light, face.problem.albedo_linear(face.coefficients))
    face = replace(face, problem=replace(face.problem, observed_linear=seen))
    light = solved(face, face.coefficients)
    assert float((light - face.light).abs().max()) < 0.05 * float(face.light.max())


def test_lobes_never_take_light_away_and_harmonics_may():
    face = known_face()
    # Black where a lobe shines: the best light there would be negative.
    face.problem.observed_linear[face.problem.uv[:, 0] < 0.4] = 0.0
    assert float(solved(face, face.coefficients, nonnegative=True).min()) >= 0.0
    assert float(solved(face, face.coefficients, nonnegative=False).min()) < 0.0


@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_grey_photograph_gives_grey_light(nonnegative: bool):
    face = known_face(color=False, tint=(1.3, 1.0, 0.7))
    light = solved(face, face.coefficients, nonnegative=nonnegative)
    assert torch.equal(light, light[:, :1].expand(-1, 3))
    radiance = face.radiance(light, face.problem.albedo_linear(face.coefficients))
    assert face.problem.psnr_db(radiance) > 40.0


def test_a_red_cheek_is_no_red_lamp():
    face = known_face()
    face.problem.observed_linear[face.problem.uv[:, 0] < 0.4] *= torch.tensor([1.3, 0.8, 0.8])
    light = solved(face, face.coefficients)
    shares = light / light.sum(1, keepdim=True)
    torch.testing.assert_close(shares, shares[:1].expand_as(shares))


@pytest.mark.parametrize("hidden", ["weight", "saturated"])
def test_what_is_not_seen_or_saturated_has_no_say(hidden: str):
    face = known_face()
    if hidden == "weight":
        face.problem.weight[:150] = 0.0
    else:
        # One channel of a sample: what the two others say alone would be the light's colour.
        face.problem.saturated[:150, 0] = True
    before = solved(face, face.coefficients)
    face.problem.observed_linear[:150] = 0.97
    torch.testing.assert_close(solved(face, face.coefficients), before)


def test_dark_samples_count_as_much_as_they_look():
    face = known_face()
    face.problem.observed_linear[0], face.problem.observed_linear[1] = 0.02, 0.8
    of_dark, of_bright = importance(face.problem)[:2, 0]
    assert float(of_dark) > 3.0 * float(of_bright) > 0.0


@pytest.mark.parametrize("color", [True, False])
def test_turns_explain_more_than_the_start(color: bool):
    face, start = known_face(color=color), torch.zeros(COMPONENTS)
    light, coefficients = solve_in_turns(face.problem, start, face.reflection, nonnegative=True, rounds=4)

    def psnr_db(light: Tensor, coefficients: Tensor) -> float:
        return face.problem.psnr_db(face.radiance(light, face.problem.albedo_linear(coefficients)))

    at_start = psnr_db(solved(face, start), start)
    assert psnr_db(light, coefficients) > at_start + 2.0
    if color:
        assert float((coefficients - face.coefficients).norm()) < 0.6 * float(face.coefficients.norm())


def test_coefficients_that_nothing_is_seen_of_stay():
    face = known_face()
    start = torch.linspace(-1.0, 1.0, COMPONENTS)
    _, coefficients = solve_in_turns(face.problem, start, face.reflection, nonnegative=True, rounds=2)
    torch.testing.assert_close(coefficients[2:], start[2:], atol=1e-4, rtol=0)
    face.problem.weight[:] = 0.0
    light, coefficients = solve_in_turns(face.problem, start, face.reflection, nonnegative=True, rounds=2)
    torch.testing.assert_close(coefficients, start, atol=1e-4, rtol=0)
    assert light.isfinite().all()


def test_brows_under_hair_are_not_made_up():
    face, start = known_face(), torch.zeros(COMPONENTS)
    hidden = face.problem.uv[:, 1] > 0.7
    face.problem.weight[hidden] = 0.0
    # The same where it is seen, but the twin would paint what is hidden.
    face.problem.albedo_basis[2] = face.problem.albedo_basis[0]
    face.problem.albedo_basis[2, hidden] = 0.5
    face.problem.albedo_basis[0, hidden] = 0.0
    _, coefficients = solve_in_turns(face.problem, start, face.reflection, nonnegative=True, rounds=2)
    assert float(coefficients[0]) > 0.3
    assert abs(float(coefficients[2])) < 0.2 * float(coefficients[0])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_photographs_give_finite_light(value: float):
    face = known_face()
    face.problem.observed_linear[:] = value
    face.problem.saturated[:] = value == 1.0
    start = torch.zeros(COMPONENTS)
    light, coefficients = solve_in_turns(face.problem, start, face.reflection, nonnegative=True, rounds=2)
    assert light.isfinite().all()
    assert coefficients.isfinite().all()
    assert float(light.min()) >= 0.0
