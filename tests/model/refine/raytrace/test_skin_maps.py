from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from model.look.atlas import Atlas, build_atlas
from model.look.materials import REGIONS, Materials, statistical_materials
from model.refine.raytrace.maps import SkinMaps, skin_maps
from model.refine.raytrace.skin_problem import SkinProblem
from tests.model.refine.fit_scenes import model
from tests.model.refine.raytrace.known_faces import known_face

SIZE, FOUND = 64, 32
NOTHING = torch.zeros(len(REGIONS), 2)


@cache
def atlas() -> Atlas:
    return build_atlas(model(), SIZE)


def seen(*, left: bool = True, right: bool = True) -> SkinProblem:
    """The front of the face, or one side of it."""
    problem = known_face(2 * FOUND).problem
    u, v = problem.uv.unbind(1)
    inside = (v > 0.25) & (v < 0.75) & (u > (0.25 if right else 0.5)) & (u < (0.75 if left else 0.5))
    return replace(problem, weight=inside.float())


def made(problem: SkinProblem, log_texture: Tensor, factors: Tensor = NOTHING, albedo: float = 0.4) -> SkinMaps:
    vertex_albedo = torch.full((len(model().mirror), 3), albedo)
    return skin_maps(model(), atlas(), vertex_albedo, log_texture, problem, statistical_materials(model()), factors)


def place(u: float, v: float, size: int = SIZE) -> tuple[int, int]:
    return int((1.0 - v) * size), int(u * size)


def mole(u: float = 0.62, v: float = 0.5) -> Tensor:
    texture = torch.zeros(FOUND, FOUND, 3)
    row, column = place(u, v, FOUND)
    texture[row - 1 : row + 3, column - 1 : column + 3] = torch.tensor([-0.5, -0.8, -1.0])
    return texture


def test_values_are_finite_and_in_range():
    noise = 3.0 * torch.randn(FOUND, FOUND, 3, generator=torch.Generator().manual_seed(0))
    maps = made(seen(), noise)
    for values in (maps.diffuse_linear, maps.specular_f0, maps.roughness, maps.known, maps.vertex_albedo_linear):
        assert np.isfinite(values).all()
        assert 0.0 <= values.min() <= values.max() <= 1.0
    assert maps.diffuse_linear.shape == (SIZE, SIZE, 3)


def test_without_a_texture_the_skin_is_the_statistical_one():
    maps = made(seen(), torch.zeros(FOUND, FOUND, 3))
    np.testing.assert_allclose(maps.diffuse_linear, 0.4, atol=1e-4)
    np.testing.assert_allclose(maps.vertex_albedo_linear, 0.4, atol=1e-4)


def test_known_is_what_was_seen():
    known = made(seen(right=False), mole()).known
    assert known[place(0.62, 0.5)] > 0.95
    for u, v in ((0.38, 0.5), (0.05, 0.5), (0.62, 0.05), (0.62, 0.95)):
        assert known[place(u, v)] == 0.0
    assert not made(replace(seen(), weight=torch.zeros(4 * FOUND * FOUND)), mole()).known.any()


def test_gaps_between_samples_are_closed_and_the_edge_is_soft():
    problem = seen()
    sparse = problem.weight.clone()
    sparse[::3] = 0.0
    known = made(replace(problem, weight=sparse), mole()).known
    assert known[place(0.5, 0.5)] > 0.9
    assert ((known > 0.1) & (known < 0.9)).any()


def test_what_was_seen_is_drawn_where_it_was_seen():
    diffuse = made(seen(), mole()).diffuse_linear
    expected = 0.4 * np.exp([-0.5, -0.8, -1.0])
    row, column = place(0.62, 0.5)
    np.testing.assert_allclose(diffuse[row + 1, column + 1], expected, atol=0.03)
    np.testing.assert_allclose(diffuse[place(0.5, 0.5)], 0.4, atol=0.02)


