import dataclasses

import numpy as np
import pytest
import torch

from common.tensor_groups import map_tensors
from model.face.detail import Detail
from model.geometry.camera import project
from model.geometry.procrustes import align_similarity
from model.geometry.rotation import rotation_from_euler
from model.geometry.vertex_sampling import sample_at_vertices
from model.losses.config import LossConfig
from model.losses.inputs import KnownHeads
from model.losses.landmarks import landmark_distance
from model.losses.loss_tables import LossTables
from model.losses.objective import OF_RENDERINGS, Objective
from model.losses.photometric import photometric
from model.losses.symmetry import mirror_difference
from model.losses.vertices import vertex_distance
from model.losses.weighting import Terms, total
from model.observation import Observation
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer, Rendering
from tests.small_world import IMAGE_SIZE, crop_camera, neutral_parameters, toy_head, toy_reconstructor

BATCH = 3


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor(points=True)


@pytest.fixture(scope="module")
def answer(reconstructor: Reconstructor) -> Reconstruction:
    with torch.no_grad():
        return reconstructor(torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(BATCH))


def dense(reconstructor: Reconstructor, answer: Reconstruction) -> torch.Tensor:
    return reconstructor.landmarks_image(answer.parameters, crop_camera(BATCH), "mediapipe478")


def terms_of(
    config: LossConfig, reconstructor: Reconstructor, observation: Observation, answer: Reconstruction
) -> Terms:
    """The terms of photographs, for losses that do not ask for the features."""
    return Objective(config, reconstructor)(observation, answer, torch.zeros(BATCH, 1))


@pytest.fixture(scope="module")
def drawn(reconstructor: Reconstructor, answer: Reconstruction) -> Rendering:
    faces, lighting = reconstructor.morphable_model.faces, answer.parameters.lighting
    return Renderer(build_rasterizer()).render_mesh(answer.mesh, lighting, faces, crop_camera(BATCH), IMAGE_SIZE)


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
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation, drawn: Rendering
) -> None:
    config = LossConfig(photometric=1.0, symmetry=1.0, reflectance=1.0, multiview=1.0, blendshapes=1.0, opposites=1.0)
    # The heads are one: what any photograph shows is the same.
    of_one = dataclasses.replace(explained, person=torch.zeros(BATCH, dtype=torch.long), skin_mask=drawn.mask)
    terms = terms_of(config, reconstructor, of_one, answer)
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
) -> None:
    config = LossConfig(identity_prior=0.0, expression_prior=0.0, gaze=1.0, blendshapes=1.0)
    generator = torch.Generator().manual_seed(0)
    changed = {
        key: getattr(explained, key) + spread * torch.randn(getattr(explained, key).shape, generator=generator)
        for key, (_, spread) in wrong.items()
    }
    observation = dataclasses.replace(explained, **changed)
    terms = terms_of(config, reconstructor, observation, answer)
    assert {name for name, value in terms.items() if value > 0.01} == names


