"""Names of earlier versions are read as those of today, and told once."""

import logging

import pytest

from common.old_names import REFINE_SETTINGS, TRAINING_SETTINGS, current_arguments, current_keys, current_weights


def test_settings_keep_their_order_and_values(caplog: pytest.LogCaptureFixture) -> None:
    old = {
        "output": "runs/a",
        "refinement": {"channels": [8, 8], "identity_network": 1},
        "loss": {"identity_teacher": 0.5, "gaze": 0.1, "identity": 0.2},
        "seed": 3,
    }
    with caplog.at_level(logging.WARNING):
        new = current_keys(old, TRAINING_SETTINGS, "settings of a run")
    assert new == {
        "output": "runs/a",
        "detail": {"channels": [8, 8], "identity_network": 1},
        "loss": {"recognition_teacher": 0.5, "gaze": 0.1, "recognition": 0.2},
        "seed": 3,
    }
    assert list(new) == ["output", "detail", "loss", "seed"]
    assert list(new["loss"]) == ["recognition_teacher", "gaze", "recognition"]
    assert [record.message for record in caplog.records] == [
        "settings of a run: `refinement` is called `detail` now, "
        "`loss.identity_teacher` is called `loss.recognition_teacher` now, "
        "`loss.identity` is called `loss.recognition` now"
    ]


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            current_keys({"refinement": None}, TRAINING_SETTINGS, "settings told once")
    assert len(caplog.records) == 1


def test_settings_of_today_stay_as_they_are_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    # The coefficients are called identity as before, and words inside of other settings are none of ours.
    today = {"detail": None, "loss": {"identity_prior": 1.0, "recognition": 0.0}, "start_fresh": ["identity"]}
    with caplog.at_level(logging.WARNING):
        assert current_keys(today, TRAINING_SETTINGS, "settings of today") == today
    assert not caplog.records


@pytest.mark.parametrize(
    "twice",
    [
        {"refinement": {}, "detail": {}},
        {"detail": {}, "refinement": {}},
        {"loss": {"identity": 1.0, "recognition": 2.0}},
    ],
)
def test_an_old_and_a_new_name_of_one_thing_are_refused(twice: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"my\.yaml: .*both are there: keep `(detail|loss\.recognition)`"):
        current_keys(twice, TRAINING_SETTINGS, "my.yaml")


def test_a_command_line_is_read_with_and_without_equals(caplog: pytest.LogCaptureFixture) -> None:
    old = ["--refinement.channels", "[8,8]", "--loss.identity=0.1", "--loss.identity_teacher", "1", "--refine", "x"]
    with caplog.at_level(logging.WARNING):
        new = current_arguments([*old, "--loss.identity_prior=--refinement"], TRAINING_SETTINGS, "train.py")
    assert new == [
        *("--detail.channels", "[8,8]", "--loss.recognition=0.1", "--loss.recognition_teacher", "1", "--refine", "x"),
        "--loss.identity_prior=--refinement",
    ]
    assert len(caplog.records) == 1
    assert "`--refinement` is called `--detail` now" in caplog.text


def test_weights_are_renamed_by_whole_parts_of_their_names(caplog: pytest.LogCaptureFixture) -> None:
    old = {"reconstructor.refinement_head.stem.weight": 1, "refinement_head.bias": 2, "my_refinement_head.bias": 3}
    with caplog.at_level(logging.WARNING):
        new = current_weights(old, "weights of before")
        current_weights(old)
    assert new == {"reconstructor.detail_head.stem.weight": 1, "detail_head.bias": 2, "my_refinement_head.bias": 3}
    assert [record.message for record in caplog.records] == [
        "weights of before: `refinement_head` is called `detail_head` now"
    ]


@pytest.mark.parametrize("given", [["--loss", "{identity: 0.1, gaze: 2}"], ["--loss={identity: 0.1, gaze: 2}"]])
def test_the_value_of_a_whole_part_is_read_too(given: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        new = current_arguments(["--seed", "1", *given, "--loss.gaze", "0.3"], TRAINING_SETTINGS, str(given))
    assert "=".join(new) == '--seed=1=--loss={"recognition": 0.1, "gaze": 2}=--loss.gaze=0.3'
    assert "`loss.identity` is called `loss.recognition` now" in caplog.text
    # What is no mapping is the parser's to judge.
    assert current_arguments(["--loss", "my.yaml"], TRAINING_SETTINGS, "x") == ["--loss", "my.yaml"]


def test_what_became_a_constant_is_passed_over_where_it_says_the_same(caplog: pytest.LogCaptureFixture) -> None:
    run = {"trainer": {"strategy": "auto", "devices": 2}, "seed": 1}
    with caplog.at_level(logging.WARNING):
        assert current_keys(run, TRAINING_SETTINGS, "a run") == {"trainer": {"devices": 2}, "seed": 1}
    assert [record.message for record in caplog.records] == ["a run: `trainer.strategy` is always auto now"]


def test_what_became_a_constant_is_refused_where_it_says_something_else() -> None:
    with pytest.raises(ValueError, match=r"my\.yaml: `raster\.white_light` is 0\.5, but it is always 0\.02 now"):
        current_keys({"raster": {"white_light": 0.5}}, REFINE_SETTINGS, "my.yaml")
    with pytest.raises(ValueError, match=r"options: --trainer\.strategy is no option any more: it is always auto"):
        current_arguments(["--trainer.strategy", "auto"], TRAINING_SETTINGS, "options")
