import dataclasses

import numpy as np
import pytest
import torch

from model.face.morphable_model import MorphableModel
from model.face.refinement import Refinement
from model.geometry.rotation import rotation_from_euler
from model.losses.objective import (
    LossConfig,
    LossTables,
    Terms,
    distillation_terms,
    geometric_terms,
    identity_terms,
    loop_back_terms,
    multiview_terms,
    photometric_terms,
    refinement_terms,
    shape_terms,
    swapped_identity_terms,
    total,
)
from model.losses.swapped_identity import swap_within_person
from model.observation import Observation
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer, Rendering
from tests.small_world import IMAGE_SIZE, crop_camera, toy_head, toy_reconstructor

BATCH = 3


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


@pytest.fixture(scope="module")
def answer(reconstructor: Reconstructor) -> Reconstruction:
    with torch.no_grad():
        return reconstructor(torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(BATCH))


@pytest.fixture(scope="module")
def tables(reconstructor: Reconstructor) -> LossTables:
    return LossTables(reconstructor.morphable_model)


def dense(reconstructor: Reconstructor, answer: Reconstruction) -> torch.Tensor:
    return reconstructor.landmarks_image(answer.parameters, crop_camera(BATCH), "mediapipe478")


@pytest.fixture(scope="module")
def drawn(reconstructor: Reconstructor, answer: Reconstruction) -> Rendering:
    return Renderer(build_rasterizer()).render(
        answer.mesh.vertices_camera_mm, answer.mesh.albedo_linear, answer.parameters.lighting,
        reconstructor.morphable_model.faces, crop_camera(BATCH), IMAGE_SIZE, IMAGE_SIZE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def explained(reconstructor: Reconstructor, answer: Reconstruction, drawn: Rendering) -> Observation:
    """Photographs that the answer explains completely."""
    image = answer.landmarks68_image
    depth_mm = image[..., 2]
    z_px = (
        (depth_mm.mean(1, keepdim=True) - depth_mm) * crop_camera(BATCH)[:, 0, 0, None] / depth_mm.mean(1, keepdim=True)
    )
    return dataclasses.replace(
        Observation.fake(batch=BATCH, size=IMAGE_SIZE),
        image_srgb=linear_to_srgb(drawn.image_linear).clamp(0.0, 1.0).permute(0, 3, 1, 2),
        intrinsics_px=crop_camera(BATCH),
        landmarks68_px=torch.cat((image[..., :2], z_px[..., None]), dim=-1),
        landmarks478_px=dense(reconstructor, answer)[..., :2],
        blendshapes=answer.parameters.expression,
    )


def test_what_explains_the_photograph_costs_nothing(
    reconstructor: Reconstructor,
    answer: Reconstruction,
    explained: Observation,
    drawn: Rendering,
    tables: LossTables,
) -> None:
    config = LossConfig(photometric=1.0, symmetry=1.0, reflectance=1.0, multiview=1.0, blendshapes=1.0, opposites=1.0)
    terms = geometric_terms(config, explained, answer, dense(reconstructor, answer), tables)
    terms |= photometric_terms(config, explained, answer, drawn, drawn.mask, tables)
    # The two heads are one: what either photograph shows is the same.
    of_one = dataclasses.replace(explained, identity=torch.zeros(BATCH, dtype=torch.long), skin_mask=drawn.mask)
    terms |= multiview_terms(config, of_one, answer, tables)
    assert {"photometric", "symmetry", "reflectance", "multiview", "landmarks68"} <= set(terms)
    for name, value in terms.items():
        assert value.item() == pytest.approx(0.0, abs=3e-3), name


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"landmarks68_px": (1.0, 6.0)}, {"landmarks68", "depth68", "lip_distance"}),
        ({"landmarks478_px": (1.0, 6.0)}, {"landmarks478", "eye_closure", "lip_distance", "gaze"}),
        ({"blendshapes": (0.0, 0.5)}, {"blendshapes"}),
    ],
)
def test_each_label_pulls_through_its_own_terms(
    reconstructor: Reconstructor,
    answer: Reconstruction,
    explained: Observation,
    wrong: dict[str, tuple[float, float]],
    names: set[str],
    tables: LossTables,
) -> None:
    config = LossConfig(identity_prior=0.0, expression_prior=0.0, gaze=1.0, blendshapes=1.0)
    generator = torch.Generator().manual_seed(0)
    changed = {
        key: getattr(explained, key) + spread * torch.randn(getattr(explained, key).shape, generator=generator)
        for key, (_, spread) in wrong.items()
    }
    observation = dataclasses.replace(explained, **changed)
    terms = geometric_terms(config, observation, answer, dense(reconstructor, answer), tables)
    assert {name for name, value in terms.items() if value > 0.01} == names


