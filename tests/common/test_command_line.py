"""Command lines: one spelling of options, and short answers to what cannot be read."""

import pytest

from common.command_line import ShortParser, spelled


def test_options_are_read_in_either_spelling_and_values_stay() -> None:
    given = ["photo-1.jpg", "--batch-size", "3", "--a.b-c=x-y_z", "-x", "--", "--no_network", "folder_a"]
    assert spelled(given, "_") == [*("photo-1.jpg", "--batch_size", "3"), "--a.b_c=x-y_z", "-x", "--", *given[6:]]
    assert spelled(given, "-")[-2:] == ["--no-network", "folder_a"]


def test_a_mistyped_option_is_answered_in_two_lines_with_what_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ShortParser(prog="program")
    for number in range(200):
        parser.add_argument(f"--option{number}", type=int)
    parser.add_argument("--schedule.max_steps", type=int, required=True)
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "arguments are required: --schedule.max_steps\n" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--schedule.max_stesp", "5"])
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "program: unrecognized arguments: --schedule.max_stesp 5; did you mean --schedule.max_steps"
    )
    assert second == "program --help lists the options"
    with pytest.raises(SystemExit):
        parser.parse_args(["--option7", "seven"])
    wrong = capsys.readouterr().err
    assert "option7" in wrong
    assert len(wrong.splitlines()) == 2
