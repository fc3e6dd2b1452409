import pytest

from inference.progress import ProgressDisplay


def test_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("inference.progress._SECONDS_BETWEEN_LINES", 0.0)
    with ProgressDisplay(4) as progress:
        progress.advance(2)
        progress.note("b.jpg: broken")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("1/4 images, 2 faces, ")
    assert "images/s" in lines[0]
    assert lines[0].endswith("s left")
    assert lines[1] == "b.jpg: broken"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with ProgressDisplay(4) as progress:
        progress.advance(2)
        progress.note("[red]b.jpg[/red]: broken")
    text = capsys.readouterr().err
    assert "1/4" in text
    assert "[red]b.jpg[/red]: broken" in text


def test_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("inference.progress._SECONDS_BETWEEN_LINES", 0.0)
    with ProgressDisplay(4) as progress:
        progress.doing("a.jpg, face0: raster")
    assert capsys.readouterr().err == "0/4 images; a.jpg, face0: raster\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with ProgressDisplay(4) as progress:
        progress.doing("[b]a.jpg[/b]: raster")
    assert "[b]a.jpg[/b]: raster" in capsys.readouterr().err
