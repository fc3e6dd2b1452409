from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from common.paths import CONFIG_FOLDER
from common.tensors import save_tensors
from model.person.classes import BACKGROUND, HAIR, OTHER, SKIN, UNKNOWN
from model.person.network import PersonNetworkConfig, load_person_network
from tests.data.data_scenes import face_points
from tools.train_person_mask import PersonTrainingConfig, intersection_over_union, segmentation_loss, train
from training.person_samples import LABELS_FORMAT, PersonSamples

SIDE = 96


def write_labels(path: Path, count: int = 6) -> None:
    """Discs of skin below caps of hair, on clothes, before a wall: each class has a colour of its own."""
    generator = np.random.default_rng(0)
    points = face_points()[:, :2]
    points = (points - points.min(0)) / np.ptp(points, axis=0).max() * 30.0 + (33.0, 35.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    label = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    label[y > 75] = OTHER
    label[np.hypot(x - 48, y - 48) < 28] = HAIR
    label[np.hypot(x - 48, y - 55) < 20] = SKIN
    colors = np.array([(120, 130, 140), (210, 160, 130), (50, 35, 25), (30, 60, 160)])
    noise = generator.normal(0.0, 8.0, (count, SIDE, SIDE, 3))
    tensors = {
        "image_srgb": (colors[label] + noise).clip(0, 255).astype(np.uint8),
        "label": np.repeat(label[None], count, axis=0),
        "matte": np.repeat(np.where(label == BACKGROUND, 0, 255).astype(np.uint8)[None], count, axis=0),
        "landmarks68_px": np.repeat(points[None].astype(np.float32), count, axis=0),
    }
    save_tensors(tensors, path, {"format": LABELS_FORMAT})


def test_its_config_is_strict_and_says_what_it_is_for() -> None:
    path = CONFIG_FOLDER / "person_mask.yaml"
    text = path.read_text(encoding="utf-8")
    config = PersonTrainingConfig(**yaml.safe_load(text))
    assert config.steps > 0
    for word in ("Purpose:", "Command:", "Needs:"):
        assert f"# {word}" in text.split("labels:")[0]
    assert not Path(config.labels).is_absolute()


def test_samples_keep_picture_and_labels_together(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.safetensors")
    plain = PersonSamples(tmp_path / "labels.safetensors", 64)
    image, label = plain.sample(0, np.random.default_rng(0))
    assert image.shape == (64, 64, 3)
    # Each class still has its colour.
    assert image[label == HAIR].mean() < 70 < image[label == SKIN].mean()


@pytest.mark.slow
def test_it_learns_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.safetensors")
    config = PersonTrainingConfig(
        labels=tmp_path / "labels.safetensors",
        output=tmp_path / "run",
        network=PersonNetworkConfig(widths=(16, 16, 16, 16), image_size=64),
        size=64,
        batch_size=4,
        steps=40,
        seconds_a_run=0.0,
    )
    train(config)
    first = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert first["step"] == 1
    train(PersonTrainingConfig(**{**vars(config), "seconds_a_run": None}))
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 40
    network = load_person_network(tmp_path / "run/weights.safetensors")
    image, label = PersonSamples(config.labels, 64).sample(0, np.random.default_rng(0))
    with torch.inference_mode():
        answer = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255.0).argmax(1)[0].numpy()
    known = label != UNKNOWN
    assert (answer[known] == label[known]).mean() > 0.7


def test_the_loss_is_small_for_the_right_answer_and_blind_to_the_unknown() -> None:
    labels = torch.randint(0, 4, (2, 8, 8))
    right = 20.0 * torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    assert segmentation_loss(right, labels) < 1e-3
    unknown = labels.clone()
    unknown[:, :4] = UNKNOWN
    wrong = right.clone()
    wrong[:, :, :4] = wrong[:, :, :4].roll(1, dims=1)
    assert segmentation_loss(wrong, unknown) < 1e-3 < segmentation_loss(wrong, labels)


def test_intersection_over_union_counts_both_errors() -> None:
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(intersection_over_union(confusion), [6 / 9, 3 / 6, np.nan])
