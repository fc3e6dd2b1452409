"""The ablation tool as it is called, on the tiny world of `train.py`'s test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.losses.config import LossConfig
from tests.small_run import make_place
from tools import ablate
from tools.ablation_table import format_table


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("ablate"), train_faces=6, batch=3, of_person=2)


def call(place: Path, output: str, *more: str) -> Path:
    ablate.main(["--base", str(place / "tiny.yaml"), "--output", str(place / output), "--steps", "2", *more])
    return place / output


@pytest.fixture(scope="module")
def table(place: Path) -> Path:
    return call(place, "table", "--without", "photometric", "--with", "gaze=0.5+pyramid_levels=2")


def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


@pytest.mark.slow
def test_each_line_is_trained_with_its_change_for_each_seed(table: Path) -> None:
    runs = sorted(path.parent.name for path in table.glob("*/result.json"))
    lines = ("all-losses", "with-gaze=0.5+pyramid_levels=2", "without-photometric")
    assert runs == [f"{line}-seed{seed}" for line in lines for seed in (0, 1)]
    whole = result(table / "all-losses-seed1")["settings"]
    assert (whole["seed"], whole["train.seed"], whole["loss.photometric"]) == (1, 1, 1.0)
    for line, changes in (
        ("without-photometric", {"loss.photometric": 0.0}),
        ("with-gaze=0.5+pyramid_levels=2", {"loss.gaze": 0.5, "loss.pyramid_levels": 2}),
    ):
        settings = result(table / f"{line}-seed1")["settings"]
        assert {name: value for name, value in settings.items() if value != whole[name]} == changes


@pytest.mark.slow
def test_the_table_has_mean_and_spread_of_every_number(table: Path) -> None:
    lines = (table / "table.md").read_text().splitlines()
    assert lines[0] == "| losses | NME % | PSNR dB | residual | AUC | seeds |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| all losses", "| without photometric", "| with gaze=0.5+pyramid_levels=2",
    ]  # fmt: skip
    errors = [result(table / f"all-losses-seed{seed}")["result"]["nme_percent"] for seed in (0, 1)]
    assert f"| all losses | {np.mean(errors):.3f} ± {np.std(errors, ddof=1):.3f} |" in lines[2]
    measured = result(table / "all-losses-seed0")["result"]
    assert (measured["photographs"], measured["same_pairs"]) == (6, 3)
    for line in lines[2:]:
        assert line.count("±") == 4
        assert " - " not in line
        assert line.endswith("| 2 |")


@pytest.mark.slow
def test_runs_are_told_apart_by_their_losses_and_start_from_one_seed(table: Path) -> None:
    first, second, other = (
        load_file(table / run / "release" / "weights.safetensors")
        for run in ("all-losses-seed0", "without-photometric-seed0", "all-losses-seed1")
    )
    name = "parameter_head.placement.weight"
    assert not torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])


@pytest.mark.slow
def test_what_is_there_is_not_computed_again(place: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arguments: list[str]) -> None:
        raise AssertionError(f"trained again: {arguments}")

    before = (table / "table.md").read_text()
    monkeypatch.setattr(ablate.train, "main", refuse)
    call(place, "table", "--without", "photometric", "--with", "gaze=0.5+pyramid_levels=2")
    assert (table / "table.md").read_text() == before
    with pytest.raises(AssertionError, match=r"loss.gaze', '0.7"):
        call(place, "table", "--with", "gaze=0.7")


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(place: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = table / "all-losses-seed0"
    kept = (run / "result.json").read_text()
    (run / "result.json").write_text(json.dumps({**json.loads(kept), "result": None}))
    (run / "last.ckpt").touch()
    calls: list[list[str]] = []
    monkeypatch.setattr(ablate.train, "main", calls.append)
    call(place, "table", "--without", "photometric", "--seeds", "1")
    assert len(calls) == 1
    assert calls[0][-1] == "--resume"
    assert not (run / "last.ckpt").exists()
    assert result(run)["result"] == json.loads(kept)["result"]


@pytest.mark.slow
def test_results_of_other_settings_are_refused_by_name(place: Path, table: Path) -> None:
    with pytest.raises(ValueError, match="all-losses-seed0.*measured with another optimizer.learning_rate"):
        call(place, "table", "--without", "photometric", "--optimizer.learning_rate", "0.01")
    with pytest.raises(ValueError, match="measured with another photographs"):
        call(place, "table", "--without", "photometric", "--photographs", "3")


def test_all_terms_are_those_with_a_weight() -> None:
    base = LossConfig(gaze=0.5)
    variants = ablate.described(base, ["eye_closure+lip_distance"], [], every=True)
    names = [variant.name for variant in variants]
    assert names[:2] == ["all losses", "without eye_closure+lip_distance"]
    assert set(names[2:]) == {f"without {name}" for name, weight in base.weights().items() if weight > 0}
    assert variants[1].changes == {"eye_closure": "0.0", "lip_distance": "0.0"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--without", "photometrik"], "no loss 'photometrik'; there are landmarks68"),
        (["--without", "pyramid_levels"], "no loss 'pyramid_levels'"),
        (["--without", "gaze"], "gaze has no weight in the base config"),
        (["--with", "gaze"], "expected NAME=VALUE"),
        (["--with", "gase=1"], "NAME one of landmarks68"),
        (["--without", "photometric", "--without", "photometric"], "asked for twice"),
        ([], "nothing to compare"),
        (["--without", "photometric", "--seeds", "0"], "--seeds 0"),
    ],
)
def test_what_cannot_be_is_refused(place: Path, options: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(place, "refused", *options)
    assert not (place / "refused").exists()


def test_a_missing_base_is_named(place: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing.yaml"):
        ablate.main(["--base", str(place / "missing.yaml"), "--without", "photometric"])


def test_an_unknown_option_is_refused_before_anything_is_trained(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call(place, "refused", "--without", "photometric", "--optimizer.learnig_rate", "1")
    assert "learnig_rate" in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_differences_are_paired_by_seed_and_a_missing_number_is_a_dash() -> None:
    def run(nme: float, auc: float | None) -> dict[str, float | None]:
        return {"nme_percent": nme, "psnr_db": 20.0, "residual": 0.1, "auc": auc}

    rows = {"all": [run(1.0, 0.7), run(3.0, 0.9)], "less": [run(1.5, None), run(3.7, 0.8)]}
    lines = format_table(rows, "all").splitlines()
    assert lines[2] == "| all | 2.000 ± 1.414 | 20.00 ± 0.00 | 0.1000 ± 0.0000 | 0.800 ± 0.141 | 2 |"
    assert lines[3] == "| less | 2.600 ± 1.556 (+0.600) | 20.00 ± 0.00 (+0.00) | 0.1000 ± 0.0000 (+0.0000) | - | 2 |"
    single = format_table({"all": rows["all"][:1]}, "all").splitlines()
    assert single[2] == "| all | 1.000 | 20.00 | 0.1000 | 0.700 | 1 |"
