from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.refine.raytrace.config import RaytraceConfig, RaytraceWeights
from model.refine.raytrace.descent import History
from model.refine.raytrace.light_fit import fit_light
from model.refine.raytrace.light_setup import LightSpace
from tests.model.refine.raytrace.known_faces import COMPONENTS, KnownFace, known_face

LOBES = LightSpace(nonnegative=True)
NO_WEIGHT = RaytraceWeights(**{name: 0.0 for name in vars(RaytraceWeights())})
FREE = RaytraceConfig(light_steps=60, weights=NO_WEIGHT)
CONFIG = RaytraceConfig(light_steps=60)


def fit(
    face: KnownFace,
    config: RaytraceConfig,
    light: Tensor | None = None,
    space: LightSpace = LOBES,
    history: History | None = None,
    texture: Tensor | None = None,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    if light is None:
        light = face.light.mean(0).expand_as(face.light).contiguous()
    if texture is None:
        texture = torch.ones(len(face.f0), 3)
    history = {} if history is None else history
    start = torch.zeros(COMPONENTS) if start is None else start
    return fit_light(face.problem, space, light, start, start, face.reflection, texture, config, history)


def radiance(face: KnownFace, light: Tensor, coefficients: Tensor) -> Tensor:
    return face.radiance(light, face.problem.albedo_linear(coefficients))


def test_the_photograph_is_explained_better_by_light_and_skin():
    face = known_face()
    start = face.problem.psnr_db(radiance(face, face.light.mean(0).expand_as(face.light), torch.zeros(COMPONENTS)))
    assert face.problem.psnr_db(radiance(face, *fit(face, CONFIG))) > start + 6.0


def test_from_the_truth_it_stays_there():
    face = known_face()
    light, coefficients = fit(face, FREE, face.light.clone(), start=face.coefficients)
    assert face.problem.psnr_db(radiance(face, light, coefficients)) > 40.0


@pytest.mark.slow
def test_every_term_of_light_that_cannot_be_negative_is_written_down():
    history: History = {}
    fit(known_face(), CONFIG, history=history)
    terms = {"distance", "coefficients", "tone", "white_light", "lamp_chroma", "sparsity"}
    assert set(history) == {f"light.{term}" for term in terms}
    assert all(len(line) == 60 for line in history.values())
    totals = torch.tensor(list(history.values())).sum(0)
    assert float(totals[-1]) < 0.8 * float(totals[0])


def test_every_term_of_harmonics_is_written_down():
    face, history = known_face(), History()
    space = LightSpace(False, torch.rand(20, 10) - 0.3, torch.arange(10.0))
    fit(face, CONFIG, space=space, history=history)
    terms = {"distance", "coefficients", "tone", "white_light", "negative", "band"}
    assert set(history) == {f"light.{term}" for term in terms}


def test_lobes_stay_lights_and_harmonics_may_take_away():
    face = known_face()
    face.problem.observed_linear[face.problem.uv[:, 0] < 0.5] = 0.0
    faint = torch.full_like(face.light, 0.05)
    assert float(fit(face, FREE, faint)[0].min()) >= 0.0
    assert float(fit(face, FREE, faint, LightSpace(nonnegative=False))[0].min()) < 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "term"),
    [("white_light", "light.white_light"), ("lamp_chroma", "light.lamp_chroma"), ("sparsity", "light.sparsity")],
)
def test_what_is_believed_of_light_pulls_at_it(weight: str, term: str):
    face = known_face(tint=(1.5, 1.0, 0.5))
    face.problem.observed_linear[::2] *= torch.tensor([1.2, 1.0, 0.8])
    heavy = replace(FREE, weights=replace(NO_WEIGHT, **{weight: 3.0}))
    barely = replace(FREE, weights=replace(NO_WEIGHT, **{weight: 1e-9}))
    generator = torch.Generator().manual_seed(1)
    start = face.light + torch.rand(face.light.shape, generator=generator)
    histories: list[History] = [{}, {}]
    for config, history in zip((heavy, barely), histories, strict=True):
        fit(face, config, start, history=history)
    assert histories[0][term][-1] / 3.0 < 0.9 * histories[1][term][-1] / 1e-9


@pytest.mark.slow
def test_skin_keeps_its_tone_and_the_texture_counts_as_skin():
    face = known_face()
    # Twice as dark: by light or by skin, who knows.
    face.problem.observed_linear.mul_(0.5)
    uniform = torch.full((len(face.f0), 3), 0.12)
    face.problem.albedo_basis[2] = uniform
    start, held, free = torch.zeros(COMPONENTS), replace(NO_WEIGHT, tone=5.0), NO_WEIGHT
    before = face.problem.tone(face.problem.albedo_linear(start))

    def moved(weights: RaytraceWeights, texture: float) -> float:
        factor = torch.full((len(face.f0), 3), texture)
        _, found = fit(face, replace(FREE, weights=weights), face.light.clone(), texture=factor)
        tone = face.problem.tone(face.problem.albedo_linear(found) * factor)
        return float((tone - before).abs().max())

    assert moved(held, 1.0) < 0.05 < 0.15 < moved(free, 1.0)
    assert moved(held, 0.9) < 0.05


@pytest.mark.slow
def test_coefficients_are_held_where_they_started():
    face = known_face()
    start = torch.full((COMPONENTS,), 0.3)
    heavy = replace(FREE, weights=replace(NO_WEIGHT, coefficients=100.0))
    _, held = fit(face, heavy, start=start)
    _, free = fit(face, FREE, start=start)
    assert float((held - start).norm()) < 0.3 * float((free - start).norm())


def test_a_grey_photograph_keeps_grey_light():
    face = known_face(color=False, tint=(1.5, 1.0, 0.5))
    light, _ = fit(face, CONFIG, face.light.clone())
    assert torch.equal(light, light[:, :1].expand(-1, 3))


def test_without_a_step_nothing_moves():
    face, history = known_face(), History()
    light, coefficients = fit(face, replace(CONFIG, light_steps=0), face.light, history=history)
    assert torch.equal(light, face.light)
    assert torch.equal(coefficients, torch.zeros(COMPONENTS))
    assert not history


def test_the_answer_carries_no_graph():
    light, coefficients = fit(known_face(), replace(CONFIG, light_steps=2))
    assert not light.requires_grad
    assert not coefficients.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_windows_leave_it_finite(value: float):
    face = known_face()
    face.problem.observed_linear[:] = value
    face.problem.saturated[:] = value == 1.0
    light, coefficients = fit(face, CONFIG, torch.zeros_like(face.light))
    assert light.isfinite().all()
    assert coefficients.isfinite().all()
