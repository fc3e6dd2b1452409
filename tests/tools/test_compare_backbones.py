"""The comparison as it is called, on the small world."""

import json
import math
from pathlib import Path

import pytest

from data.loader import LoaderConfig
from data.shards import write_shard
from model import load_reconstructor
from model.face.assets import save_head
from tests.data.data_scenes import encoded
from tests.small_world import BACKBONE, toy_head
from tools.compare_backbones import described, main, rate_factor
from training.config import Experiment


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    save_head(toy_head(), tmp_path / "head.safetensors")
    write_shard(tmp_path / "face-000000.tar", encoded(6))
    loader = ["shards", str(tmp_path)], ["batch_size", "4"], ["workers", "0"]
    return [
        *("--output", str(tmp_path / "out"), "--head", str(tmp_path / "head.safetensors")),
        *(text for name, value in loader for text in (f"--train.{name}", value, f"--validation.{name}", value)),
        *("--validation.training", "false"),
    ]


@pytest.mark.slow
def test_each_candidate_is_trained_kept_and_measured(tmp_path: Path, options: list[str]) -> None:
    main([*options, "--candidates", f"[{BACKBONE}@64, {BACKBONE}@80]", "--minutes", "0.002"])
    rows = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    assert set(rows) == {f"{BACKBONE}@64-random", f"{BACKBONE}@80-random"}
    for title, row in rows.items():
        assert row["samples"] >= 4
        # All faces of the shard are frontal.
        assert row["nme_0"] == pytest.approx(row["nme"])
        assert math.isnan(row["nme_60"])
        assert load_reconstructor(tmp_path / "out" / title).image_size == int(title.split("@")[1][:2])


@pytest.mark.slow
def test_without_time_to_train_the_speed_is_measured(tmp_path: Path, options: list[str]) -> None:
    main([*options, "--candidates", f"[{BACKBONE}@64]", "--minutes", "0"])
    row = json.loads((tmp_path / "out" / "speed.json").read_text())[f"{BACKBONE}@64-random"]
    assert all(value > 0 for value in row.values())
    assert {"ms_batch1_threads1", "ms_batch16_threads1"} < set(row)


def test_a_candidate_changes_backbone_and_size_only() -> None:
    base = Experiment(Path("out"), train=LoaderConfig(Path("train"), seed=3), validation=LoaderConfig(Path("val")))
    changed = described("resnet18@128=timm", base)
    assert (changed.encoder.backbone, changed.encoder.pretrained) == ("resnet18", "timm")
    assert changed.image_size == changed.train.size == changed.validation.size == 128
    assert (changed.train.seed, changed.loss, changed.optimizer) == (3, base.loss, base.optimizer)
    assert changed.output != described("resnet18@128", base).output


@pytest.mark.parametrize("text", ["resnet18", "@112", "resnet18@large"])
def test_a_candidate_written_otherwise_is_refused(text: str) -> None:
    base = Experiment(Path("out"), train=LoaderConfig(Path("train")), validation=LoaderConfig(Path("val")))
    with pytest.raises(ValueError, match="NAME@SIZE"):
        described(text, base)


def test_the_rate_rises_once_and_falls_to_one_percent() -> None:
    rates = [rate_factor(step / 100) for step in range(101)]
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0.01)