def test_doubtful_labels_pull_nothing(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation, tables: LossTables
) -> None:
    nothing = dataclasses.replace(
        explained,
        landmarks68_px=torch.zeros(BATCH, 68, 3),
        landmarks478_px=torch.zeros(BATCH, 478, 2),
        landmarks68_weight=torch.zeros(BATCH),
        landmarks478_weight=torch.zeros(BATCH),
        blendshapes=torch.ones(BATCH, 52),
        blendshapes_weight=torch.zeros(BATCH),
    )
    terms = geometric_terms(
        LossConfig(gaze=1.0, blendshapes=1.0), nothing, answer, dense(reconstructor, answer), tables
    )
    assert total(terms) == 0.0


def test_lids_are_the_meshs_where_there_is_one(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation, tables: LossTables
) -> None:
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    wrong = explained.landmarks68_px.clone()
    wrong[:, lids, :2] += 10.0 * torch.rand(BATCH, len(lids), 2, generator=torch.Generator().manual_seed(0))
    config, mesh478 = LossConfig(depth68=0.0), dense(reconstructor, answer)
    meshed = dataclasses.replace(explained, landmarks68_px=wrong)
    alone = dataclasses.replace(meshed, landmarks478_weight=torch.zeros(BATCH))
    before, with_mesh, without = (
        geometric_terms(config, observation, answer, mesh478, tables) for observation in (explained, meshed, alone)
    )
    for name in ("landmarks68", "eye_closure"):
        torch.testing.assert_close(with_mesh[name], before[name], atol=1e-5, rtol=0.0)
        assert without[name] > before[name] + 0.002, name


def test_identity_is_drawn_to_the_heads_mean_person(
    answer: Reconstruction, explained: Observation, reconstructor: Reconstructor
) -> None:
    center = np.linspace(-1.0, 1.5, 6, dtype=np.float32)
    tables = LossTables(MorphableModel(dataclasses.replace(toy_head(), identity_center=center)))
    mesh478 = dense(reconstructor, answer)

    def terms(identity: torch.Tensor) -> Terms:
        parameters = dataclasses.replace(answer.parameters, identity=identity)
        config = LossConfig(identity_prior=1.0, batch_distribution=1.0)
        changed = dataclasses.replace(answer, parameters=parameters)
        return geometric_terms(config, explained, changed, mesh478, tables)

    mean_person = terms(torch.from_numpy(center).expand(BATCH, -1))
    assert mean_person["identity_prior"].item() == pytest.approx(0.0, abs=1e-12)
    mean_head = terms(torch.zeros(BATCH, 6))
    assert mean_head["identity_prior"].item() == pytest.approx(float(np.square(center).mean()), rel=1e-5)
    # People who are spread about the mean person are as they should be, about the mean head they are not.
    spread = torch.tensor([[1.0], [0.0], [-1.0]]).expand(-1, 6)
    about_center, about_zero = terms(spread + torch.from_numpy(center)), terms(spread)
    assert about_center["batch_distribution"] < about_zero["batch_distribution"]
    # Without one the centre is the mean head.
    assert not LossTables(reconstructor.morphable_model).identity_center.any()


@pytest.fixture(scope="module")
def restless() -> Reconstruction:
    """An answer in which every number is off."""
    generator = torch.Generator().manual_seed(0)
    reconstructor = toy_reconstructor()
    for parameter in reconstructor.parameter_head.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    with torch.no_grad():
        answer = reconstructor(torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator), crop_camera(BATCH))
    shape = answer.mesh.albedo_linear.shape
    lopsided = answer.mesh.albedo_linear + torch.rand(shape[1:], generator=generator)
    return dataclasses.replace(answer, mesh=dataclasses.replace(answer.mesh, albedo_linear=lopsided))


