"""infer.py and data.prepare with photographs and results behind addresses."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from common.places import files_below, place_of, relative
from data.prepare import main as prepare
from infer import main as infer
from tests.small_checkpoint import any_checkpoint

# Each test runs a program.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return any_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def files() -> dict[str, bytes]:
    """A face, a face whose file's name does not tell what it is, a wall, and what is no picture or hidden."""
    face = Image.fromarray(skimage.data.astronaut()[0:260, 120:340])
    encoded = {}
    for name, picture in (("sub/face.png", face), ("wall.png", Image.fromarray(np.full((80, 90, 3), 90, np.uint8)))):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        encoded[name] = buffer.getvalue()
    encoded["face"] = encoded["sub/face.png"]
    return encoded | {"text.jpg": b"no image at all", "notes.txt": b"not a picture", ".hidden/a.png": b"hidden"}


def put(folder: str) -> None:
    for name, content in files().items():
        path = place_of(f"{folder}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def entries(report: bytes | str) -> list[dict[str, Any]]:
    """The report's entries, without how long each took and where the folder was."""
    told = [{n: v for n, v in entry.items() if n != "seconds"} for entry in json.loads(report)["entries"]]
    return [entry | {"image": entry["image"].rpartition("/in/")[2]} for entry in told]


def test_results_behind_an_address_equal_those_of_a_folder(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(f"{tmp_path}/in")
    put("memory://photographs/in")
    options = ["--checkpoint", str(checkpoint), "--device", "cpu", "--batch-size", "1", "--formats", "npz", "overlay"]
    assert infer(["--images", f"file://{tmp_path}/in", "--output", f"file://{tmp_path}/out", *options]) == 0
    there = place_of("memory://photographs/in/results")
    remote = ["--images", "memory://photographs/in", "--output", str(there), *options]
    assert infer(remote) == 0
    assert "open memory://photographs/in/results/index.html" in capsys.readouterr().out
    here = (tmp_path / "out/report.json").read_text()
    assert entries((there / "report.json").read_bytes()) == entries(here)
    assert {entry["key"]: entry["status"] for entry in entries(here)} == {
        "face": "ok",
        "sub/face.png": "ok",
        "text.jpg": "unreadable",
        "wall.png": "no_face",
    }
    local = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*")}
    expected = {name: path.read_bytes() for name, path in local.items() if path.is_file()}
    sent = {relative(path, there): path.read_bytes() for path in files_below(there)}
    assert sent.keys() == expected.keys()
    # Report and records say where the photographs lie and when they changed; the page names them.
    same = {name for name in sent if not name.endswith((".json", "index.html"))}
    assert len(same) > 5
    assert {name: sent[name] for name in same} == {name: expected[name] for name in same}
    # What lies below the photographs is known as results, and what is finished is kept.
    assert infer([*remote, "--resume"]) == 0
    assert "4 images, 2 faces" in (said := capsys.readouterr().out)
    assert "3 kept from an earlier run" in said
    (there / "face/face0/overlay.jpg").write_bytes(b"damaged")
    assert infer([*remote, "--resume"]) == 0
    assert "2 kept from an earlier run" in capsys.readouterr().out
    assert (there / "face/face0/overlay.jpg").read_bytes() == expected["face/face0/overlay.jpg"]


def test_an_address_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(["--images", "memory://photographs/nowhere"]) == 2
    assert "memory://photographs/nowhere: no such file or folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        infer(["--images", "s3://bucket/a.jpg"])
    assert "s3://bucket/a.jpg: Install s3fs" in capsys.readouterr().err


def test_shards_behind_an_address_equal_those_of_a_folder(tmp_path: Path) -> None:
    put(f"{tmp_path}/in")
    put("memory://prepared/in")
    options = ["--workers", "1", "--photographs_per_shard", "2"]
    prepare([f"file://{tmp_path}/in", "--output", str(tmp_path / "out"), *options])
    there = place_of("memory://prepared/out")
    for _ in range(2):
        # The second time there is nothing left to do.
        prepare(["memory://prepared/in", "--output", str(there), *options])
    sent = {relative(path, there): path.read_bytes() for path in files_below(there)}
    expected = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")}
    assert sent.keys() == expected.keys()
    shards = [name for name in sent if name.endswith(".tar")]
    assert len(shards) >= 2
    assert all(sent[name] == expected[name] for name in shards)
