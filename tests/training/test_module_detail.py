"""The module with a mesh decoder, drawn heads and a recognition network."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from data.loader_config import LoaderConfig
from model.encoder.backbone import EncoderConfig
from model.encoder.detail_head import DetailConfig
from model.geometry.rotation import rotation_from_euler
from model.losses.config import LossConfig
from tests.small_world import IMAGE_SIZE, toy_decoding_reconstructor, toy_hierarchy, toy_reconstructor
from tests.training.bare_module import drawn_batch, quiet
from training.config import Experiment
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY
from training.module import TrainingModule
from training.synthetic_geometry import PARAMETERS_KEY, SyntheticGeometry, SyntheticGeometryConfig


def experiment(**changes: Any) -> Experiment:
    nowhere = LoaderConfig(shards=Path("nowhere"), size=IMAGE_SIZE)
    plain = Experiment(
        output=Path("nowhere"),
        train=nowhere,
        validation=nowhere,
        image_size=IMAGE_SIZE,
        encoder=EncoderConfig("test_resnet"),
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    return drawn_batch(3)


def with_drawn_heads(loss: LossConfig, **changes: Any) -> TrainingModule:
    config = experiment(loss=loss, detail=DetailConfig((8, 8, 8)), **changes)
    module = TrainingModule(config, toy_decoding_reconstructor())
    model = toy_reconstructor().morphable_model
    heads = SyntheticGeometry(SyntheticGeometryConfig(batch_size=2), model, toy_hierarchy(), IMAGE_SIZE)
    module._synthetic = iter(heads)
    return module


def test_a_frozen_encoder_gets_no_gradient_and_keeps_its_statistics(batch: dict[str, Any]) -> None:
    module = with_drawn_heads(LossConfig(photometric=1.0, vertices=1.0), freeze_encoder=True)
    quiet(module)
    before = {name: value.clone() for name, value in module.reconstructor.backbone.state_dict().items()}
    module.train()
    module.on_train_batch_start(batch, 0)
    optimizer = module.configure_optimizers()["optimizer"]
    for _ in range(2):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
    for name, value in module.reconstructor.backbone.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    decoder = module.reconstructor.detail_head
    assert decoder is not None
    assert trained == {id(p) for p in decoder.parameters()}
    assert decoder.outputs.weight.abs().sum() > 0


def test_without_freezing_everything_is_trained() -> None:
    module = with_drawn_heads(LossConfig())
    trained = {id(p) for group in module.configure_optimizers()["optimizer"].param_groups for p in group["params"]}
    assert trained == {id(p) for p in module.reconstructor.parameters()}


def test_drawn_heads_bring_terms_of_their_own(batch: dict[str, Any]) -> None:
    weights = LossConfig(vertices=1.0, likelihood=1.0, loop_back=1.0, offset_prior=1.0)
    module = with_drawn_heads(weights)
    logged = quiet(module)
    module.training_step(batch, 0)
    assert {"train/vertices", "train/likelihood", "train/loop_back", "train/offset_prior"} <= logged.keys()
    # An untrained model is the mean head, several millimetres off.
    assert 0.5 < float(logged["train/vertices"]) < 30.0


def test_photographs_and_drawn_heads_are_one_batch(batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that batch normalisation cannot tell them apart."""
    module = with_drawn_heads(LossConfig(vertices=1.0, neutral_vertices=1.0))
    logged = quiet(module)
    seen: list[torch.Tensor] = []
    features = module.reconstructor.features

    def spy(image_srgb: torch.Tensor) -> torch.Tensor:
        seen.append(image_srgb)
        return features(image_srgb)

    monkeypatch.setattr(module.reconstructor, "features", spy)
    module.training_step(batch, 0)
    assert [len(images) for images in seen] == [5]
    torch.testing.assert_close(seen[0][:3], batch["image_srgb"])
    # An untrained model is at rest: it errs less about the neutral heads than about the posed ones.
    assert 0.3 < float(logged["train/neutral_vertices"]) < float(logged["train/vertices"])


def test_the_truth_is_compared_with_the_drawn_heads_and_not_with_the_photographs(batch: dict[str, Any]) -> None:
    module = with_drawn_heads(LossConfig(vertices=1.0, neutral_vertices=1.0))
    logged = quiet(module)
    drawn = next(module._synthetic)  # pyright: ignore[reportArgumentType]
    model = module.reconstructor.morphable_model
    # The untrained model's own head is the truth, moved, turned and scaled: pose is no error of shape.
    turn = rotation_from_euler(torch.tensor([[0.3, 0.1, -0.2]])).transpose(1, 2)
    truth_mm = 1.1 * model.mean_mm.expand(2, -1, -1) @ turn + 20.0
    module._synthetic = iter([{**drawn, VERTICES_KEY: truth_mm, NEUTRAL_KEY: truth_mm}])
    module.eval()
    module.training_step(batch, 0)
    for name in ("train/vertices", "train/neutral_vertices"):
        # The loss is smooth at zero, 0.01 mm above it.
        assert float(logged[name]) == pytest.approx(0.01, abs=2e-3)


def test_heads_without_parameters_have_no_loop_back(batch: dict[str, Any]) -> None:
    module = with_drawn_heads(LossConfig(vertices=1.0, loop_back=1.0))
    logged = quiet(module)
    drawn = next(module._synthetic)  # pyright: ignore[reportArgumentType]
    del drawn[PARAMETERS_KEY]
    module._synthetic = iter([drawn])
    module.training_step(batch, 0)
    assert "train/vertices" in logged
    assert "train/loop_back" not in logged


@pytest.mark.parametrize(("wanted", "rendered"), [(0, 5), (2, 2), (4, 4), (99, 5)])
def test_only_so_many_of_a_batch_are_rendered(
    batch: dict[str, Any], wanted: int, rendered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = with_drawn_heads(LossConfig(photometric=1.0), rendered_photographs=wanted)
    logged = quiet(module)
    counts: list[int] = []
    render_mesh = module.objective.renderer.render_mesh

    def spy(mesh: Any, *rest: Any) -> Any:
        counts.append(len(mesh.vertices_mm))
        return render_mesh(mesh, *rest)

    monkeypatch.setattr(module.objective.renderer, "render_mesh", spy)
    module.training_step(batch, 0)
    assert counts == [rendered]
    assert torch.isfinite(logged["train/photometric"])


def test_a_negative_number_of_renderings_is_refused() -> None:
    with pytest.raises(ValueError, match="rendered_photographs is -1"):
        experiment(rendered_photographs=-1)


def test_a_weight_for_recognition_without_a_network_says_what_is_missing(batch: dict[str, Any]) -> None:
    module = TrainingModule(experiment(loss=LossConfig(photometric=1.0, recognition=1.0)), toy_reconstructor())
    quiet(module)
    with pytest.raises(ValueError, match="needs weights"):
        module.training_step(batch, 0)


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(ValueError, match="freeze_encoder"):
        experiment(freeze_encoder=True)
