from pathlib import Path

import pytest

from common.places import files_below, place_of, relative
from inference.outlet import Outlet
from inference.resume import RECORD_NAME


def finished(outlet: Outlet, key: str, *files: str) -> None:
    for name in (*files, RECORD_NAME):
        path = outlet.folder / key / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_results_of_this_machine_are_made_in_their_place(tmp_path: Path) -> None:
    outlet = Outlet(tmp_path / "out")
    assert outlet.folder == tmp_path / "out"
    finished(outlet, "a.jpg", "face0/face.npz")
    outlet.send_image("a.jpg")
    outlet.send_rest()
    assert (tmp_path / "out/a.jpg/face0/face.npz").is_file()


def test_an_image_takes_the_place_of_an_earlier_run() -> None:
    there = place_of("memory://outlet/out")
    for name in ("face0/face.npz", "face0/mesh.glb", "face1/face.npz", "notes.txt", "b.jpg/face3/face.npz"):
        (there / "a.jpg" / name).parent.mkdir(parents=True, exist_ok=True)
        (there / "a.jpg" / name).write_text("earlier")
    outlet = Outlet(there)
    finished(outlet, "a.jpg", "face0/face.npz")
    outlet.send_image("a.jpg")
    kept = ["b.jpg/face3/face.npz", "face0/face.npz", "notes.txt", RECORD_NAME]
    assert sorted(relative(path, there / "a.jpg") for path in files_below(there / "a.jpg")) == kept
    assert (there / "a.jpg/face0/face.npz").read_text() == "face0/face.npz"
    assert not [path for path in outlet.folder.rglob("*") if path.is_file()], "the disk would fill"


def test_what_is_half_sent_has_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place_of("memory://outlet/half")
    outlet = Outlet(there)
    finished(outlet, "a.jpg", "face0/face.npz")
    outlet.send_image("a.jpg")
    assert (there / "a.jpg" / RECORD_NAME).exists()

    def full(files: list[tuple[Path, object]]) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("inference.outlet.send", full)
    finished(outlet, "a.jpg", "face0/face.npz")
    with pytest.raises(OSError, match="no space left"):
        outlet.send_image("a.jpg")
    assert not (there / "a.jpg" / RECORD_NAME).exists()
    assert not [path for path in outlet.folder.rglob("*") if path.is_file()]


def test_the_page_and_its_scripts_are_sent_but_not_what_is_hidden() -> None:
    there = place_of("memory://outlet/rest")
    outlet = Outlet(there)
    for name in ("index.html", "viewer/head.js", ".cache/transport/table"):
        (outlet.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (outlet.folder / name).write_text(name)
    outlet.send_rest()
    assert [relative(path, there) for path in files_below(there)] == ["index.html", "viewer/head.js"]
