import dataclasses

import pytest
import torch

from model.losses.objective import LossConfig, LossTables, multiview_terms, swapped_identity_terms
from model.observation import Observation
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor

CONFIG = LossConfig(swapped_identity=1.0, multiview=1.0)


def labels(batch: int = 2) -> tuple[Observation, torch.Tensor, torch.Tensor]:
    """Photographs and points that fit their labels."""
    observation = Observation.fake(batch=batch, size=IMAGE_SIZE)
    depth = torch.full((batch, 478, 1), 800.0)
    points68 = torch.cat((observation.landmarks68_px[..., :2], depth[:, :68]), dim=-1)
    return observation, points68, torch.cat((observation.landmarks478_px, depth), dim=-1)


def test_only_exchanged_identities_count() -> None:
    observation, points68, points478 = labels()
    points68[1, :, 0] += 10.0
    points478[1, :, 1] += 10.0
    first, second, none = torch.tensor([[True, False], [False, True], [False, False]])
    terms = [
        swapped_identity_terms(CONFIG, observation, changed, points68, points478)["swapped_identity"].item()
        for changed in (first, second, none)
    ]
    assert terms[0] == pytest.approx(0.0, abs=1e-6)
    assert terms[1] > 0.1
    assert terms[2] == 0.0


def test_both_landmark_sets_pull() -> None:
    observation, points68, points478 = labels()
    everyone = torch.tensor([True, True])
    for moved68, moved478 in ((10.0, 0.0), (0.0, 10.0)):
        term = swapped_identity_terms(CONFIG, observation, everyone, points68 + moved68, points478 + moved478)
        assert term["swapped_identity"] > 0.05


@pytest.fixture(scope="module")
def faces() -> tuple[Reconstruction, LossTables]:
    """Two heads before the camera under neutral light."""
    reconstructor = toy_reconstructor()
    model = reconstructor.morphable_model
    counts = model.identity_count, model.expression_count, model.albedo_count
    return reconstructor.decode(FaceParameters.neutral(2, *counts), crop_camera(2)), LossTables(model)


def multiview(faces: tuple[Reconstruction, LossTables], image_srgb: torch.Tensor, mask: torch.Tensor) -> float:
    observation = dataclasses.replace(
        Observation.fake(batch=2, size=IMAGE_SIZE),
        image_srgb=image_srgb,
        intrinsics_px=crop_camera(2),
        skin_mask=mask,
        identity=torch.zeros(2, dtype=torch.long),
    )
    return multiview_terms(CONFIG, observation, *faces)["multiview"].item()


def test_two_photographs_of_one_skin_agree_and_light_is_no_skin(faces: tuple[Reconstruction, LossTables]) -> None:
    answer, tables = faces
    even = torch.full((2, 3, IMAGE_SIZE, IMAGE_SIZE), 0.5)
    everywhere = torch.ones(2, IMAGE_SIZE, IMAGE_SIZE)
    assert multiview(faces, even, everywhere) < 0.002
    darker = even.clone()
    darker[1] = 0.3
    assert multiview(faces, darker, everywhere) > 0.1
    # The second photograph was taken in dimmer light, and the answer says so.
    dimmed = answer.parameters.lighting.clone()
    dimmed[1] *= (((0.3 + 0.055) / 1.055) / ((0.5 + 0.055) / 1.055)) ** 2.4
    lit = dataclasses.replace(answer, parameters=dataclasses.replace(answer.parameters, lighting=dimmed))
    assert multiview((lit, tables), darker, everywhere) < 0.002


def test_what_the_mask_leaves_out_is_not_compared(faces: tuple[Reconstruction, LossTables]) -> None:
    image = torch.full((2, 3, IMAGE_SIZE, IMAGE_SIZE), 0.5)
    image[1, :, :, : IMAGE_SIZE // 2] = 0.2
    mask = torch.ones(2, IMAGE_SIZE, IMAGE_SIZE)
    assert multiview(faces, image, mask) > 0.01
    mask[1, :, : IMAGE_SIZE // 2 + 2] = 0.0
    assert multiview(faces, image, mask) < 0.002
