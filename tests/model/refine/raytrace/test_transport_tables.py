from dataclasses import replace

import pytest
import torch

from model.refine.raytrace.transport_tables import TransportTables, glossy, irradiance, shade

SAMPLES, LIGHTS, WIDE = 4, 5, 3
LEVELS = (0.2, 0.4, 0.8)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tables(*, spread: bool, bounce: bool = True) -> TransportTables:
    wide = WIDE if spread else LIGHTS
    return TransportTables(
        diffuse=drawn(SAMPLES, LIGHTS, seed=1),
        bounce=drawn(SAMPLES, wide, 3, seed=2) if bounce else None,
        specular=drawn(SAMPLES, 3, wide, seed=3),
        grazing=drawn(SAMPLES, 3, wide, seed=4),
        roughness_levels=torch.tensor(LEVELS, dtype=torch.float64),
        spread=drawn(WIDE, LIGHTS, seed=5) if spread else None,
    )


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("bounce", [False, True])
def test_gradients_are_those_of_finite_differences(spread: bool, bounce: bool):
    light, albedo, f0 = drawn(LIGHTS, 3, seed=6), drawn(SAMPLES, 3, seed=7), drawn(SAMPLES, seed=8)
    # Below and between the levels, not on them: there is a kink.
    roughness = torch.tensor([0.25, 0.39, 0.55, 0.7], dtype=torch.float64)
    unknowns = [value.clone().requires_grad_() for value in (light, albedo, f0, roughness)]
    made = tables(spread=spread, bounce=bounce)
    assert torch.autograd.gradcheck(lambda *values: shade(made, *values), unknowns)
    for gradient in torch.autograd.grad(shade(made, *unknowns).sum(), unknowns):
        assert (gradient != 0.0).all()


@pytest.mark.parametrize("spread", [False, True])
def test_radiance_is_what_the_tables_say(spread: bool):
    made, light, albedo = tables(spread=spread), drawn(LIGHTS, 3, seed=6), drawn(SAMPLES, 3, seed=7)
    f0, roughness = drawn(SAMPLES, seed=8), torch.full((SAMPLES,), 0.5, dtype=torch.float64)
    wide = light if made.spread is None else made.spread @ light
    assert made.bounce is not None
    found = shade(made, light, albedo, f0, roughness)
    for sample in range(SAMPLES):
        for channel in range(3):
            arriving = made.diffuse[sample] @ light[:, channel]
            arriving += made.bounce[sample, :, channel] @ wide[:, channel]
            # 0.5 is a quarter of the way from 0.4 to 0.8.
            specular = 0.75 * made.specular[sample, 1] + 0.25 * made.specular[sample, 2]
            grazing = 0.75 * made.grazing[sample, 1] + 0.25 * made.grazing[sample, 2]
            expected = albedo[sample, channel] * arriving + (f0[sample] * specular + grazing) @ wide[:, channel]
            torch.testing.assert_close(found[sample, channel], expected)


@pytest.mark.parametrize(("roughness", "level"), [(0.05, 0), (0.2, 0), (0.4, 1), (0.8, 2), (1.0, 2)])
def test_roughness_on_and_beyond_the_levels_has_the_nearest_table(roughness: float, level: int):
    made, light, f0 = tables(spread=False), drawn(LIGHTS, 3, seed=6), drawn(SAMPLES, seed=8)
    found = glossy(made, light, f0, torch.full((SAMPLES,), roughness, dtype=torch.float64))
    expected = (f0[:, None] * made.specular[:, level] + made.grazing[:, level]) @ light
    torch.testing.assert_close(found, expected)


def test_some_of_the_samples_are_shaded_as_among_all():
    made, light, albedo = tables(spread=True), drawn(LIGHTS, 3, seed=6), drawn(SAMPLES, 3, seed=7)
    f0, roughness, which = drawn(SAMPLES, seed=8), drawn(SAMPLES, seed=9), torch.tensor([3, 1])
    found = shade(made.part(which), light, albedo[which], f0[which], roughness[which])
    torch.testing.assert_close(found, shade(made, light, albedo, f0, roughness)[which])


def test_without_bounce_only_direct_light_arrives():
    made, light = tables(spread=True), drawn(LIGHTS, 3, seed=6)
    torch.testing.assert_close(irradiance(replace(made, bounce=None), light), made.diffuse @ light)


def test_every_table_goes_to_the_other_device():
    moved = tables(spread=True).to(torch.device("meta"))
    assert all(tensor.device.type == "meta" for tensor in vars(moved).values())
    assert tables(spread=False, bounce=False).to(torch.device("cpu")).bounce is None
