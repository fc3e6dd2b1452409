"""The entry script as it is called: a run of two steps, resumed to four, with a real, tiny configuration."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import train
from common.paths import REPOSITORY
from data.loader_config import LoaderConfig
from data.shards import write_shard
from model import load_reconstructor
from model.checkpoint import file_sha256, save_checkpoint
from model.encoder.backbone import EncoderConfig
from model.face.hierarchy import save_hierarchy
from tests.small_run import arguments, make_place
from tests.small_world import (
    BACKBONE,
    IMAGE_SIZE,
    crop_camera,
    toy_decoding_reconstructor,
    toy_hierarchy,
    toy_reconstructor,
)
from training.config import Experiment, ScheduleConfig, TrainerConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a head, shards of synthetic faces and a config."""
    return make_place(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A run of two steps."""
    train.main(arguments(place, "run"))
    return place / "run"


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_leaves_what_is_needed_to_know_and_to_resume_it(run: Path) -> None:
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert resolved["schedule"]["max_steps"] == 2
    assert resolved["encoder"]["backbone"] == BACKBONE
    # Defaults are written too: a later change of them must not change what this run was.
    assert resolved["optimizer"]["weight_decay"] > 0
    assert (run / "last.ckpt").is_file()
    logged = metrics(run)
    assert any(row.get("train/loss") for row in logged)
    assert any(row.get("val/nme") for row in logged)
    assert any(row.get("val/residual") for row in logged)


@pytest.mark.slow
def test_the_release_reconstructs(run: Path) -> None:
    reconstructor = load_reconstructor(run / "release")
    with torch.no_grad():
        answer = reconstructor(torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(1))
    assert torch.isfinite(answer.mesh.vertices_camera_mm).all()
    provenance = json.loads((run / "release" / "config.json").read_text())["provenance"]
    assert provenance["steps"] == 2


@pytest.mark.slow
def test_the_release_does_not_say_where_the_repository_lies(place: Path) -> None:
    experiment = Experiment(
        output=place / "elsewhere",
        train=LoaderConfig(place / "train", size=IMAGE_SIZE, batch_size=4, workers=0, shuffle_buffer=4),
        validation=LoaderConfig(place / "val", training=False, size=IMAGE_SIZE, batch_size=4, workers=0),
        head=place / "head.safetensors",
        image_size=IMAGE_SIZE,
        encoder=EncoderConfig(BACKBONE),
        schedule=ScheduleConfig(max_steps=1, validate_every_steps=1),
        trainer=TrainerConfig(accelerator="cpu", compile=False),
    )
    release = train.run(experiment, resume=False, resolved_config=f"head: {REPOSITORY}/checkpoints/head.safetensors")
    config = json.loads((release / "config.json").read_text())["provenance"]["config"]
    assert config == {"head": "checkpoints/head.safetensors"}


def test_an_output_that_holds_a_run_is_not_overwritten(place: Path, run: Path) -> None:
    with pytest.raises(FileExistsError, match="--resume"):
        train.main(arguments(place, "run"))


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(place: Path, run: Path) -> None:
    two_steps = torch.load(run / "last.ckpt", weights_only=False)
    train.main(arguments(place, "run", "--schedule.max_steps", "4", "--resume"))
    four_steps = torch.load(run / "last.ckpt", weights_only=False)
    assert (two_steps["global_step"], four_steps["global_step"]) == (2, 4)
    name = "reconstructor.parameter_head.placement.weight"
    assert not torch.equal(two_steps["state_dict"][name], four_steps["state_dict"][name])
    averages = [
        next(iter(c["callbacks"][k] for k in c["callbacks"] if "Average" in k)) for c in (two_steps, four_steps)
    ]
    assert [average["steps"] for average in averages] == [2, 4]
    steps = [int(row["step"]) for row in metrics(run) if row.get("train/loss")]
    assert max(steps) == 3
    # The log of the first two steps is kept.
    assert (run / "metrics-part1.csv").is_file()
    provenance = json.loads((run / "release" / "config.json").read_text())["provenance"]
    assert provenance["steps"] == 4


@pytest.mark.slow
def test_a_run_can_start_from_a_release(place: Path, run: Path) -> None:
    train.main(arguments(place, "second", "--start_from", str(run / "release"), "--optimizer.learning_rate", "1e-9"))
    before, after = load_reconstructor(run / "release"), load_reconstructor(place / "second" / "release")
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(new, old, atol=1e-3, rtol=1e-3, msg=name)


def started(place: Path, release: Path, *fresh: str, backbone: str = BACKBONE) -> dict[str, torch.Tensor]:
    """Weights of a model that starts from a release."""
    loader = LoaderConfig(place / "train", size=IMAGE_SIZE)
    experiment = Experiment(
        output=place / "nowhere",
        train=loader,
        validation=loader,
        head=place / "head.safetensors",
        image_size=IMAGE_SIZE,
        encoder=EncoderConfig(backbone),
        start_from=release,
        start_fresh=fresh,
        trainer=TrainerConfig(compile=False),
    )
    return train.build_reconstructor(experiment).state_dict()


def test_parts_of_a_release_can_be_left_untrained(place: Path) -> None:
    trained = toy_reconstructor()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.fill_(0.25)
    release = place / "quarters"
    save_checkpoint(trained, place / "head.safetensors", release, {})
    everything = started(place, release)
    part = started(place, release, "parameter_head.identity", "parameter_head.expression")
    assert not any(name.startswith("parameter_head.identity") for name in everything.keys() - part.keys())
    fresh = {name for name, value in part.items() if not torch.equal(value, everything[name])}
    assert fresh == {
        f"parameter_head.{name}.{kind}" for name in ("identity", "expression") for kind in ("weight", "bias")
    }
    # Untrained layers of the parameter head are zero.
    assert not any(part[name].any() for name in fresh)
    assert (everything["parameter_head.albedo.weight"] == 0.25).all()
    assert (part["parameter_head.albedo.weight"] == 0.25).all()


def test_weights_that_do_not_fit_are_named_and_refused_unless_asked_for(place: Path) -> None:
    release = place / "whole"
    save_checkpoint(toy_reconstructor(), place / "head.safetensors", release, {})
    with pytest.raises(ValueError, match="start_from: the weights of") as refused:
        started(place, release, backbone="test_vit")
    told = str(refused.value)
    assert str(release) in told
    for part in ("missing there (backbone.network ", "unknown to this model (backbone.network ", "start_fresh: ["):
        assert part in told
    # What the message proposes works.
    proposed = told.rsplit("start_fresh: [", 1)[1].rstrip("]").split(", ")
    assert started(place, release, *proposed, backbone="test_vit")


def test_a_part_that_the_model_does_not_have_is_refused(place: Path, run: Path) -> None:
    with pytest.raises(ValueError, match="start_fresh: no weight of this model is called parameter_head.identiti"):
        started(place, run / "release", "parameter_head.identity", "parameter_head.identiti")


@pytest.mark.slow
def test_a_decoder_is_taken_along_and_its_loss_is_told(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = replace(toy_hierarchy(), head_sha256=file_sha256(place / "head.safetensors"))
    save_hierarchy(own, place / "hierarchy.safetensors")
    release = place / "decoding"
    hierarchy = place / "hierarchy.safetensors"
    save_checkpoint(toy_decoding_reconstructor(), place / "head.safetensors", release, {}, hierarchy_path=hierarchy)
    options = ["--start_from", str(release), "--schedule.max_steps", "1", "--hierarchy", str(hierarchy)]
    train.main(arguments(place, "kept", *options, "--detail.channels", "[8,8,8]"))
    assert load_reconstructor(place / "kept" / "release").detail_head is not None
    assert "left behind" not in caplog.text
    train.main(arguments(place, "dropped", *options))
    assert "left behind" in caplog.text
    assert load_reconstructor(place / "dropped" / "release").detail_head is None


def test_nothing_to_resume_is_an_error(place: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train.main(arguments(place, "empty", "--resume"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--optimizer.learnig_rate", "0.1"),
        ("--optimizer.learning_rate", "fast"),
        ("--trainer.compile", "perhaps"),
    ],
)
def test_an_unknown_option_or_a_wrong_type_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as refused:
        train.main(arguments(place, "refused", option, value))
    assert refused.value.code == 2
    assert option.rsplit(".", 1)[1] in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_an_unknown_key_in_a_config_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((place / "tiny.yaml").read_text())
    config["loss"]["photometrik"] = 1.0
    (place / "typo.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as refused:
        train.main(["--config", str(place / "typo.yaml"), "--output", str(place / "refused")])
    assert refused.value.code == 2
    assert "photometrik" in capsys.readouterr().err


def test_crops_of_another_size_than_the_model_takes_are_refused_by_both_names(place: Path) -> None:
    with pytest.raises(ValueError, match=r"validation\.size is 32, image_size is 64"):
        train.main(arguments(place, "refused", "--validation.size", "32"))
    assert not (place / "refused").exists()


def test_missing_shards_are_named(place: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no shards"):
        train.main(arguments(place, "no-shards", "--train.shards", str(place)))


def test_held_out_shards_without_a_sample_are_refused_by_name(place: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="validation.shards: .*none holds no shards.*--validation_percent"):
        train.main(arguments(place, "no-val", "--validation.shards", str(tmp_path / "none")))
    write_shard(tmp_path / "none" / "val-000000.tar", [])
    with pytest.raises(ValueError, match="validation.shards: .*hold no sample"):
        train.main(arguments(place, "no-val", "--validation.shards", str(tmp_path / "none")))
    assert not (place / "no-val").exists()


def test_several_folders_to_start_from_are_written_as_they_are_read(tmp_path: Path) -> None:
    options = ["--config", str(REPOSITORY / "configs" / "likeness_s_detail.yaml"), "--output", str(tmp_path)]
    experiment, resolved, _ = train.read_experiment(options)
    assert experiment.start_from == (Path("checkpoints/likeness-s"), Path("runs/likeness-s-shape/release"))
    (tmp_path / "config.yaml").write_text(resolved)
    again, _, _ = train.read_experiment(["--config", str(tmp_path / "config.yaml")])
    assert again == experiment
    one, _, _ = train.read_experiment([*options, "--start_from", "runs/one"])
    assert one.start_from == Path("runs/one")
    assert one.starts == (Path("runs/one"),)
