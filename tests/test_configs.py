"""Every config is read strictly, tells what it is for, and builds its model."""

import json
import math
from pathlib import Path

import pytest
import torch

import train
from common.paths import CONFIG_FOLDER, DEFAULT_CHECKPOINT, REPOSITORY
from model.encoder.backbone import Backbone
from model.face.assets import load_head
from model.reconstructor import Reconstructor
from tests.small_world import toy_head
from training.config import Experiment

CONFIGS = sorted(path for path in CONFIG_FOLDER.glob("*.yaml") if not path.name.startswith(("refine", "person")))
"""Those of `train.py`."""


def experiment_of(path: Path, *more: str) -> Experiment:
    return train.read_experiment(["--config", str(path), *more])[0]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_strict_and_says_what_it_is_for(path: Path) -> None:
    experiment = experiment_of(path)
    head = path.read_text(encoding="utf-8").split("output:")[0]
    for word in ("Purpose:", "Command:", "Cost:", "Result:", "Needs:"):
        assert f"# {word}" in head, f"{path.name} does not open with its {word}"
    assert f"configs/{path.name}" in head
    assert experiment.validation.training is False
    # Nothing in it depends on the machine it was written on.
    assert not any(place.is_absolute() for place in (experiment.output, experiment.train.shards))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_starts_from_the_released_network_is_built_as_it_is(path: Path) -> None:
    experiment = experiment_of(path)
    if DEFAULT_CHECKPOINT.relative_to(REPOSITORY) not in experiment.starts:
        return
    released = json.loads((DEFAULT_CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    encoder = {name: getattr(experiment.encoder, name) for name in released["encoder"]}
    assert (encoder, experiment.image_size) == (released["encoder"], released["image_size"])
    assert experiment.detail is None or list(experiment.detail.channels) == released["detail"]["channels"]


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_builds_its_model(path: Path) -> None:
    """The transformer's many weights on torch's meta device: it knows shapes, holds no numbers and has no autocast."""
    experiment = experiment_of(path, "--encoder.pretrained", "none")
    large = experiment.encoder.backbone.startswith("vit")
    with torch.device("meta") if large else torch.device("cpu"):
        backbone = Backbone(experiment.encoder, experiment.image_size, 0 if large else 5)
        features = backbone(torch.zeros(2, 3, experiment.image_size, experiment.image_size))
    places = 0 if backbone.decoder is None else math.prod(backbone.decoder.map_shape)
    assert features.shape == (2, backbone.feature_count + 3 * backbone.point_count + places)


@pytest.mark.slow
def test_the_resnet_config_takes_a_step() -> None:
    experiment = experiment_of(CONFIG_FOLDER / "resnet50_224.yaml", "--encoder.pretrained", "none")
    reconstructor = Reconstructor(experiment.encoder, experiment.image_size, toy_head())
    size = experiment.image_size
    focal_px = 4.0 * size
    camera = torch.tensor([[focal_px, 0.0, size / 2], [0.0, focal_px, size / 2], [0.0, 0.0, 1.0]])
    reconstructor(torch.rand(2, 3, size, size), camera.repeat(2, 1, 1)).landmarks68_image.mean().backward()
    gradients = [p.grad for p in reconstructor.parameter_head.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_released_head_exists_for_them() -> None:
    experiment = experiment_of(CONFIGS[0])
    assert load_head(experiment.head).identity_basis.shape[0] > 0


def test_what_a_bank_of_drawn_heads_does_not_hold_is_not_asked_of_it() -> None:
    path = CONFIG_FOLDER / "likeness_s_shape.yaml"
    with pytest.raises(ValueError, match=r"loss\.loop_back .* synthetic\.bank"):
        experiment_of(path, "--loss.loop_back", "0.1")
