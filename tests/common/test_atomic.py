import os
from pathlib import Path

import pytest

from common.atomic import atomic_path


def write_half(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power failure")


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.png"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        # Writers choose the format by the suffix.
        assert temporary.suffix == ".png"
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power failure"):
        write_half(tmp_path / "result.txt")
    assert not list(tmp_path.iterdir())


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power failure"):
        write_half(path)
    assert path.read_text() == "old"


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    with atomic_path(tmp_path / "result.txt") as temporary:
        temporary.write_text("")
    assert (tmp_path / "result.txt").stat().st_mode == (tmp_path / "other.txt").stat().st_mode


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "none" / "result.txt"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="masks are POSIX's")
def test_the_mask_of_the_process_is_left_alone(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "result.txt") as temporary:
            temporary.write_text("")
        assert (tmp_path / "result.txt").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
