from dataclasses import replace

import pytest
import torch

from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History
from model.refine.raytrace.materials import (
    REGIONS,
    Materials,
    MaterialVariable,
    changed,
    region_shares,
    sample_texture,
    statistical_materials,
)
from tests.model.refine.fit_scenes import model
from tests.model.refine.raytrace.known_faces import KnownFace, known_face

CPU = torch.device("cpu")


def fit(face: KnownFace, variable: MaterialVariable, f0: float = 0.04, roughness: float = 0.45) -> History:
    """Start from other materials than the true ones."""
    history, count = History(), len(face.f0)
    base = Materials(torch.full((count,), f0), torch.full((count,), roughness))
    albedo = face.problem.albedo_linear(face.coefficients)
    variable.fit(face.problem, base, face.light, albedo, history)
    return history


def test_the_shares_of_every_vertex_add_to_one():
    shares = region_shares(model())
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    assert float(shares.min()) >= 0.0


def test_named_regions_are_whole_and_the_forehead_begins_above_the_brows():
    head = model()
    shares = region_shares(head)
    for name in ("nose", "lips", "eyelids"):
        only = head.region(name).clone()
        for other in REGIONS[REGIONS.index(name) + 1 :]:
            only &= ~head.region(other)
        assert (shares[only, REGIONS.index(name)] == 1.0).all()
    plain = ~(head.region("nose") | head.region("lips") | head.region("eyelids"))
    forehead, height_mm = shares[plain, 1], head.mean_mm[plain, 1]
    order = height_mm.argsort()
    assert (forehead[order].diff() >= 0.0).all()
    assert float(forehead[height_mm > 70.0].min()) > 0.95
    assert float(forehead[height_mm < 0.0].max()) < 0.05


def test_lips_and_eyes_are_glossier_than_skin():
    head = model()
    found = statistical_materials(head)
    cheek = float(found.roughness[head.mean_mm[:, 1].argmin()])
    for name in ("lips", "nose", "eyes"):
        assert float(found.roughness[head.region(name)].max()) < cheek
    assert 0.02 <= float(found.f0.min()) <= float(found.f0.max()) <= 0.05


def test_no_change_changes_nothing_and_roughness_stays_in_its_range():
    base = Materials(torch.full((3,), 0.04), torch.full((3,), 0.45))
    same = changed(base, torch.zeros(3, 2))
    torch.testing.assert_close((same.f0, same.roughness), (base.f0, base.roughness))
    twice = changed(base, torch.log(torch.tensor([[2.0, 1.0], [1.0, 1.2], [0.5, 1.0]])))
    torch.testing.assert_close(twice.f0, torch.tensor([0.08, 0.04, 0.02]))
    torch.testing.assert_close(twice.roughness, torch.tensor([0.45, 0.54, 0.45]))
    extreme = changed(base, torch.tensor([[0.0, -9.0], [0.0, 9.0], [0.0, 0.0]]))
    torch.testing.assert_close(extreme.roughness, torch.tensor([0.15, 0.95, 0.45]))


@pytest.mark.parametrize(
    ("truth", "wrong", "column", "sign"),
    [
        ({"roughness": 0.3}, {"roughness": 0.6}, 1, -1.0),
        ({"roughness": 0.7}, {"roughness": 0.45}, 1, 1.0),
        ({"f0": 0.08}, {"f0": 0.04}, 0, 1.0),
        ({"f0": 0.02}, {"f0": 0.04}, 0, -1.0),
    ],
)
@pytest.mark.parametrize("materials", ["regions", "free"])
def test_materials_move_towards_the_truth(
    materials: str, truth: dict[str, float], wrong: dict[str, float], column: int, sign: float
):
    face = known_face(**truth)  # pyright: ignore[reportArgumentType]
    variable = MaterialVariable(RaytraceConfig(materials=materials), CPU)  # pyright: ignore[reportArgumentType]
    history = fit(face, variable, **wrong)
    at_samples = variable(face.problem.regions, face.problem.uv)[:, column].detach()
    assert float((sign * at_samples).mean()) > 0.03
    distance = history["materials.distance"]
    assert distance[-1] < 0.9 * distance[0]


def test_each_region_has_its_own_factors():
    face = known_face()
    # The second region is glossy, the first is not.
    glossy = face.problem.regions[:, 1] == 1.0
    half = replace(face, f0=torch.where(glossy, 0.12, 0.04))
    seen = half.radiance(face.light, face.problem.albedo_linear(face.coefficients))
    face = replace(face, problem=replace(face.problem, observed_linear=seen))
    variable = MaterialVariable(RaytraceConfig(material_steps=60), CPU)
    fit(face, variable)
    found = variable.raw.detach()
    assert float(found[1, 0]) > float(found[0, 0]) + 0.1
    # Those that no sample belongs to stay.
    assert torch.equal(found[2:], torch.zeros_like(found[2:]))


def test_held_materials_never_move():
    variable = MaterialVariable(RaytraceConfig(materials="held"), CPU)
    history = fit(known_face(roughness=0.2), variable, roughness=0.8)
    assert torch.equal(variable.raw, torch.zeros_like(variable.raw))
    assert not history


def test_a_heavy_belief_in_statistics_holds_them():
    face = known_face(f0=0.08)
    light, heavy = RaytraceConfig(), RaytraceConfig()
    heavy = replace(heavy, weights=replace(heavy.weights, regions=100.0))
    found = []
    for config in (light, heavy):
        variable = MaterialVariable(config, CPU)
        fit(face, variable, f0=0.04)
        found.append(float(variable.raw.detach().abs().max()))
    assert found[1] < 0.2 * found[0]


def test_free_maps_are_smooth_and_say_so():
    variable = MaterialVariable(RaytraceConfig(materials="free", material_steps=3), CPU)
    history = fit(known_face(), variable)
    assert set(history) == {"materials.distance", "materials.regions", "materials.smoothness"}
    assert variable.raw.shape[-1] == 2
    assert variable.raw.ndim == 3


def test_a_map_is_read_with_v_up_and_between_its_texels():
    texture = torch.zeros(4, 4, 2)
    texture[0, 3] = torch.tensor([1.0, 5.0])
    uv = torch.tensor([[0.875, 0.875], [0.75, 0.875], [1.0, 1.0], [0.875, 0.125], [0.125, 0.875]])
    found = sample_texture(texture, uv)
    expected = torch.tensor([[1.0, 5.0], [0.5, 2.5], [1.0, 5.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(found, expected)
    texture.requires_grad_()
    sample_texture(texture, uv[1:2]).sum().backward()
    assert texture.grad is not None
    assert float(texture.grad[0, 2, 0]) == pytest.approx(0.5)