class Likeness(torch.nn.Module):
    """A stand-in for a recognition network: the mean colours of a face."""

    face_size_px = 16
    feature_count = 48

    def __init__(self) -> None:
        super().__init__()
        self.template_px = torch.tensor([[4.0, 5.0], [12.0, 5.0], [8.0, 9.0], [5.0, 13.0], [11.0, 13.0]])

    def embed(self, faces_srgb: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(faces_srgb, 4).flatten(1)

    def similarity(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cosine_similarity(first, second)


def all_terms(
    config: LossConfig,
    reconstructor: Reconstructor,
    answer: Reconstruction,
    observation: Observation,
    rendering: Rendering,
    tables: LossTables,
) -> Terms:
    generator = torch.Generator().manual_seed(1)
    counts = [getattr(answer.parameters, name).shape[1] for name in ("identity", "expression", "albedo")]
    noise = torch.rand(answer.mesh.vertices_mm.shape, generator=generator)
    ahead = reconstructor.decode(FaceParameters.neutral(BATCH, *counts), crop_camera(BATCH))
    refinement = Refinement(noise - 0.5, 0.1 * noise.flip(1), 1.0 + noise[..., 0], noise[..., 1].round())
    points = answer.landmarks68_image, dense(reconstructor, answer)
    _, changed = swap_within_person(answer.parameters.identity, observation.identity)
    terms = geometric_terms(config, observation, answer, points[1], tables)
    terms |= photometric_terms(config, observation, answer, rendering, rendering.mask, tables)
    terms |= identity_terms(config, observation, rendering, Likeness())
    terms |= distillation_terms(config, observation, torch.rand(BATCH, 512, generator=generator))
    terms |= refinement_terms(config, refinement, tables)
    terms |= swapped_identity_terms(config, observation, changed, *points)
    terms |= multiview_terms(config, observation, ahead, tables)
    terms |= shape_terms(config, 10.0 * noise, 5.0 * noise, torch.ones(noise.shape[1]), refinement.sigma_mm)
    return terms | loop_back_terms(config, answer.parameters, ahead.parameters)


def test_every_weight_of_the_config_scales_its_term(
    reconstructor: Reconstructor,
    explained: Observation,
    restless: Reconstruction,
    drawn: Rendering,
    tables: LossTables,
) -> None:
    names = set(LossConfig().weights())
    image = torch.rand(explained.image_srgb.shape, generator=torch.Generator().manual_seed(3))
    observation = dataclasses.replace(
        explained, identity=torch.zeros(BATCH, dtype=torch.long), image_srgb=image, landmarks478_px=eyes_open(explained)
    )
    dark = dataclasses.replace(drawn, shading=drawn.shading - 2.0)

    def terms(weight: float) -> Terms:
        config = LossConfig(**dict.fromkeys(names, weight))
        return all_terms(config, reconstructor, restless, observation, dark, tables)

    once, thrice = terms(1.0), terms(3.0)
    assert set(once) == names
    for name in names:
        assert once[name] > 0.0, name
        torch.testing.assert_close(thrice[name], 3.0 * once[name], msg=name)
    assert terms(0.0) == {}


def eyes_open(observation: Observation) -> torch.Tensor:
    """The toy head's mesh is a sunflower: its lids are moved apart."""
    points_px = observation.landmarks478_px.clone()
    points_px[:, [159, 386], 1] -= 40.0
    return points_px


def test_one_weight_computes_one_term(
    reconstructor: Reconstructor,
    explained: Observation,
    restless: Reconstruction,
    drawn: Rendering,
    tables: LossTables,
) -> None:
    nothing = dict.fromkeys(LossConfig().weights(), 0.0)
    observation = dataclasses.replace(explained, identity=torch.zeros(BATCH, dtype=torch.long))
    for name in nothing:
        config = LossConfig(**{**nothing, name: 1.0})
        assert set(all_terms(config, reconstructor, restless, observation, drawn, tables)) == {name}


def test_a_model_without_refinements_has_no_terms_of_them(tables: LossTables) -> None:
    assert refinement_terms(LossConfig(offset_prior=1.0, offset_smoothness=1.0), None, tables) == {}


def test_points_on_the_far_side_pull_less_when_the_config_says_so(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation, tables: LossTables
) -> None:
    profile = rotation_from_euler(torch.tensor([[1.3, 0.0, 0.0]])).repeat(BATCH, 1, 1)
    turned = reconstructor.decode(dataclasses.replace(answer.parameters, rotation=profile), crop_camera(BATCH))
    far = turned.landmarks68_image[..., :2].clone()
    # The subject has turned to his left: his left jaw is hidden.
    far[:, 11:17] += 10.0
    observation = dataclasses.replace(
        explained, landmarks68_px=torch.cat((far, explained.landmarks68_px[..., 2:]), dim=-1)
    )

    def loss(hidden: float) -> float:
        config = LossConfig(hidden_landmarks=hidden)
        points = dense(reconstructor, turned)
        return geometric_terms(config, observation, turned, points, tables)["landmarks68"].item()

    assert loss(0.2) < 0.4 * loss(1.0)


def test_a_term_that_is_not_finite_is_named() -> None:
    with pytest.raises(FloatingPointError, match=r"not finite: depth68$"):
        total({"landmarks68": torch.tensor(1.0), "depth68": torch.tensor(torch.nan)})


def test_an_identity_loss_without_a_network_is_refused(explained: Observation, drawn: Rendering) -> None:
    assert identity_terms(LossConfig(), explained, drawn, None) == {}
    with pytest.raises(ValueError, match=r"loss\.identity needs a recognition network"):
        identity_terms(LossConfig(identity=0.1), explained, drawn, None)


def test_no_term_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no loss has a weight"):
        total({})


def test_a_landmark_stage_does_not_render() -> None:
    assert not LossConfig().renders
    assert LossConfig(photometric=0.1).renders
    assert LossConfig(silhouette=0.1).renders
    assert not LossConfig(multiview=0.1).renders


@pytest.mark.parametrize(
    "wrong",
    [
        {"photometric": -1.0},
        {"gaze": float("nan")},
        {"hidden_landmarks": 1.5},
        {"pyramid_levels": 0},
        {"occlusion_smoothing": 0.5},
    ],
)
def test_a_weight_that_cannot_be_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"loss.{next(iter(wrong))}"):
        LossConfig(**wrong)  # type: ignore[arg-type]