def test_doubtful_labels_pull_nothing(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation
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
    # Points of an untrained decoder have moved the answer a little, which the priors notice.
    config = LossConfig(gaze=1.0, blendshapes=1.0, identity_prior=0.0, expression_prior=0.0)
    assert total(terms_of(config, reconstructor, nothing, answer)) == 0.0


def test_lids_are_the_meshs_where_there_is_one(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation
) -> None:
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    wrong = explained.landmarks68_px.clone()
    wrong[:, lids, :2] += 10.0 * torch.rand(BATCH, len(lids), 2, generator=torch.Generator().manual_seed(0))
    config = LossConfig(depth68=0.0)
    meshed = dataclasses.replace(explained, landmarks68_px=wrong)
    alone = dataclasses.replace(meshed, landmarks478_weight=torch.zeros(BATCH))
    before, with_mesh, without = (
        terms_of(config, reconstructor, observation, answer) for observation in (explained, meshed, alone)
    )
    for name in ("landmarks68", "eye_closure"):
        torch.testing.assert_close(with_mesh[name], before[name], atol=1e-5, rtol=0.0)
        assert without[name] > before[name] + 0.002, name


def test_identity_is_drawn_to_the_heads_mean_person(
    answer: Reconstruction, explained: Observation, reconstructor: Reconstructor
) -> None:
    center = np.linspace(-1.0, 1.5, 6, dtype=np.float32)
    head = dataclasses.replace(toy_head(), identity_center=center)
    centred = Reconstructor(reconstructor.config, IMAGE_SIZE, head)

    def terms(identity: torch.Tensor) -> Terms:
        parameters = dataclasses.replace(answer.parameters, identity=identity)
        config = LossConfig(identity_prior=1.0, batch_distribution=1.0)
        return terms_of(config, centred, explained, dataclasses.replace(answer, parameters=parameters))

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
def restless(reconstructor: Reconstructor) -> Reconstruction:
    """An answer in which every number is off, with what a mesh decoder adds."""
    generator = torch.Generator().manual_seed(0)
    neutral = neutral_parameters(reconstructor.morphable_model, BATCH)

    def noise(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator)

    parameters = FaceParameters(
        identity=noise(neutral.identity),
        expression=0.3 * noise(neutral.expression).abs().clamp(max=3.0),
        albedo=noise(neutral.albedo),
        rotation=rotation_from_euler(torch.tensor([[0.2, 0.1, 0.05], [-0.1, 0.1, 0.0], [0.1, -0.2, 0.1]])),
        translation_mm=neutral.translation_mm + noise(neutral.translation_mm),
        lighting=neutral.lighting + noise(neutral.lighting),
    )
    some = torch.rand(BATCH, len(reconstructor.morphable_model.mean_mm), 3, generator=generator)
    detail = Detail(some - 0.5, 0.8 * some.flip(1) - 0.5, 1.0 + some[..., 0], some[..., 1].round())
    return reconstructor.decode(parameters, crop_camera(BATCH), detail)


@pytest.fixture(scope="module")
def truth(reconstructor: Reconstructor) -> KnownHeads:
    """Of the last two of a batch."""
    generator = torch.Generator().manual_seed(5)
    mean_mm = reconstructor.morphable_model.mean_mm
    noise = torch.randn(2, len(mean_mm), 3, generator=generator)
    weight = torch.rand(len(mean_mm), generator=generator)
    return KnownHeads(
        mean_mm + 3.0 * noise, mean_mm - 2.0 * noise, weight, neutral_parameters(reconstructor.morphable_model, 2)
    )


@pytest.fixture(scope="module")
def strange(explained: Observation) -> Observation:
    """Photographs of one person that show nothing of what was answered."""
    image = torch.rand(explained.image_srgb.shape, generator=torch.Generator().manual_seed(3))
    return dataclasses.replace(
        explained, person=torch.zeros(BATCH, dtype=torch.long), image_srgb=image, landmarks478_px=eyes_open(explained)
    )


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
    observation: Observation,
    answer: Reconstruction,
    truth: KnownHeads,
) -> Terms:
    torch.manual_seed(0)
    objective = Objective(config, reconstructor, Likeness)
    width = reconstructor.backbone.feature_count + 3 * reconstructor.backbone.point_count
    return objective(observation, answer, torch.rand(BATCH, width), truth)


def test_every_weight_of_the_config_scales_its_term(
    reconstructor: Reconstructor, strange: Observation, restless: Reconstruction, truth: KnownHeads
) -> None:
    names = set(LossConfig().weights())

    def terms(weight: float) -> Terms:
        config = LossConfig(**dict.fromkeys(names, weight))
        return all_terms(config, reconstructor, strange, restless, truth)

    once, thrice = terms(1.0), terms(3.0)
    assert set(once) == names
    for name in names:
        assert once[name] > 0.0, name
        torch.testing.assert_close(thrice[name], 3.0 * once[name], msg=name)
    assert terms(0.0) == {}


def test_the_terms_are_those_of_the_answer_and_of_the_truth(
    reconstructor: Reconstructor, strange: Observation, restless: Reconstruction, truth: KnownHeads
) -> None:
    """Spelled out for one loss of each kind that asks for something of its own."""
    skin_mask = torch.rand(strange.skin_mask.shape, generator=torch.Generator().manual_seed(9))
    observation = dataclasses.replace(strange, skin_mask=skin_mask)
    names = ("landmarks478", "photometric", "offset_symmetry", "vertices", "swapped_identity")
    nothing = dict.fromkeys(LossConfig().weights(), 0.0)
    config = LossConfig(**{**nothing, **dict.fromkeys(names, 1.0)})
    objective = Objective(config, reconstructor, rendered_photographs=2)
    terms = objective(observation, restless, torch.zeros(BATCH, 1), truth)
    model, tables, camera = reconstructor.morphable_model, objective.tables, observation.intrinsics_px
    box_px, weight478 = observation.box_px, observation.landmarks478_weight

    points_px = project(model.landmarks(restless.mesh.vertices_camera_mm, "mediapipe478"), camera)[..., :2]
    expected = {"landmarks478": landmark_distance(points_px, observation.landmarks478_px, box_px, weight478)}

    first, seen = map_tensors(restless, lambda values: values[:2]), map_tensors(observation, lambda values: values[:2])
    faces, lighting = model.faces, first.parameters.lighting
    rendering = Renderer(build_rasterizer()).render_mesh(first.mesh, lighting, faces, camera[:2], IMAGE_SIZE)
    mask = seen.skin_mask * rendering.mask
    expected["photometric"] = photometric(rendering.image_linear, seen.image_srgb, mask, seen.color)

    assert restless.detail is not None
    at_vertices = sample_at_vertices(skin_mask[:, None], project(restless.mesh.vertices_camera_mm, camera))[..., 0]
    evidence = restless.detail.visibility * at_vertices
    offsets_mm = restless.detail.offsets_mm
    expected["offset_symmetry"] = mirror_difference(offsets_mm, tables.mirror, evidence, vectors=True)

    aligned_mm = align_similarity(restless.mesh.vertices_mm[1:], truth.vertices_mm, truth.vertex_weight)
    expected["vertices"] = vertex_distance(aligned_mm - truth.vertices_mm, truth.vertex_weight)

    # All three are of one person: each has the next one's identity, the last the first one's.
    swapped = dataclasses.replace(restless.parameters, identity=restless.parameters.identity[[1, 2, 0]])
    expected["swapped_identity"] = sum(
        (
            landmark_distance(reconstructor.landmarks_image(swapped, camera, name)[..., :2], labels, box_px, weight)
            for name, labels, weight in (
                ("ibug68", observation.landmarks68_px[..., :2], observation.landmarks68_weight),
                ("mediapipe478", observation.landmarks478_px, weight478),
            )
        ),
        torch.tensor(0.0),
    )
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)


