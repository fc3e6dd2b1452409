import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from data.loader import LoaderConfig
from model.encoder.backbone import EncoderConfig
from model.losses.config import LossConfig
from model.losses.objective import Objective
from tests.small_world import IMAGE_SIZE, toy_reconstructor
from tests.training.bare_module import drawn_batch, quiet
from training.config import Experiment, OptimizerConfig, ScheduleConfig
from training.module import TrainingModule

PHOTOMETRIC = LossConfig(photometric=1.0, symmetry=0.1)


def experiment(**changes: Any) -> Experiment:
    nowhere = LoaderConfig(shards=Path("nowhere"), size=IMAGE_SIZE)
    return dataclasses.replace(
        Experiment(
            output=Path("nowhere"), train=nowhere, validation=nowhere, image_size=IMAGE_SIZE,
            encoder=EncoderConfig("test_resnet"),
        ),
        **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    return drawn_batch(6)


@pytest.mark.parametrize("loss", [LossConfig(), PHOTOMETRIC], ids=["landmarks", "photometric"])
def test_the_loss_is_the_sum_of_its_terms_and_reaches_every_weight(loss: LossConfig, batch: dict[str, Any]) -> None:
    module = TrainingModule(experiment(loss=loss), toy_reconstructor())
    logged = quiet(module)
    for step in range(3):
        # One layer after the other: each learns once those behind it are no longer zero.
        total = module.training_step(batch, step)
        module.zero_grad()
        total.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.01 * parameter.grad.sign() if parameter.grad is not None else 0.0
    terms = {name: value for name, value in logged.items() if name != "train/loss"}
    torch.testing.assert_close(torch.stack(list(terms.values())).sum(), logged["train/loss"])
    photometric_only = ("albedo", "lighting")
    for name, parameter in module.named_parameters():
        if loss.renders or not any(part in name for part in photometric_only):
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name


@pytest.mark.slow
@pytest.mark.parametrize("loss", [LossConfig(), PHOTOMETRIC], ids=["landmarks", "photometric"])
def test_a_few_steps_on_one_batch_lower_the_loss(loss: LossConfig, batch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    module = TrainingModule(experiment(loss=loss), toy_reconstructor())
    quiet(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for step in range(25):
        loss_now = module.training_step(batch, step)
        optimizer.zero_grad()
        loss_now.backward()
        optimizer.step()
        losses.append(loss_now.item())
    assert losses[-1] < 0.6 * losses[0]


def test_validation_measures_the_nme_in_percent(batch: dict[str, Any]) -> None:
    module = TrainingModule(experiment(), toy_reconstructor())
    with torch.no_grad():
        answer = module.reconstructor(batch["image_srgb"], batch["intrinsics_px"]).landmarks68_image
    # Labels that are the answer itself, moved by 3 px.
    labels_px = torch.cat((answer[..., :2] + torch.tensor([3.0, 0.0]), torch.zeros(6, 68, 1)), dim=-1)
    module.validation_step(batch | {"landmarks68_px": labels_px}, 0)
    measured = module.validated.means(module.device)
    size_px = (labels_px.amax(1) - labels_px.amin(1))[:, :2].prod(-1).sqrt()
    torch.testing.assert_close(measured["nme"], (300.0 / size_px).mean())
    # Untrained heads face the camera.
    torch.testing.assert_close(measured["nme_0-30"], measured["nme"])
    assert "nme_60-90" not in measured


def test_unlabelled_samples_do_not_count_in_validation(batch: dict[str, Any]) -> None:
    module = TrainingModule(experiment(), toy_reconstructor())
    weights = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    module.validation_step(batch | {"landmarks68_weight": weights}, 0)
    two = module.validated.means(module.device)["nme"]
    module.on_validation_epoch_start()
    module.validation_step({name: value[:2] for name, value in batch.items()}, 0)
    torch.testing.assert_close(module.validated.means(module.device)["nme"], two)


def test_photometric_validation_measures_the_residual(batch: dict[str, Any]) -> None:
    module = TrainingModule(experiment(loss=PHOTOMETRIC), toy_reconstructor())
    module.validation_step(batch, 0)
    assert 0.0 < module.validated.means(module.device)["residual"] < 1.5


def rates(config: Experiment, steps: int) -> list[float]:
    configured = TrainingModule(config, toy_reconstructor()).configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    result = []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    config = experiment(optimizer=OptimizerConfig(learning_rate=2.0, warmup_steps=10), schedule=ScheduleConfig(50))
    rate = rates(config, 60)
    assert rate[0] == pytest.approx(0.02)
    assert rate[10] == pytest.approx(2.0)
    assert rate[30] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5))
    assert rate[50] == pytest.approx(0.02)
    assert all(after >= before for before, after in zip(rate[:10], rate[1:11], strict=True))
    assert all(after <= before for before, after in zip(rate[10:], rate[11:], strict=False))


def test_a_run_resumed_with_another_length_follows_that_length() -> None:
    optimizer = OptimizerConfig(warmup_steps=2)
    short = TrainingModule(experiment(optimizer=optimizer, schedule=ScheduleConfig(10)), toy_reconstructor())
    state = short.configure_optimizers()["lr_scheduler"]["scheduler"].state_dict()
    long = TrainingModule(experiment(optimizer=optimizer, schedule=ScheduleConfig(100)), toy_reconstructor())
    scheduler = long.configure_optimizers()["lr_scheduler"]["scheduler"]
    scheduler.load_state_dict(state)
    for _ in range(10):
        scheduler.optimizer.step()
        scheduler.step()
    expected = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * 8 / 98))
    assert scheduler.get_last_lr()[0] == pytest.approx(optimizer.learning_rate * expected)


