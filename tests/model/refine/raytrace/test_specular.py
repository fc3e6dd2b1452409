import math

import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace.light_basis import GaussianLight, HarmonicLight, fibonacci_directions
from model.refine.raytrace.specular import (
    cosines,
    frame,
    ggx,
    glossy_tables,
    hammersley,
    octahedral_cell,
    octahedral_directions,
    reflected,
)
from tests.model.refine.raytrace.ray_scenes import ball, ball_surface, rays_of, unit

LEVELS = (0.2, 0.45, 0.8)
NORMAL = unit(0.0, 0.0, 1.0)


def quadrature(view: torch.Tensor, alpha: float, count: int = 200_000) -> tuple[float, float]:
    """The reflection of constant light, both Fresnel parts, summed over directions that know nothing of GGX."""
    directions = fibonacci_directions(count)
    n_w = cosines(NORMAL, directions)
    value, glancing = ggx((NORMAL * view).sum(-1, keepdim=True), n_w, cosines(view, directions), alpha)
    value = value * n_w.clamp(min=0.0) * (4.0 * math.pi / count)
    return float((value * (1.0 - glancing)).sum()), float((value * glancing).sum())


@pytest.mark.parametrize("roughness", LEVELS)
@pytest.mark.parametrize("cosine", [0.95, 0.6, 0.3])
def test_drawn_half_vectors_integrate_the_same_lobe_as_plain_quadrature(roughness: float, cosine: float):
    view = unit(math.sqrt(1.0 - cosine**2), 0.0, cosine)
    _, weight, glancing = reflected(NORMAL, view, roughness**2, hammersley(4096))
    specular, grazing = float((weight * (1.0 - glancing)).mean()), float((weight * glancing).mean())
    assert (specular, grazing) == pytest.approx(quadrature(view, roughness**2), rel=0.02, abs=1e-3)


def test_a_white_furnace_never_gains_and_loses_little_when_smooth():
    surface = ball_surface()
    tables = glossy_tables(surface, rays_of(ball()), HarmonicLight(1), LEVELS, 64)
    whole = (tables.specular + tables.grazing)[..., 0]
    assert whole.max() <= 1.0 + 1e-4
    facing = (surface.points.normal * surface.view).sum(-1) > 0.6
    assert whole[facing, 0].min() > 0.97
    assert (tables.specular >= 0).all()
    assert (tables.grazing >= 0).all()


def test_a_smooth_surface_mirrors_and_a_rough_one_spreads():
    view = unit(0.5, 0.2, 0.8)
    mirrored = normalize(2.0 * (NORMAL * view).sum() * NORMAL - view, dim=-1)
    spread = {}
    for alpha in (0.02, 0.5):
        directions, weight, _ = reflected(NORMAL, view, alpha, hammersley(256))
        spread[alpha] = float((weight * (1.0 - (directions * mirrored[:, None]).sum(-1))).sum() / weight.sum())
    assert spread[0.02] < 0.01
    assert spread[0.5] > 10 * spread[0.02]


def test_light_is_reflected_from_where_it_is():
    surface, basis = ball_surface(), GaussianLight(64)
    tables = glossy_tables(surface, None, basis, LEVELS, 64)
    normal, view = surface.points.normal, surface.view
    mirrored = 2.0 * (normal * view).sum(-1, keepdim=True) * normal - view
    nearest = (mirrored @ basis.axes.T).argmax(1)
    facing = (normal * view).sum(-1) > 0.5
    strongest = tables.specular[:, 0].argmax(1)
    assert (strongest == nearest)[facing].float().mean() > 0.9


def test_the_lobe_is_the_same_with_view_and_light_exchanged():
    view, light = unit(0.3, -0.4, 0.8), unit(-0.6, 0.2, 0.5)
    n_v, n_w, v_w = (float((a * b).sum()) for a, b in ((NORMAL, view), (NORMAL, light), (view, light)))
    one, other = (ggx(torch.tensor(a), torch.tensor(b), torch.tensor(v_w), 0.2)[0] for a, b in ((n_v, n_w), (n_w, n_v)))
    torch.testing.assert_close(one, other)
    # Worked by hand for normal incidence: D = 1 / (pi alpha^2), V = 1/4.
    top = torch.tensor(1.0)
    assert float(ggx(top, top, top, 0.2)[0]) == pytest.approx(1.0 / (math.pi * 0.04) / 4.0, rel=1e-4)


def test_nothing_is_reflected_below_the_surface():
    below = torch.tensor(-0.1)
    assert float(ggx(torch.tensor(0.9), below, torch.tensor(0.3), 0.3)[0]) == 0.0
    assert float(ggx(below, torch.tensor(0.9), torch.tensor(0.3), 0.3)[0]) == 0.0


def test_drawn_directions_that_go_into_the_surface_weigh_nothing():
    directions, weight, _ = reflected(NORMAL, unit(0.98, 0.0, 0.2), 0.6, hammersley(256))
    below = directions[..., 2] <= 0.0
    assert 20 < below.sum() < 200
    assert weight[below].abs().max() == 0.0
    assert weight[~below].min() > 0.0


def test_no_samples_make_tables_of_zeros():
    surface = ball_surface(12)
    tables = glossy_tables(surface, rays_of(ball()), HarmonicLight(2), LEVELS, 0)
    assert tables.specular.shape == (len(surface), 3, 4)
    assert tables.specular.abs().max() == tables.grazing.abs().max() == 0.0


def test_frames_are_right_angled_with_the_view_on_the_tangents_side():
    normal = normalize(torch.randn(50, 3, generator=torch.manual_seed(0)), dim=-1)
    view = normalize(normal + 0.8 * torch.randn(50, 3, generator=torch.manual_seed(1)), dim=-1)
    view[:5] = normal[:5]
    tangent, bitangent = frame(normal, view)
    axes = torch.stack((tangent, bitangent, normal), dim=1)
    torch.testing.assert_close(axes @ axes.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-4, rtol=0)
    assert ((tangent * view).sum(-1)[5:] >= 0).all()
    torch.testing.assert_close(torch.linalg.det(axes), torch.ones(50), atol=1e-4, rtol=0)


def test_octahedral_cells_hold_their_directions():
    directions = octahedral_directions(64)
    assert torch.equal(octahedral_cell(directions, 64), torch.arange(64 * 64))
    some = fibonacci_directions(5000)
    found = directions[octahedral_cell(some, 64)]
    assert (found * some).sum(-1).clamp(max=1.0).acos().max() < math.radians(3.8)