def test_a_truth_without_parameters_says_nothing_of_them(
    reconstructor: Reconstructor, strange: Observation, restless: Reconstruction, truth: KnownHeads
) -> None:
    config = LossConfig(vertices=1.0, loop_back=1.0)
    assert "loop_back" in all_terms(config, reconstructor, strange, restless, truth)
    of_shape = dataclasses.replace(truth, parameters=None)
    terms = all_terms(config, reconstructor, strange, restless, of_shape)
    assert "loop_back" not in terms
    assert "vertices" in terms


def test_the_network_is_made_once_and_only_when_it_is_asked(
    reconstructor: Reconstructor, strange: Observation, restless: Reconstruction
) -> None:
    made: list[Likeness] = []

    def build() -> Likeness:
        made.append(Likeness())
        return made[-1]

    for config, count in ((LossConfig(photometric=1.0), 0), (LossConfig(recognition=1.0), 1)):
        objective = Objective(config, reconstructor, build)
        assert len(made) == 0
        for _ in range(2):
            objective(strange, restless, torch.zeros(BATCH, 1))
        assert len(made) == count


def eyes_open(observation: Observation) -> torch.Tensor:
    """The toy head's mesh is a sunflower: its lids are moved apart."""
    points_px = observation.landmarks478_px.clone()
    points_px[:, [159, 386], 1] -= 40.0
    return points_px


@pytest.mark.slow
def test_one_weight_computes_one_term(
    reconstructor: Reconstructor, strange: Observation, restless: Reconstruction, truth: KnownHeads
) -> None:
    nothing = dict.fromkeys(LossConfig().weights(), 0.0)
    for name in nothing:
        # Those of a rendering are there where one is asked for.
        wanted = {name, "photometric"} if name in OF_RENDERINGS else {name}
        config = LossConfig(**{**nothing, **dict.fromkeys(wanted, 1.0)})
        assert set(all_terms(config, reconstructor, strange, restless, truth)) == wanted


def test_a_model_without_detail_has_no_terms_of_it(
    reconstructor: Reconstructor, explained: Observation, answer: Reconstruction, truth: KnownHeads
) -> None:
    nothing = dict.fromkeys(LossConfig().weights(), 0.0)
    config = LossConfig(**{**nothing, "offset_prior": 1.0, "offset_smoothness": 1.0, "likelihood": 1.0})
    assert all_terms(config, reconstructor, explained, answer, truth) == {}


def test_points_on_the_far_side_pull_less_when_the_config_says_so(
    reconstructor: Reconstructor, answer: Reconstruction, explained: Observation
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
        return terms_of(config, reconstructor, observation, turned)["landmarks68"].item()

    assert loss(0.2) < 0.4 * loss(1.0)


def test_a_term_that_is_not_finite_is_named() -> None:
    with pytest.raises(FloatingPointError, match=r"not finite: depth68$"):
        total({"landmarks68": torch.tensor(1.0), "depth68": torch.tensor(torch.nan)})


def test_a_recognition_loss_without_a_network_is_refused(
    reconstructor: Reconstructor, explained: Observation, answer: Reconstruction
) -> None:
    with pytest.raises(ValueError, match=r"loss\.recognition needs a recognition network"):
        terms_of(LossConfig(recognition=0.1), reconstructor, explained, answer)


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
