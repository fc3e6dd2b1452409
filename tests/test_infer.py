"""infer.py as its users start it: good and awful files, resuming, exit codes."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import trimesh
from PIL import Image

from common.paths import REPOSITORY
from common.version import VERSION
from tests.small_checkpoint import any_checkpoint

# Every test starts the program.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return any_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def infer(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "infer.py"), "--device", "cpu", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def entries(output: Path) -> dict[str, dict]:
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {entry["key"]: entry for entry in report["entries"]}


def glb_vertices(content: bytes) -> np.ndarray:
    """Vertices of a glTF file, in metres."""
    scene = trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False)
    return scene.to_mesh().vertices


def write_bomb(path: Path) -> None:
    """A PNG of a kilobyte that says it has 3,600 megapixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_awful_folder(folder: Path) -> None:
    """The astronaut among everything that is found in folders of photographs."""
    (folder / "sub").mkdir(parents=True)
    astronaut = Image.fromarray(skimage.data.astronaut())
    for name in ("a.jpg", "a.png", "sub/a.jpg", "name with ümläut & <b>.jpg"):
        astronaut.save(folder / name)
    photograph = (folder / "a.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(photograph[: len(photograph) * 9 // 10])
    (folder / "header.jpg").write_bytes(photograph[:300])
    (folder / "IMG_1.NEF").write_bytes(b"II*\0" + bytes(100))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image at all")
    (folder / "notes.txt").write_text("not taken for an image")
    write_bomb(folder / "bomb.png")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "secret.jpg").write_bytes(photograph)
    (folder / "secret.jpg").chmod(0)
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(folder / "wall.jpg")
    (folder / "folder.jpg").mkdir()


