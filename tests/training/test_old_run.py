"""A run that an earlier version began: its settings are read, and it goes on from its last checkpoint."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import train
from model.checkpoint import file_sha256, save_checkpoint
from model.face.hierarchy import save_hierarchy
from tests.small_run import arguments, make_place
from tests.small_world import toy_decoding_reconstructor, toy_hierarchy

OLD_OF_NEW = {"detail_head": "refinement_head"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_place(tmp_path_factory.mktemp("old"))
    own = replace(toy_hierarchy(), head_sha256=file_sha256(folder / "head.safetensors"))
    save_hierarchy(own, folder / "hierarchy.safetensors")
    return folder


def options(place: Path, output: str, *more: str) -> list[str]:
    return arguments(place, output, "--hierarchy", str(place / "hierarchy.safetensors"), *more)


def with_old_names(values: dict[str, Any]) -> dict[str, Any]:
    return {".".join(OLD_OF_NEW.get(part, part) for part in name.split(".")): value for name, value in values.items()}


@pytest.mark.slow
def test_it_goes_on_as_it_would_have(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same to the last digit: weights, their average, the optimiser's state."""
    train.main(options(place, "new", "--detail.channels", "[8,8,8]"))
    shutil.copytree(place / "new", place / "old")
    checkpoint = torch.load(place / "old" / "last.ckpt", weights_only=False)
    checkpoint["state_dict"] = with_old_names(checkpoint["state_dict"])
    averages = [state for state in checkpoint["callbacks"].values() if "average" in state]
    assert len(averages) == 1
    averages[0]["average"] = with_old_names(averages[0]["average"])
    assert any("refinement_head" in name for name in averages[0]["average"])
    torch.save(checkpoint, place / "old" / "last.ckpt")
    longer = "--schedule.max_steps=4", "--resume"
    train.main(options(place, "new", "--detail.channels", "[8,8,8]", *longer))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        train.main(options(place, "old", "--refinement.channels", "[8,8,8]", *longer))
    told = [record.message for record in caplog.records if "is called" in record.message]
    assert told == [
        "options: `--refinement` is called `--detail` now",
        f"{place / 'old' / 'last.ckpt'}: `refinement_head` is called `detail_head` now",
    ]
    new, old = (torch.load(place / run / "last.ckpt", weights_only=False) for run in ("new", "old"))
    assert list(new["state_dict"]) == list(old["state_dict"])
    for name, value in new["state_dict"].items():
        torch.testing.assert_close(old["state_dict"][name], value, atol=0, rtol=0, msg=name)
    first, second = (next(s["average"] for s in c["callbacks"].values() if "average" in s) for c in (new, old))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=0, rtol=0, msg=name)


def test_its_config_means_what_it_meant(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = yaml.safe_load((place / "tiny.yaml").read_text(encoding="utf-8"))
    network = {"network": {"network": "facenet"}, "stored": True}
    loss = {"identity": 0.25, "identity_teacher": 0.5, "identity_distillation": 0.125, "identity_prior": 2.0}
    old = {**config, "refinement": {"channels": [8, 8]}, "identity_network": network, "loss": loss}
    (place / "old.yaml").write_text(yaml.safe_dump(old, sort_keys=False), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        experiment, resolved, _ = train.read_experiment(
            ["--config", str(place / "old.yaml"), "--output", "nowhere", "--loss.identity_teacher=0.75"]
        )
    assert experiment.detail is not None
    assert experiment.detail.channels == (8, 8)
    assert experiment.recognition_network.network.network == "facenet"
    assert experiment.recognition_network.stored
    assert experiment.loss.recognition == 0.25
    assert experiment.loss.recognition_teacher == 0.75
    assert experiment.loss.recognition_distillation == 0.125
    assert experiment.loss.identity_prior == 2.0
    # What is written has the names of today.
    kept = yaml.safe_load(resolved)
    assert {"detail", "recognition_network"} <= kept.keys()
    assert not {"refinement", "identity_network"} & kept.keys()
    assert len([record for record in caplog.records if "`refinement` is called `detail` now" in record.message]) == 1


def test_a_name_of_before_beside_that_of_today_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((place / "tiny.yaml").read_text(encoding="utf-8"))
    (place / "both.yaml").write_text(yaml.safe_dump({**config, "refinement": {}, "detail": {}}), encoding="utf-8")
    with pytest.raises((ValueError, SystemExit)) as refused:
        train.read_experiment(["--config", str(place / "both.yaml"), "--output", "nowhere"])
    assert "both are there: keep `detail`" in f"{refused.value}{capsys.readouterr().err}"


def test_a_start_from_weights_of_before_takes_the_decoder_along(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    release = place / "start"
    model = toy_decoding_reconstructor()
    hierarchy = place / "hierarchy.safetensors"
    save_checkpoint(model, place / "head.safetensors", release, {}, hierarchy_path=hierarchy, half=False)
    path = release / "weights.safetensors"
    save_file(with_old_names(load_file(path)), path)
    given = options(place, "started", "--detail.channels", "[8,8,8]", "--start_from", str(release))
    with caplog.at_level(logging.WARNING):
        started = train.build_reconstructor(train.read_experiment(given)[0])
    assert started.detail_head is not None
    assert model.detail_head is not None
    for name, value in model.detail_head.state_dict().items():
        torch.testing.assert_close(started.detail_head.state_dict()[name], value, msg=name)
    assert f"{release}: `refinement_head` is called `detail_head` now" in caplog.text
