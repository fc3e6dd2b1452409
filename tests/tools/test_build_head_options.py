"""What the builder's command line refuses, before it reads anything."""

import pytest

from tools.build_head import main


@pytest.mark.parametrize("count", ["0", "499", "-5600", "many"])
def test_too_few_vertices_are_refused(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--source", "missing.npz", "--output", "never.safetensors", f"--half-vertices={count}"])
    message = capsys.readouterr().err
    assert "--half-vertices" in message
    assert repr(count) in message
    assert "at least 500" in message


def test_the_fewest_vertices_allowed_are_let_through() -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.npz"):
        main(["--source", "missing.npz", "--output", "never.safetensors", "--half-vertices=500"])
