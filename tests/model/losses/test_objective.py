import dataclasses

import pytest
import torch

from model.losses.objective import LIDS_AND_LIPS, LossConfig, geometric_terms, photometric_terms, total
from model.observation import Observation
from model.reconstructor import Reconstruction, Reconstructor
from model.render.color import linear_to_srgb
from model.render.rasterizer import build_rasterizer
from model.render.renderer import Renderer, Rendering
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


@pytest.fixture(scope="module")
def answer(reconstructor: Reconstructor) -> Reconstruction:
    with torch.no_grad():
        return reconstructor(torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(2))


def dense(reconstructor: Reconstructor, answer: Reconstruction) -> torch.Tensor:
    return reconstructor.landmarks_image(answer.parameters, crop_camera(2), "mediapipe478")


@pytest.fixture(scope="module")
def drawn(reconstructor: Reconstructor, answer: Reconstruction) -> Rendering:
    return Renderer(build_rasterizer()).render(
        answer.mesh.vertices_camera_mm, answer.mesh.albedo_linear, answer.parameters.lighting,
        reconstructor.morphable_model.faces, crop_camera(2), IMAGE_SIZE, IMAGE_SIZE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def explained(reconstructor: Reconstructor, answer: Reconstruction, drawn: Rendering) -> Observation:
    """Photographs that the answer explains completely."""
    image = answer.landmarks68_image
    depth_mm = image[..., 2]
    z_px = (depth_mm.mean(1, keepdim=True) - depth_mm) * crop_camera(2)[:, 0, 0, None] / depth_mm.mean(1, keepdim=True)
    return dataclasses.replace(
        Observation.fake(batch=2, size=IMAGE_SIZE),
        image_srgb=linear_to_srgb(drawn.image_linear).clamp(0.0, 1.0).permute(0, 3, 1, 2),
        intrinsics_px=crop_camera(2),
        landmarks68_px=torch.cat((image[..., :2], z_px[..., None]), dim=-1),
        landmarks478_px=dense(reconstructor, answer)[..., :2],
    )


def test_what_explains_the_photograph_costs_nothing(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation, drawn: Rendering
) -> None:
    config = LossConfig(photometric=1.0, symmetry=1.0)
    terms = geometric_terms(config, explained, answer, dense(reconstructor, answer))
    mirror = reconstructor.morphable_model.mirror
    terms |= photometric_terms(config, explained, answer, drawn, drawn.mask, mirror)
    for name, value in terms.items():
        assert value.item() == pytest.approx(0.0, abs=3e-3), name


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"landmarks68_px": (1.0, 6.0)}, {"landmarks68", "depth68", "lids_and_lips"}),
        ({"landmarks478_px": (1.0, 6.0)}, {"landmarks478", "lids_and_lips"}),
    ],
)
def test_each_label_pulls_through_its_own_terms(
    reconstructor: Reconstructor,
    answer: Reconstruction,
    explained: Observation,
    wrong: dict[str, tuple[float, float]],
    names: set[str],
) -> None:
    config = LossConfig(identity_prior=0.0, expression_prior=0.0)
    generator = torch.Generator().manual_seed(0)
    changed = {
        key: getattr(explained, key) + spread * torch.randn(getattr(explained, key).shape, generator=generator)
        for key, (_, spread) in wrong.items()
    }
    observation = dataclasses.replace(explained, **changed)
    terms = geometric_terms(config, observation, answer, dense(reconstructor, answer))
    assert {name for name, value in terms.items() if value > 0.01} == names


def test_doubtful_labels_pull_nothing(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation
) -> None:
    nothing = dataclasses.replace(
        explained,
        landmarks68_px=torch.zeros(2, 68, 3),
        landmarks478_px=torch.zeros(2, 478, 2),
        landmarks68_weight=torch.zeros(2),
        landmarks478_weight=torch.zeros(2),
    )
    terms = geometric_terms(LossConfig(), nothing, answer, dense(reconstructor, answer))
    assert total(terms) == 0.0


def test_every_weight_of_the_config_scales_its_term(
    reconstructor: Reconstructor, explained: Observation, drawn: Rendering
) -> None:
    generator = torch.Generator().manual_seed(0)
    neutral = toy_reconstructor()
    for parameter in neutral.parameter_head.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    with torch.no_grad():
        answer = neutral(torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator), crop_camera(2))
    dark = dataclasses.replace(drawn, shading=drawn.shading - 2.0)
    mirror = reconstructor.morphable_model.mirror

    def terms(weight: float) -> dict[str, torch.Tensor]:
        config = LossConfig(**{field.name: weight for field in dataclasses.fields(LossConfig)})
        result = geometric_terms(config, explained, answer, dense(reconstructor, answer))
        lopsided = answer.mesh.albedo_linear + torch.rand(len(mirror), 3, generator=torch.Generator().manual_seed(1))
        changed = dataclasses.replace(answer, mesh=dataclasses.replace(answer.mesh, albedo_linear=lopsided))
        return result | photometric_terms(config, explained, changed, dark, dark.mask, mirror)

    names = {field.name for field in dataclasses.fields(LossConfig)}
    once, thrice = terms(1.0), terms(3.0)
    assert set(once) == names
    for name in names:
        assert once[name] > 0.0, name
        torch.testing.assert_close(thrice[name], 3.0 * once[name], msg=name)


def test_a_term_that_is_not_finite_is_named() -> None:
    with pytest.raises(FloatingPointError, match=r"not finite: depth68$"):
        total({"landmarks68": torch.tensor(1.0), "depth68": torch.tensor(torch.nan)})


def test_lids_and_lips_are_pairs_of_upper_and_lower_points(reconstructor: Reconstructor) -> None:
    model = reconstructor.morphable_model
    points_mm = model.landmarks(model.mean_mm[None])[0]
    for upper, lower in LIDS_AND_LIPS:
        assert points_mm[upper, 1] > points_mm[lower, 1]
        assert abs(points_mm[upper, 0] - points_mm[lower, 0]) < 6.0


def test_a_landmark_stage_does_not_render() -> None:
    assert not LossConfig().renders
    assert LossConfig(photometric=0.1).renders
