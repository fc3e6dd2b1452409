import json
from pathlib import Path

import pytest

from inference.inputs import list_inputs
from inference.report import REPORT_FORMAT


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def keys(*paths: Path, output: Path) -> list[str]:
    return sorted(item.key for item in list_inputs(list(paths), output))


def test_folders_are_searched_and_each_image_has_its_own_folder(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.JPG"):
        touch(root / name)
    assert keys(root, output=tmp_path / "out") == ["a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.JPG"]


def test_names_that_collide_get_numbers(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "one" / "a.jpg"), touch(tmp_path / "two" / "a.jpg")
    upper = touch(tmp_path / "three" / "A.jpg")
    assert keys(first, second, upper, output=tmp_path / "out") == ["A.jpg-3", "a.jpg", "a.jpg-2"]
    assert keys(tmp_path / "one", tmp_path / "two", output=tmp_path / "out") == ["a.jpg", "a.jpg-2"]


def test_long_names_get_folders_that_file_systems_take(tmp_path: Path) -> None:
    long = "b" * 250
    for name in (f"{long}.png", f"{long}.PNG", f"{'ü' * 120}.jpg", f"{'ü' * 119}x.jpg"):
        touch(tmp_path / "in" / name)
    found = keys(tmp_path / "in", output=tmp_path / "out")
    assert len({key.casefold() for key in found}) == 4
    for key in found:
        (tmp_path / "out" / key).mkdir(parents=True)
        assert key.split("-")[0].lower().endswith((".png", ".jpg"))
    assert keys(tmp_path / "in", output=tmp_path / "out") == found


def test_an_image_named_twice_is_read_once(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.jpg")
    assert len(list_inputs([path, tmp_path, path], tmp_path / "out")) == 1


def test_an_image_called_like_the_report_does_not_take_its_place(tmp_path: Path) -> None:
    assert keys(touch(tmp_path / "report.json"), output=tmp_path / "out") == ["report.json-2"]


def test_results_are_not_read_as_images(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "results" / "a.jpg" / "face0" / "overlay.jpg")
    touch(tmp_path / "older" / "a.jpg" / "face0" / "overlay.jpg")
    (tmp_path / "older" / "report.json").write_text(json.dumps({"format": REPORT_FORMAT}))
    assert keys(tmp_path, output=tmp_path / "results") == ["a.jpg"]


def test_what_is_wrong_with_the_command_line_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list_inputs([tmp_path / "nowhere"], tmp_path / "out")
    there = touch(tmp_path / "there.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere.*gone.*other paths were not read either"):
        list_inputs([tmp_path / "nowhere", there, tmp_path / "gone"], tmp_path / "out")
    with pytest.raises(ValueError, match="both --images and --output"):
        list_inputs([tmp_path], tmp_path)


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    root = tmp_path / "in"
    touch(root / "sub" / "a.jpg")
    (root / "sub" / "up").symlink_to(root, target_is_directory=True)
    (root / "loop.jpg").symlink_to("loop.jpg")
    found = list_inputs([root], tmp_path / "out")
    assert sum(item.path.name == "a.jpg" for item in found) == 1
    assert sum(item.path.name == "loop.jpg" for item in found) == 1
    assert [item.key for item in list_inputs([root / "loop.jpg"], tmp_path / "out")] == ["loop.jpg"]


def test_unprintable_names_become_printable_folders(tmp_path: Path) -> None:
    touch(tmp_path / "new\nline\udcff.jpg")
    assert keys(tmp_path, output=tmp_path / "out") == ["new_line_.jpg"]


def test_a_link_out_of_a_folder_claims_nothing(tmp_path: Path) -> None:
    for name in ("good/a.jpg", "nasty/b.jpg", "unnamed/c.jpg", "apart/d.jpg"):
        touch(tmp_path / name)
    (tmp_path / "nasty" / "loop").symlink_to("..", target_is_directory=True)
    (tmp_path / "nasty" / "aside").symlink_to(tmp_path / "good", target_is_directory=True)
    (tmp_path / "nasty" / "out").symlink_to(tmp_path / "apart", target_is_directory=True)
    found = list_inputs([tmp_path / "nasty", tmp_path / "good"], tmp_path / "results")
    # The link to a folder that nobody named is listed, for reading it to say so.
    assert {item.key: item.path for item in found} == {
        "a.jpg": tmp_path / "good" / "a.jpg",
        "b.jpg": tmp_path / "nasty" / "b.jpg",
        "out": tmp_path / "nasty" / "out",
    }


@pytest.mark.usefixtures("closed_folders")
def test_a_folder_that_cannot_be_searched_is_listed(tmp_path: Path) -> None:
    touch(tmp_path / "closed" / "a.jpg")
    assert keys(tmp_path, output=tmp_path / "results") == ["closed"]


def test_a_link_may_be_named_itself(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert keys(tmp_path / "link", output=tmp_path / "results") == ["a.jpg"]