def test_only_matrices_decay_and_the_head_has_its_own_rate() -> None:
    config = experiment(optimizer=OptimizerConfig(learning_rate=1.0, head_learning_rate_factor=3.0, warmup_steps=0))
    module = TrainingModule(config, toy_reconstructor())
    groups = module.configure_optimizers()["optimizer"].param_groups
    of_head = {id(parameter) for parameter in module.reconstructor.parameter_head.parameters()}
    seen = 0
    for group in groups:
        for parameter in group["params"]:
            seen += 1
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
            assert group["lr"] == (3.0 if id(parameter) in of_head else 1.0)
    assert seen == len(list(module.parameters()))


def test_a_layer_that_is_thrown_away_learns_the_embeddings(batch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    module = TrainingModule(experiment(loss=LossConfig(recognition_distillation=1.0)), toy_reconstructor())
    logged = quiet(module)
    people = batch | {
        "recognition_embedding": torch.randn(6, 128, generator=torch.Generator().manual_seed(1)),
        "recognition_embedding_weight": torch.ones(6),
    }
    (optimizer,) = [module.configure_optimizers()["optimizer"]]
    assert module.teacher_layer is not None
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert {id(parameter) for parameter in module.teacher_layer.parameters()} <= trained
    module.training_step(people, 0).backward()
    weight = module.teacher_layer.weight.grad
    assert weight is not None
    assert weight[:128].any()
    # Embeddings of 128 numbers are answered by the first 128.
    assert not weight[128:].any()
    first = logged["train/recognition_distillation"].item()
    for step in range(10):
        optimizer.zero_grad()
        module.training_step(people, step).backward()
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.data -= 0.05 * parameter.grad
    assert logged["train/recognition_distillation"].item() < 0.9 * first
    assert not any(name.startswith("teacher") for name in module.reconstructor.state_dict())


class Yardstick(torch.nn.Linear):
    """A stand-in for a recognition network."""

    face_size_px, feature_count = 16, 3
    template_px = torch.tensor([[4.0, 5.0], [12.0, 5.0], [8.0, 9.0], [5.0, 13.0], [11.0, 13.0]])

    def embed(self, faces_srgb: torch.Tensor) -> torch.Tensor:
        return self(faces_srgb.mean((2, 3)))

    def similarity(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cosine_similarity(first, second)


def test_the_weights_have_the_names_that_resumable_checkpoints_know(batch: dict[str, Any]) -> None:
    """The teacher's layer is trained and saved; tables of the head and the recognition network are not."""
    loss = LossConfig(photometric=1.0, recognition=1.0, recognition_distillation=1.0)
    reconstructor, network = toy_reconstructor(), Yardstick(3, 3)
    module = TrainingModule(experiment(loss=loss), reconstructor, Objective(loss, reconstructor, lambda: network))
    logged = quiet(module)
    module.training_step(batch, 0).backward()
    assert "train/recognition" in logged
    expected = [f"reconstructor.{name}" for name in reconstructor.state_dict()]
    assert list(module.state_dict()) == [*expected, "teacher_layer.weight", "teacher_layer.bias"]
    assert network not in list(module.modules())