@pytest.fixture(scope="module")
def awful_run(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> tuple[Path, str]:
    """A folder of awful files after a run whose output lies inside it."""
    folder = tmp_path_factory.mktemp("photographs") / "in"
    write_awful_folder(folder)
    done = infer("--images", folder, "--output", folder / "results", "--checkpoint", checkpoint)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def test_awful_files_get_their_entry_and_cost_the_others_nothing(awful_run: tuple[Path, str]) -> None:
    folder, text = awful_run
    found = entries(folder / "results")
    statuses = {key: entry["status"] for key, entry in found.items()}
    secret = "ok" if os.access(folder / "secret.jpg", os.R_OK) else "unreadable"
    assert statuses == {
        "a.jpg": "ok",
        "a.png": "ok",
        "sub/a.jpg": "ok",
        "name with ümläut & <b>.jpg": "ok",
        "cut.jpg": "ok",
        "header.jpg": "unreadable",
        "IMG_1.NEF": "unsupported",
        "empty.jpg": "unreadable",
        "text.jpg": "unreadable",
        "bomb.png": "too_large",
        "loop.jpg": "unreadable",
        "secret.jpg": secret,
        "wall.jpg": "no_face",
    }
    assert "Traceback" not in text
    for key, entry in found.items():
        assert (entry["message"] == "") == (entry["status"] == "ok" and key != "cut.jpg"), key
        assert "\n" not in entry["message"]
        assert str(folder) not in entry["message"], "the name stands before the message already"
        assert entry["seconds"] >= 0.0
        assert bool(entry["faces"]) == (entry["status"] == "ok")
        seen = entry["status"] in ("ok", "no_face")
        assert (entry["camera"] or {}).get("source") == ("assumed" if seen else None), key
        told = entry["message"] != "" and entry["status"] != "unsupported"
        assert (f"{key}: {entry['message']}" in text) == told, "named on the terminal as well"
    assert "breaks off" in found["cut.jpg"]["message"]
    assert "not read: 1 file (a camera's raw file" in text


def test_each_face_has_all_its_files(awful_run: tuple[Path, str]) -> None:
    folder, _ = awful_run
    output = folder / "results"
    for entry in entries(output).values():
        for face in entry["faces"]:
            files = {path.name for path in (output / face["folder"]).iterdir()}
            assert files == set(face["files"])
            assert files >= {"mesh.glb", "mesh.obj", "mesh.mtl", "texture.png", "face.npz", "overlay.jpg"}
            assert "texture_source.png" in files
    assert not [path for path in output.rglob(".*")]
    assert (output / "index.html").is_file()


def test_the_report_says_with_what_it_was_made(awful_run: tuple[Path, str]) -> None:
    report = json.loads((awful_run[0] / "results" / "report.json").read_text(encoding="utf-8"))
    assert report["format"] == "likeness-report-1"
    assert {"python", "torch", "checkpoint_sha256"} <= set(report["versions"])
    assert report["versions"]["likeness"] == VERSION
    assert report["counts"]["ok"] >= 4
    assert report["seconds"] > 0.0
    assert report["images_per_second"] > 0.0


def test_the_arrays_of_a_face_fit_the_photograph(awful_run: tuple[Path, str]) -> None:
    output = awful_run[0] / "results"
    with np.load(output / "a.png" / "face0" / "face.npz", allow_pickle=False) as face:
        arrays = {name: face[name] for name in face.files}
    camera = arrays["vertices"] @ arrays["rotation"].T + arrays["translation"]
    np.testing.assert_allclose(camera, arrays["vertices_camera"], atol=0.01)
    depth = -camera[:, 2]
    fx, cx, fy, cy = (arrays["intrinsics"][place] for place in ((0, 0), (0, 2), (1, 1), (1, 2)))
    image = np.stack((fx * camera[:, 0] / depth + cx, cy - fy * camera[:, 1] / depth, depth), axis=1)
    np.testing.assert_allclose(image, arrays["vertices_image"], rtol=1e-4, atol=0.02)
    # Eileen Collins's face is where it is in the 512 px picture.
    centre = arrays["landmarks68_image"].mean(0)
    assert 180 < centre[0] < 270
    assert 60 < centre[1] < 180


def test_resume_keeps_what_is_whole_and_makes_the_rest_again(awful_run: tuple[Path, str], checkpoint: Path) -> None:
    folder, _ = awful_run
    output = folder / "results"
    kept = output / "a.jpg" / "face0" / "mesh.glb"
    garbled = output / "a.png" / "face0" / "mesh.glb"
    lost = output / "sub" / "a.jpg" / "face0" / "face.npz"
    before = {path: path.read_bytes() for path in (garbled, lost)}
    stamp = kept.stat().st_mtime_ns
    content = bytearray(before[garbled])
    content[len(content) // 2] ^= 255
    garbled.write_bytes(content)
    lost.unlink()
    done = infer("--images", folder, "--output", output, "--checkpoint", checkpoint, "--resume")
    assert done.returncode == 0, done.stderr
    assert kept.stat().st_mtime_ns == stamp
    # Not to the last bit: the network's rounding depends on how many faces it takes at once.
    np.testing.assert_allclose(glb_vertices(garbled.read_bytes()), glb_vertices(before[garbled]), rtol=0, atol=1e-5)
    assert lost.is_file()
    assert entries(output)["a.jpg"]["status"] == "ok"
    assert "kept from an earlier run" in done.stdout
    again = infer("--images", folder, "--output", output, "--checkpoint", checkpoint)
    assert again.returncode == 0, again.stderr
    assert kept.stat().st_mtime_ns != stamp


def test_exit_code_1_when_there_is_no_face(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (100, 100), (50, 90, 50)).save(tmp_path / "in" / "lawn.png")
    done = infer("--images", tmp_path / "in", "--output", tmp_path / "out", "--checkpoint", checkpoint)
    assert done.returncode == 1
    assert entries(tmp_path / "out")["lawn.png"]["status"] == "no_face"
    assert "lawn.png: no face was found" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "nowhere.jpg"], "nowhere.jpg"),
        (["--images", "{photo}", "--checkpoint", "nowhere"], "nowhere"),
        (["--images", "{photo}", "--batch-size", "0"], "--batch-size"),
        (["--images", "{photo}", "--fov", "200"], "--fov"),
        (["--images", "{photo}", "--intrinsics", "nowhere.json"], "nowhere.json"),
        (["--images", "{photo}", "--formats", "fbx"], "fbx"),
        (["--images", "{photo}", "--colour", "red"], "--colour"),
        ([], "--images"),
    ],
)
def test_exit_code_2_for_a_wrong_command_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(photo)
    arguments = [argument.format(photo=photo) for argument in arguments]
    done = infer(*arguments, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_file_in_the_way_of_the_results_is_named(tmp_path: Path, checkpoint: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    command = ("--images", tmp_path / "a.png", "--checkpoint", checkpoint, "--batch_size", "2", "--output")
    for place in (tmp_path / "a.png", tmp_path / "a.png" / "sub"):
        done = infer(*command, place)
        assert done.returncode == 2
        assert done.stderr.endswith(f"--output {place}: the file {tmp_path / 'a.png'} is in the way; name a folder\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "nowhere.jpg", "."], "nowhere.jpg: no such file or folder"),
        (["--images", "nowhere.jpg", "."], "the other paths were not read either"),
        (["--images", "README.md", "--checkpoint", "nowhere"], "nowhere: no checkpoint"),
        (["--images", "README.md", "--intrinsics", "README.md"], "no camera matrix"),
    ],
)
def test_a_mistyped_path_answers_before_torch_is_loaded(arguments: list[str], said: str) -> None:
    command = "import sys, infer; code = infer.main(sys.argv[1:]); print('torch' in sys.modules, code)"
    line = [sys.executable, "-c", command, *arguments, "--output", "never"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split() == ["False", "2"], done.stderr
    assert said in done.stderr


def test_a_folder_that_cannot_be_made_costs_its_image_alone(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "in").mkdir()
    long = "b" * 250
    for name in ("a.png", "blocked.png", f"{long}.png", f"{long}.PNG"):
        Image.fromarray(skimage.data.astronaut()).save(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "blocked.png").write_text("no folder can have this name")
    options = ["--images", tmp_path / "in", "--output", tmp_path / "out", "--checkpoint", checkpoint]
    done = infer(*options, "--formats", "npz")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = entries(tmp_path / "out")
    statuses = {Path(entry["image"]).name: entry["status"] for entry in found.values()}
    assert statuses == {"a.png": "ok", "blocked.png": "failed", f"{long}.png": "ok", f"{long}.PNG": "ok"}
    assert "blocked.png" in done.stderr


def test_the_camera_is_the_users_or_exifs(tmp_path: Path, checkpoint: Path) -> None:
    astronaut = Image.fromarray(skimage.data.astronaut())
    astronaut.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 200
    astronaut.save(tmp_path / "tele.jpg", exif=exif, quality=95)
    options = ["--images", tmp_path / "plain.png", tmp_path / "tele.jpg", "--checkpoint", checkpoint]
    options += ["--formats", "npz", "--output", tmp_path / "out"]
    sources, focal_px = {}, {}
    for asked in ([], ["--focal-px", "2000", "--resume"]):
        assert infer(*options, *asked).returncode == 0
        for key, entry in entries(tmp_path / "out").items():
            sources.setdefault(key, []).append(entry["camera"]["source"])
            face = np.load(tmp_path / "out" / key / "face0" / "face.npz")
            focal_px.setdefault(key, []).append(float(face["intrinsics"][0, 0]))
            assert face["intrinsics"][0, 0] == pytest.approx(entry["camera"]["focal_px"], abs=0.01)
    assert sources == {"plain.png": ["assumed", "focal_px"], "tele.jpg": ["exif", "focal_px"]}
    assert focal_px["plain.png"] == pytest.approx([256.0 / np.tan(np.radians(15.0)), 2000.0])
    assert focal_px["tele.jpg"] == pytest.approx([200.0 * 512.0 * 5.0 / 3.0 / np.hypot(36.0, 24.0), 2000.0])


def test_formats_and_the_largest_face(tmp_path: Path, checkpoint: Path) -> None:
    astronaut = skimage.data.astronaut()
    small = np.asarray(Image.fromarray(astronaut).resize((400, 400)))
    padded = np.pad(small, ((0, 112), (0, 0), (0, 0)), mode="edge")
    Image.fromarray(np.concatenate((padded, astronaut), axis=1)).save(tmp_path / "two.png")
    options = ("--images", tmp_path / "two.png", "--checkpoint", checkpoint, "--formats", "npz")
    both = infer(*options, "--output", tmp_path / "out")
    assert both.returncode == 0, both.stderr
    faces = entries(tmp_path / "out")["two.png"]["faces"]
    assert len(faces) == 2
    assert set(faces[0]["files"]) == {"face.npz"}
    # The same output folder again: what is no longer asked for goes.
    one = infer(*options, "--output", tmp_path / "out", "--largest-face", "--resume")
    assert one.returncode == 0, one.stderr
    assert len(entries(tmp_path / "out")["two.png"]["faces"]) == 1
    assert [path.name for path in (tmp_path / "out" / "two.png").iterdir() if path.is_dir()] == ["face0"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_interrupting_leaves_nothing_half_written(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "in").mkdir()
    astronaut = Image.fromarray(skimage.data.astronaut())
    for number in range(40):
        astronaut.save(tmp_path / "in" / f"{number}.png", compress_level=1)
    output = tmp_path / "out"
    options = ["--images", tmp_path / "in", "--output", output, "--checkpoint", checkpoint, "--device", "cpu"]
    # A shell that runs the tests in the background lets its children ignore the signal.
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "infer.py"), *map(str, options)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120.0
    while not list(output.rglob("result.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert not list(output.rglob(".writing-*"))
    statuses = [entry["status"] for entry in entries(output).values()]
    assert "ok" in statuses
    assert set(statuses) <= {"ok", "not_done"}
