import pytest
import torch

from model.refine.raytrace.light_basis import (
    GaussianLight,
    HarmonicLight,
    environment,
    fibonacci_directions,
    latlong_directions,
)
from model.render.lighting import spherical_harmonics

EVERYWHERE = fibonacci_directions(20000)


def test_harmonics_are_orthonormal_over_the_mean_of_all_directions():
    values = HarmonicLight(9).radiance(EVERYWHERE)
    torch.testing.assert_close(values.T @ values / len(values), torch.eye(81), atol=2e-3, rtol=0)


def test_the_power_of_a_band_is_the_same_in_every_direction():
    values = HarmonicLight(9).radiance(EVERYWHERE[::97])
    for band in range(9):
        power = values[:, band**2 : (band + 1) ** 2].square().sum(1)
        torch.testing.assert_close(power, torch.full_like(power, 2 * band + 1), atol=1e-3, rtol=0)


def test_three_bands_are_the_radiance_whose_shading_the_renderer_draws():
    convolution = torch.tensor([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5)
    torch.testing.assert_close(
        HarmonicLight(3).radiance(EVERYWHERE[::97]) * convolution,
        spherical_harmonics(EVERYWHERE[::97]),
        atol=1e-5,
        rtol=0,
    )


def test_gaussians_of_one_are_radiance_one_from_everywhere():
    radiance = GaussianLight(64).radiance(EVERYWHERE).sum(1)
    assert radiance.mean() == pytest.approx(1.0, abs=0.005)
    assert radiance.std() < 0.04


def test_gaussians_are_never_negative_and_peak_at_their_axes():
    basis = GaussianLight(32)
    assert basis.radiance(EVERYWHERE).min() >= 0.0
    assert torch.equal(basis.radiance(basis.axes).argmax(0), torch.arange(32))


def test_fibonacci_directions_are_spread_evenly():
    directions = fibonacci_directions(512)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(512))
    assert directions.mean(0).abs().max() < 5e-3
    nearest = (directions @ directions.T - 2 * torch.eye(512)).amax(1)
    assert nearest.acos().min() > 0.75 * nearest.acos().median()


def test_the_environment_picture_is_the_right_way_round():
    # One band of light from above, from behind the head (-z) and from +x.
    basis, light = HarmonicLight(2), torch.zeros(4, 3)
    light[1, 0], light[2, 1], light[3, 2] = 1.0, -1.0, 1.0
    picture = environment(basis, light, 16, 32)
    assert picture[0, :, 0].min() > picture[8, :, 0].max()
    row, column = divmod(int(picture[:, :, 1].argmax()), 32)
    assert row in (7, 8)
    assert column in (15, 16)
    row, column = divmod(int(picture[:, :, 2].argmax()), 32)
    assert row in (7, 8)
    assert column in (23, 24)


def test_latlong_directions_are_unit_vectors():
    torch.testing.assert_close(latlong_directions(8, 16).norm(dim=-1), torch.ones(8, 16))


@pytest.mark.parametrize("bands", [0, 10])
def test_too_few_or_many_bands_are_refused(bands: int):
    with pytest.raises(ValueError, match="1 to 9"):
        HarmonicLight(bands)


def test_too_few_lobes_are_refused():
    with pytest.raises(ValueError, match="4 or more"):
        GaussianLight(3)
