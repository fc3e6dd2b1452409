import dataclasses

import pytest
import torch

from model.losses.config import LossConfig
from model.losses.objective import Objective
from model.observation import Observation
from model.reconstructor import Reconstruction, Reconstructor
from tests.small_world import IMAGE_SIZE, crop_camera, neutral_parameters, toy_reconstructor

CONFIG = LossConfig(swapped_identity=1.0, multiview=1.0)
LABELS = ("landmarks68_px", "landmarks478_px")


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


@pytest.fixture(scope="module")
def family(reconstructor: Reconstructor) -> tuple[Observation, Reconstruction]:
    """Three photographs and answers; each of the first two has the labels of the other's identity."""
    parameters = neutral_parameters(reconstructor.morphable_model, 3)
    signs = torch.tensor([1.0, -1.0, 0.5])
    parameters = dataclasses.replace(parameters, identity=2.0 * signs[:, None] * torch.ones(3, 6))
    other = dataclasses.replace(parameters, identity=parameters.identity[[1, 0, 2]])
    points68, points478 = (
        reconstructor.landmarks_image(other, crop_camera(3), name) for name in ("ibug68", "mediapipe478")
    )
    observation = dataclasses.replace(
        Observation.fake(batch=3, size=IMAGE_SIZE),
        intrinsics_px=crop_camera(3),
        landmarks68_px=points68,
        landmarks478_px=points478[..., :2].contiguous(),
        person=torch.tensor([4, 4, -1]),
    )
    return observation, reconstructor.decode(parameters, crop_camera(3))


def swapped_identity(reconstructor: Reconstructor, observation: Observation, answer: Reconstruction) -> float:
    count = len(observation.image_srgb)
    return Objective(CONFIG, reconstructor)(observation, answer, torch.zeros(count, 1))["swapped_identity"].item()


def moved(observation: Observation, name: str, sample: int) -> Observation:
    """One sample's labels 10 px to the right of where they were."""
    labels = getattr(observation, name).clone()
    labels[sample, :, 0] += 10.0
    return dataclasses.replace(observation, **{name: labels})


def test_the_identity_of_another_photograph_must_fit_the_labels(
    reconstructor: Reconstructor, family: tuple[Observation, Reconstruction]
) -> None:
    observation, answer = family
    assert swapped_identity(reconstructor, observation, answer) == pytest.approx(0.0, abs=1e-6)
    own = dataclasses.replace(observation, landmarks68_px=observation.landmarks68_px[[1, 0, 2]])
    assert swapped_identity(reconstructor, own, answer) > 0.005


def test_only_exchanged_identities_count(
    reconstructor: Reconstructor, family: tuple[Observation, Reconstruction]
) -> None:
    observation, answer = family
    for name in LABELS:
        assert swapped_identity(reconstructor, moved(observation, name, 2), answer) == pytest.approx(0.0, abs=1e-6)
    strangers = dataclasses.replace(observation, person=torch.tensor([4, 5, -1]))
    for name in LABELS:
        assert swapped_identity(reconstructor, moved(strangers, name, 0), answer) == 0.0


def test_both_landmark_sets_pull(reconstructor: Reconstructor, family: tuple[Observation, Reconstruction]) -> None:
    observation, answer = family
    for name in LABELS:
        assert swapped_identity(reconstructor, moved(observation, name, 1), answer) > 0.05


@pytest.fixture(scope="module")
def faces(reconstructor: Reconstructor) -> Reconstruction:
    """Two heads before the camera under neutral light."""
    return reconstructor.decode(neutral_parameters(reconstructor.morphable_model, 2), crop_camera(2))


def multiview(
    reconstructor: Reconstructor, faces: Reconstruction, image_srgb: torch.Tensor, mask: torch.Tensor
) -> float:
    observation = dataclasses.replace(
        Observation.fake(batch=2, size=IMAGE_SIZE),
        image_srgb=image_srgb,
        intrinsics_px=crop_camera(2),
        skin_mask=mask,
        person=torch.zeros(2, dtype=torch.long),
    )
    return Objective(CONFIG, reconstructor)(observation, faces, torch.zeros(2, 1))["multiview"].item()


def test_two_photographs_of_one_skin_agree_and_light_is_no_skin(
    reconstructor: Reconstructor, faces: Reconstruction
) -> None:
    even = torch.full((2, 3, IMAGE_SIZE, IMAGE_SIZE), 0.5)
    everywhere = torch.ones(2, IMAGE_SIZE, IMAGE_SIZE)
    assert multiview(reconstructor, faces, even, everywhere) < 0.002
    darker = even.clone()
    darker[1] = 0.3
    assert multiview(reconstructor, faces, darker, everywhere) > 0.1
    # The second photograph was taken in dimmer light, and the answer says so.
    dimmed = faces.parameters.lighting.clone()
    dimmed[1] *= (((0.3 + 0.055) / 1.055) / ((0.5 + 0.055) / 1.055)) ** 2.4
    lit = dataclasses.replace(faces, parameters=dataclasses.replace(faces.parameters, lighting=dimmed))
    assert multiview(reconstructor, lit, darker, everywhere) < 0.002


def test_what_the_mask_leaves_out_is_not_compared(reconstructor: Reconstructor, faces: Reconstruction) -> None:
    image = torch.full((2, 3, IMAGE_SIZE, IMAGE_SIZE), 0.5)
    image[1, :, :, : IMAGE_SIZE // 2] = 0.2
    mask = torch.ones(2, IMAGE_SIZE, IMAGE_SIZE)
    assert multiview(reconstructor, faces, image, mask) > 0.01
    mask[1, :, : IMAGE_SIZE // 2 + 2] = 0.0
    assert multiview(reconstructor, faces, image, mask) < 0.002
