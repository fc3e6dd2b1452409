from dataclasses import replace

import pytest
import torch

from model.look.materials import Materials
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History
from model.refine.raytrace.materials import MaterialVariable, changed, sample_texture
from tests.model.refine.raytrace.known_faces import KnownFace, known_face

CPU = torch.device("cpu")


def fit(face: KnownFace, variable: MaterialVariable, f0: float = 0.04, roughness: float = 0.45) -> History:
    """Start from other materials than the true ones."""
    history, count = History(), len(face.f0)
    base = Materials(torch.full((count,), f0), torch.full((count,), roughness))
    albedo = face.problem.albedo_linear(face.coefficients)
    variable.fit(face.problem, base, face.light, albedo, history)
    return history


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
