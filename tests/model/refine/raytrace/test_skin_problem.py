from dataclasses import replace

import pytest
import torch

from model.refine.raytrace.skin_problem import observe
from model.render.color import linear_to_srgb, luminance, srgb_to_linear
from tests.model.refine.raytrace.known_faces import COMPONENTS, known_face


def test_the_photograph_itself_has_no_residual():
    problem = known_face().problem
    assert float(problem.residual_srgb(problem.observed_linear).abs().max()) == 0.0
    # 1 in 1000 of the range, which keeps the distance smooth.
    assert float(problem.distance(problem.observed_linear)) == pytest.approx(0.001, rel=1e-3)
    assert problem.psnr_db(problem.observed_linear) == pytest.approx(100.0)


def test_a_saturated_channel_pulls_only_up():
    problem = known_face().problem
    problem.saturated[0, 1] = True
    brighter, darker = problem.observed_linear + 0.3, 0.5 * problem.observed_linear
    assert float(problem.residual_srgb(brighter)[0, 1]) == 0.0
    assert (problem.residual_srgb(brighter)[0, ::2] > 0.0).all()
    assert (problem.residual_srgb(brighter)[1:] > 0.0).all()
    assert (problem.residual_srgb(darker) < 0.0).all()


def test_residuals_are_as_they_look():
    problem = known_face().problem
    expected = linear_to_srgb(problem.observed_linear + 0.05) - linear_to_srgb(problem.observed_linear)
    torch.testing.assert_close(problem.residual_srgb(problem.observed_linear + 0.05), expected)


def test_against_a_grey_photograph_only_luminance_is_compared():
    problem = known_face(color=False).problem
    tinted = problem.observed_linear * torch.tensor([1.4, 1.0, 0.6])
    tinted = tinted / luminance(tinted)[:, None] * problem.observed_linear[:, :1]
    assert float(problem.residual_srgb(tinted).abs().max()) < 1e-5
    assert problem.psnr_db(tinted) > 80.0
    assert replace(problem, color=True).psnr_db(tinted) < 40.0


def test_samples_count_by_their_weight():
    problem = known_face().problem
    half = problem.observed_linear.clone()
    half[:200] = 0.9
    problem.weight[:200] = 0.0
    assert float(problem.distance(half)) < 0.002
    assert problem.psnr_db(half) == pytest.approx(100.0)
    problem.weight[:200] = 1e-3
    assert problem.psnr_db(half) < 60.0


def test_where_nothing_is_seen_everything_is_finite():
    problem = known_face().problem
    problem.weight[:] = 0.0
    assert float(problem.distance(problem.observed_linear + 0.3)) == 0.0
    assert problem.psnr_db(problem.observed_linear + 0.3) == pytest.approx(100.0)
    assert problem.tone(problem.albedo_mean).isfinite().all()


def test_a_picture_is_judged_as_it_is_shown():
    problem = known_face().problem
    problem.observed_linear[:] = 1.0
    assert problem.psnr_db(torch.full_like(problem.observed_linear, 3.0)) == pytest.approx(100.0)


def test_psnr_is_that_of_the_mean_square():
    problem = known_face().problem
    off = srgb_to_linear(linear_to_srgb(problem.observed_linear) - 0.01)
    assert problem.psnr_db(off) == pytest.approx(40.0, abs=0.05)


def test_albedo_is_linear_in_the_coefficients_within_what_skin_can_be():
    problem = known_face().problem
    coefficients = torch.zeros(COMPONENTS)
    torch.testing.assert_close(problem.albedo_linear(coefficients), problem.albedo_mean)
    coefficients[0] = 0.5
    expected = problem.albedo_mean + 0.5 * problem.albedo_basis[0]
    torch.testing.assert_close(problem.albedo_linear(coefficients), expected)
    coefficients[0] = 100.0
    extreme = problem.albedo_linear(coefficients)
    assert 0.009 < float(extreme.min()) < float(extreme.max()) <= 1.0
    assert extreme.log().isfinite().all()


def test_tone_is_the_log_of_the_geometric_mean_of_what_is_seen():
    problem = known_face().problem
    albedo = problem.albedo_mean.clone()
    albedo[:200] = 0.9
    problem.weight[:200] = 0.0
    torch.testing.assert_close(problem.tone(albedo).exp(), problem.albedo_mean[0])
    torch.testing.assert_close(problem.tone(2.0 * albedo) - problem.tone(albedo), torch.full((3,), 2.0).log())


def test_a_part_holds_the_same_of_fewer_samples():
    face, which = known_face(), torch.tensor([5, 399, 0])
    part = face.problem.part(which)
    torch.testing.assert_close(
        part.albedo_linear(face.coefficients), face.problem.albedo_linear(face.coefficients)[which]
    )
    torch.testing.assert_close(part.tables.diffuse, face.problem.tables.diffuse[which])
    residual = part.residual_srgb(torch.zeros(3, 3))
    torch.testing.assert_close(residual, face.problem.residual_srgb(torch.zeros(400, 3))[which])
    for name in ("weight", "uv", "regions", "saturated"):
        assert torch.equal(getattr(part, name), getattr(face.problem, name)[which])


def test_samples_are_observed_at_their_pixels():
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.9
    image[1, 2, 3], image[2, 0, 1] = 1.0, 0.986
    values, saturated = observe(image, torch.tensor([2 * 4 + 3, 1, 1]))
    torch.testing.assert_close(linear_to_srgb(values), torch.stack((image[:, 2, 3], image[:, 0, 1], image[:, 0, 1])))
    assert saturated.tolist() == [[False, True, False], [False, False, True], [False, False, True]]