def test_what_one_side_hides_the_mirror_tells():
    row, column = place(0.62, 0.5)
    there = row + 1, SIZE - 1 - (column + 1)
    completed = made(seen(right=False), mole()).diffuse_linear[there]
    assert (completed < 0.32).all()
    assert completed[2] < completed[0]
    # A side that was seen itself does not ask the other.
    np.testing.assert_allclose(made(seen(), mole()).diffuse_linear[there], 0.4, atol=0.02)


def test_a_grey_texture_darkens_all_channels_alike():
    maps = made(seen(), mole()[..., :1])
    np.testing.assert_allclose(maps.diffuse_linear, maps.diffuse_linear[..., :1].repeat(3, -1), atol=1e-6)
    assert maps.diffuse_linear.min() < 0.3


def test_the_neck_has_the_tone_of_the_face():
    darker = torch.full((FOUND, FOUND, 3), -0.3)
    maps = made(seen(), darker)
    np.testing.assert_allclose(maps.diffuse_linear, 0.4 * np.exp(-0.3), atol=0.02)
    np.testing.assert_allclose(maps.vertex_albedo_linear, 0.4 * np.exp(-0.3), atol=0.02)


def test_where_nothing_was_seen_the_texture_counts_for_nothing():
    nobody = replace(seen(), weight=torch.zeros(4 * FOUND * FOUND))
    np.testing.assert_allclose(made(nobody, mole()).diffuse_linear, 0.4, atol=1e-3)


def test_vertices_have_what_the_map_has():
    maps = made(seen(right=False), mole())
    head = model()
    covered = atlas().sample(maps.vertex_albedo_linear)
    drawn = maps.diffuse_linear[atlas().covered]
    assert np.abs(covered - drawn).mean() < 0.02
    spot = ((head.uv - torch.tensor([0.64, 0.48])).norm(dim=1)).argmin()
    assert maps.vertex_albedo_linear[head.faces[head.uv_faces == spot][0]].max() < 0.37


@pytest.mark.parametrize("column", [0, 1])
def test_regional_factors_change_their_region_only(column: int):
    factors, region = NOTHING.clone(), REGIONS.index("lips")
    factors[region, column] = 0.4
    before, after = made(seen(), mole()), made(seen(), mole(), factors)
    name, other = ("specular_f0", "roughness") if column == 0 else ("roughness", "specular_f0")
    np.testing.assert_allclose(getattr(after, other), getattr(before, other), atol=1e-6)
    ratio = np.log(getattr(after, name) / getattr(before, name))
    lips = atlas().sample(model().region("lips").float().numpy()[:, None])[:, 0]
    of_texels = ratio[atlas().covered]
    np.testing.assert_allclose(of_texels[lips > 0.999], 0.4, atol=0.02)
    np.testing.assert_allclose(of_texels[lips < 0.001], 0.0, atol=1e-5)


def test_free_factors_are_read_from_their_map():
    factors = torch.zeros(48, 48, 2)
    factors[:24, :, 0], factors[:, :24, 1] = 0.5, -0.3
    before, after = made(seen(), mole()), made(seen(), mole(), factors)
    f0, roughness = (np.log(getattr(after, name) / getattr(before, name)) for name in ("specular_f0", "roughness"))
    np.testing.assert_allclose(f0[place(0.5, 0.8)], 0.5, atol=1e-3)
    np.testing.assert_allclose(f0[place(0.5, 0.2)], 0.0, atol=1e-3)
    np.testing.assert_allclose(roughness[place(0.3, 0.5)], -0.3, atol=1e-3)
    np.testing.assert_allclose(roughness[place(0.7, 0.5)], 0.0, atol=1e-3)


def test_materials_of_the_map_are_those_of_the_vertices():
    maps, base = made(seen(), mole()), statistical_materials(model())
    assert isinstance(base, Materials)
    expected = atlas().sample(torch.stack((base.f0, base.roughness), dim=1).numpy())
    np.testing.assert_allclose(maps.specular_f0[atlas().covered], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(maps.roughness[atlas().covered], expected[:, 1], atol=1e-5)
