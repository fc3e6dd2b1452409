"""infer.py --video as its users start it: good and awful files, killed and resumed, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from common.paths import DEFAULT_CHECKPOINT, REPOSITORY  # noqa: E402
from data.video_file import VideoFile  # noqa: E402
from infer import main, parse_options  # noqa: E402
from model.checkpoint import load_reconstructor  # noqa: E402
from model.export.track_arrays import read_track_arrays  # noqa: E402
from tests.small_film import Actor, film_frames, write_film  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DEFAULT_CHECKPOINT / "config.json").is_file(), reason="the released network is not here"),
]
COUNT = 260
"""Two files of a hundred frames, and some."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty drawn frames, forwards and backwards again and again."""
    pictures = film_frames([Actor(1)], load_reconstructor(DEFAULT_CHECKPOINT).morphable_model, 20)
    there_and_back = pictures + pictures[::-1]
    played = (there_and_back * (COUNT // len(there_and_back) + 1))[:COUNT]
    return write_film(played, tmp_path_factory.mktemp("film") / "film.mp4")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(REPOSITORY / "infer.py"), "--device", "cpu", *map(str, arguments)]


def entries(output: Path) -> dict[str, dict]:
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {entry["key"]: entry for entry in report["entries"]}


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(film: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    formats = ("--formats", "npz")
    subprocess.run(command("--video", film, "--output", whole, *formats), check=True, timeout=300)
    running = subprocess.Popen(command("--video", film, "--output", broken, *formats))
    kept, deadline = broken / film.name / ".frames", time.monotonic() + 200
    while not kept.is_dir() or len([path for path in kept.iterdir() if not path.name.startswith(".")]) < 2:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (broken / film.name / "face0").exists()
    subprocess.run(command("--video", film, "--output", broken, *formats, "--resume"), check=True, timeout=300)
    one, other = (read_track_arrays(place / film.name / "face0" / "track.npz") for place in (whole, broken))
    assert len(one) == COUNT
    assert np.array_equal(one.expression, other.expression)
    assert np.array_equal(one.rotation, other.rotation)
    assert not kept.exists()


def test_awful_files_cost_the_others_nothing(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [frame.image_srgb for frame, _ in zip(VideoFile(film).frames(), range(12), strict=False)]
    short = write_film(pictures, tmp_path / "short.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    wall = write_film([np.full((48, 64, 3), 90, np.uint8)] * 5, tmp_path / "wall.mp4")
    output = tmp_path / "out"
    files = [str(path) for path in (tmp_path / "text.mp4", wall, short)]
    assert main(["--video", *files, "--output", str(output), "--formats", "glb", "overlay", "--hair", "none"]) == 0
    found = entries(output)
    assert {key: entry["status"] for key, entry in found.items()} == {
        "text.mp4": "unreadable",
        "wall.mp4": "no_face",
        "short.mp4": "ok",
    }
    assert "cannot be read as a video" in found["text.mp4"]["message"]
    assert sorted(path.name for path in (output / "short.mp4").iterdir()) == [
        "face0",
        "overlay.mp4",
        "result.json",
        "video.json",
    ]
    overlay = [frame.image_srgb for frame in VideoFile(output / "short.mp4" / "overlay.mp4").frames()]
    assert len(overlay) == len(pictures)
    # The head is drawn over, the background is left as it is.
    change = np.abs(overlay[5].astype(float) - pictures[5].astype(float)).mean(axis=-1)
    assert change[:, :40].mean() < 4.0 < change[80:160, 120:200].mean()
    capsys.readouterr()
    assert main(["--video", str(wall), "--output", str(output / "none")]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--video", "a.mp4", "--images", "b.jpg"], "--images and --video"),
        (["--video", "a.mp4", "--refine", "landmarks"], "--refine"),
        ([], "--images"),
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_at_once(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit):
        parse_options(arguments)
    assert told in capsys.readouterr().err


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--video", str(tmp_path / "none.mp4")]) == 2
    assert main(["--video", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "none.mp4" in told
    assert "a folder" in told
