from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.refine.raytrace.config import RaytraceConfig, RaytraceWeights
from model.refine.raytrace.descent import History
from model.refine.raytrace.reflectance import TextureVariable, texture_side
from model.refine.raytrace.transport_tables import glossy, irradiance
from tests.model.refine.raytrace.known_faces import KnownFace, known_face

SIDE = 32
CONFIG = RaytraceConfig(texture_steps=120)
NO_WEIGHT = RaytraceWeights(**{name: 0.0 for name in vars(RaytraceWeights())})


def mole() -> Tensor:
    """Factor on the albedo of samples: one brown spot on one cheek."""
    factor = torch.ones(SIDE, SIDE, 3)
    factor[20:24, 8:12] = torch.tensor([0.6, 0.5, 0.4])
    return factor.flatten(0, 1)


def fit(face: KnownFace, config: RaytraceConfig = CONFIG) -> tuple[TextureVariable, History]:
    """The map under the true light, from the true statistical albedo."""
    problem, history = face.problem, History()
    variable = TextureVariable(problem, SIDE)
    variable.fit(
        problem,
        problem.albedo_linear(face.coefficients),
        problem.tone(problem.albedo_linear(face.coefficients)),
        irradiance(problem.tables, face.light),
        glossy(problem.tables, face.light, face.f0, face.roughness),
        config,
        history,
    )
    return variable, history


def weighted(**weights: float) -> RaytraceConfig:
    return replace(CONFIG, weights=replace(NO_WEIGHT, **weights))


@pytest.mark.slow
def test_a_known_mole_is_found_in_known_light_with_its_shadows():
    face = known_face(SIDE, texture=mole())
    variable, history = fit(face)
    found = variable(face.problem.uv).detach()
    spot = (mole() < 1.0).all(1)
    torch.testing.assert_close(found[spot].mean(0), torch.tensor([0.6, 0.5, 0.4]), atol=0.08, rtol=0)
    assert float((found[~spot] - 1.0).abs().mean()) < 0.03
    assert history["texture.distance"][-1] < 0.4 * history["texture.distance"][0]


@pytest.mark.slow
def test_light_and_dark_do_not_enter_the_texture():
    variable, _ = fit(known_face(SIDE))
    assert float(variable.raw.detach().abs().max()) < 0.01


def test_all_that_is_weighed_is_written_down():
    _, history = fit(known_face(SIDE, texture=mole()), replace(CONFIG, texture_steps=3))
    terms = {"distance", "tone", "smoothness", "symmetry", "prior", "consistency"}
    assert set(history) == {f"texture.{term}" for term in terms}
    assert all(len(line) == 3 for line in history.values())


@pytest.mark.slow
def test_a_grey_photograph_gives_one_channel_and_skin_keeps_its_colour():
    face = known_face(SIDE, color=False, texture=mole())
    variable, _ = fit(face)
    assert variable.raw.shape == (SIDE, SIDE, 1)
    factor = variable(face.problem.uv).detach()
    assert torch.equal(factor, factor[:, :1].expand(-1, 3))
    spot = (mole() < 1.0).all(1)
    assert float(factor[spot].mean()) < 0.7
    assert fit(known_face(SIDE))[0].raw.shape == (SIDE, SIDE, 3)


@pytest.mark.slow
def test_texels_that_nobody_saw_stay():
    face = known_face(SIDE, texture=mole())
    face.problem.weight[face.problem.uv[:, 1] > 0.6] = 0.0
    variable, _ = fit(face)
    # Rows of v over 0.6, without the two beside what is seen.
    unseen = slice(0, int(0.4 * SIDE) - 2)
    assert torch.equal(variable.raw[unseen], torch.zeros_like(variable.raw[unseen]))
    assert not variable.seen[unseen].any()
    assert variable.seen[-8:].all()


def test_unsure_samples_do_not_say_what_a_texel_looks_like():
    problem = known_face(SIDE).problem
    problem.weight[:] = 0.1
    assert not TextureVariable(problem, SIDE).seen.any()
    problem.weight[:] = 0.9
    assert TextureVariable(problem, SIDE).seen.all()


@pytest.mark.slow
def test_the_other_cheek_speaks_against_a_mole():
    face = known_face(SIDE, texture=mole())
    spot = (mole() < 1.0).all(1)
    alone, mirrored = (fit(face, weighted(symmetry=weight))[0](face.problem.uv).detach() for weight in (0.0, 1.0))
    assert float(mirrored[spot].mean()) > float(alone[spot].mean()) + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["consistency", "prior"])
def test_the_statistical_albedo_holds_the_texture(prior: str):
    dark = torch.full((SIDE * SIDE, 3), 0.7)
    face = known_face(SIDE, texture=dark)
    free, held = (fit(face, weighted(**{prior: weight}))[0].raw.detach() for weight in (0.0, 10.0))
    assert float(free.mean()) < -0.2
    assert abs(float(held.mean())) < 0.3 * abs(float(free.mean()))


@pytest.mark.slow
def test_the_skin_keeps_its_tone():
    face = known_face(SIDE, texture=torch.full((SIDE * SIDE, 3), 0.7))
    free, held = (fit(face, weighted(tone=weight))[0](face.problem.uv).detach().log() for weight in (0.0, 20.0))
    assert abs(float(held.mean())) < 0.2 * abs(float(free.mean()))


@pytest.mark.slow
def test_noise_is_smoothed():
    noise = 0.7 + 0.6 * torch.rand(SIDE * SIDE, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3)
    face = known_face(SIDE, texture=noise)
    rough, smooth = (fit(face, weighted(smoothness=weight))[0].raw.detach() for weight in (0.0, 1.0))
    assert float(smooth.diff(dim=0).abs().mean()) < 0.6 * float(rough.diff(dim=0).abs().mean())


@pytest.mark.slow
def test_saturated_skin_is_not_darkened():
    face = known_face(SIDE)
    bright = face.problem.observed_linear.max(1).values > 0.5
    face.problem.observed_linear[bright] *= 0.8
    face.problem.saturated[bright] = True
    variable, _ = fit(face, weighted())
    assert float(variable(face.problem.uv)[bright].detach().mean()) == pytest.approx(1.0, abs=0.02)
    face.problem.saturated[:] = False
    variable, _ = fit(face, weighted())
    assert float(variable(face.problem.uv)[bright].detach().mean()) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("nobody", [True, False])
def test_black_photographs_and_empty_faces_leave_it_finite(nobody: bool):
    face = known_face(SIDE)
    face.problem.observed_linear[:] = 0.0
    if nobody:
        face.problem.weight[:] = 0.0
    variable, history = fit(face)
    assert variable.raw.isfinite().all()
    assert all(torch.tensor(line).isfinite().all() for line in history.values())


@pytest.mark.parametrize(
    ("size_px", "texture_px", "side"), [(256, 512, 256), (512, 256, 256), (300, 1024, 256), (64, 512, 64), (8, 512, 16)]
)
def test_the_map_is_no_finer_than_the_photograph_or_what_is_written(size_px: int, texture_px: int, side: int):
    assert texture_side(size_px, texture_px) == side
