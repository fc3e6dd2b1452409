"""infer.py --refine as its users start it, on the astronaut."""

import contextlib
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenEXR
import pytest
import skimage.data
import torch
from PIL import Image

import infer
from common.paths import DEFAULT_CHECKPOINT
from common.texture_sizes import TEXTURE_SIDES
from inference.transport_cache import CACHE_FOLDER
from model.checkpoint import load_reconstructor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DEFAULT_CHECKPOINT / "config.json").is_file(), reason="the released checkpoint is not in this checkout"
    ),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(skimage.data.astronaut()).save(folder / "astronaut.png")
    return folder


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path) -> Done:
    """In this process, which has loaded torch already."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = infer.main(["--device", "cpu", *map(str, arguments)])
    return Done(code, out.getvalue(), errors.getvalue())


def face_entry(output: Path) -> dict:
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    (entry,) = report["entries"]
    (face,) = entry["faces"]
    return face


def arrays(output: Path) -> dict[str, np.ndarray]:
    with np.load(output / "astronaut.png" / "face0" / "face.npz", allow_pickle=False) as face:
        return {name: face[name] for name in face.files}


@pytest.fixture(scope="module")
def unrefined(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain")
    done = run("--images", photographs, "--output", output, "--formats", "npz")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def landmark_folder(unrefined: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut's landmarks as a user might have them, 6 px lower than the network's."""
    folder = tmp_path_factory.mktemp("landmarks")
    points = arrays(unrefined)["landmarks68_image"] + (0.0, 6.0)
    (folder / "astronaut.json").write_text(json.dumps(points.tolist()))
    return folder


def test_the_head_goes_to_the_landmarks_and_the_files_say_so(
    photographs: Path, unrefined: Path, landmark_folder: Path, tmp_path: Path
) -> None:
    options = ("--images", photographs, "--output", tmp_path, "--formats", "npz", "pictures")
    options = (*options, "--refine", "landmarks", "--landmarks", landmark_folder)
    done = run(*options)
    assert done.returncode == 0, done.stderr
    face = face_entry(tmp_path)
    assert set(face["files"]) == {"face.npz", "before_after.jpg", "refinement.json", "history.csv"}
    (stage,) = face["refinement"]
    assert (stage["name"], stage["accepted"]) == ("landmarks", True)
    before, after = arrays(unrefined), arrays(tmp_path)
    assert set(before) == set(after)
    moved = (after["landmarks68_image"] - before["landmarks68_image"]).mean(0)
    np.testing.assert_allclose(moved, (0.0, 6.0), atol=1.0)
    # The arrays still fit one another, in the photograph's px.
    camera = after["vertices"] @ after["rotation"].T + after["translation"]
    np.testing.assert_allclose(camera, after["vertices_camera"], atol=0.01)
    head = load_reconstructor(DEFAULT_CHECKPOINT).morphable_model
    at_rest = torch.zeros(1, head.expression_count)
    neutral_mm = head.vertices_mm(torch.from_numpy(after["identity"])[None], at_rest)[0].numpy()
    np.testing.assert_allclose(after["vertices_neutral"], neutral_mm, atol=1e-3)
    fx, cx = after["intrinsics"][0, 0], after["intrinsics"][0, 2]
    np.testing.assert_allclose(fx * camera[:, 0] / -camera[:, 2] + cx, after["vertices_image"][:, 0], atol=0.05)
    # Once more: nothing to do; with other landmarks everything.
    record = tmp_path / "astronaut.png" / "result.json"
    stamp = record.stat().st_mtime_ns
    again = run(*options, "--resume")
    assert "1 kept from an earlier run" in again.stdout, again.stderr
    assert record.stat().st_mtime_ns == stamp
    (landmark_folder / "astronaut.json").write_text(json.dumps(before["landmarks68_image"].tolist()))
    changed = run(*options, "--resume")
    assert "kept" not in changed.stdout
    assert record.stat().st_mtime_ns != stamp


def test_without_the_network_the_mean_head_finds_its_place(photographs: Path, unrefined: Path, tmp_path: Path) -> None:
    points = arrays(unrefined)["landmarks68_image"]
    np.save(tmp_path / "astronaut.npy", points)
    options = ("--images", photographs, "--output", tmp_path / "out", "--formats", "npz", "--no-network")
    done = run(*options, "--refine", "landmarks", "--landmarks", tmp_path / "astronaut.npy")
    assert done.returncode == 0, done.stderr
    found = arrays(tmp_path / "out")
    size = float(np.sqrt(np.ptp(points, axis=0).prod()))
    assert np.linalg.norm(found["landmarks68_image"] - points, axis=1).mean() < 0.02 * size
    # Nothing of the network's is in it.
    assert np.abs(found["offsets_mm"]).max() == 0.0
    assert np.abs(found["albedo"]).max() == 0.0


def test_a_face_without_landmarks_fails_alone_where_there_is_no_network(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "landmarks").mkdir()
    options = ("--images", photographs, "--output", tmp_path / "out", "--formats", "npz", "--no-network")
    done = run(*options, "--refine", "landmarks", "--landmarks", tmp_path / "landmarks")
    assert done.returncode == 1
    assert "no landmarks of astronaut.png" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_with_a_mistake_ends_the_program_at_once(photographs: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("raytrace: {lights: 3}")
    done = run("--images", photographs, "--output", tmp_path / "out", "--refine", "raster", "--refine-config", config)
    assert done.returncode == 2
    assert "mine.yaml: unknown setting raytrace.lights" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


QUICK = """
window_px: 64
raster: {sizes_px: [64], steps: [4]}
raytrace:
  texture_px: 64
  rounds: 1
  light_steps: 3
  texture_steps: 3
  material_steps: 2
  light_samples: 500
  least_gain_db: -50
  enough_db: 0
  light: {gaussians: 32, wide_gaussians: 16, directions: 64}
pictures: {relit_px: 32, path_traced_px: 32, path_traced_samples: 4}
"""
"""Small and hardly fitted, and kept whatever comes out: only that all hangs together is asked."""


def test_the_ray_traced_stage_writes_skin_and_light(photographs: Path, tmp_path: Path) -> None:
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    options = ("--images", photographs, "--refine", "raytrace", "--refine-config", config, "--path-trace", "no")
    options = (*options, "--output", tmp_path / "out", "--formats", "npz", "glb", "maps", "pictures")
    done = run(*options)
    assert done.returncode == 0, done.stderr
    face = face_entry(tmp_path / "out")
    assert [stage["name"] for stage in face["refinement"]] == ["landmarks", "raster", "raytrace"]
    assert face["refinement"][2]["accepted"], face["refinement"][2]["reason"]
    maps = {"diffuse.png", "specular.png", "roughness.png", "normal.png", "occlusion.png"}
    lights = {"environment.exr", "lights.json"}
    pictures = {"before_after.jpg", "relit.jpg"}
    always = {"face.npz", "mesh.glb", "viewer.js", "refinement.json", "history.csv"}
    assert set(face["files"]) == maps | lights | pictures | always
    folder = tmp_path / "out" / face["folder"]
    # The maps are as fine as the photograph, whatever the fit worked with.
    assert Image.open(folder / "diffuse.png").size == (TEXTURE_SIDES[0], TEXTURE_SIDES[0])
    light = np.asarray(OpenEXR.File(str(folder / "environment.exr")).channels()["RGB"].pixels, np.float32)
    assert np.isfinite(light).all()
    assert light.max() > 0.0
    assert np.isfinite(arrays(tmp_path / "out")["vertices_camera"]).all()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "before_after.jpg" in page
    assert "relit.jpg" in page
    # An unchanged face is not traced twice.
    (table,) = (tmp_path / "out" / CACHE_FOLDER).iterdir()
    stamp = table.stat().st_mtime_ns
    again = run(*options)
    assert again.returncode == 0, again.stderr
    assert [path.stat().st_mtime_ns for path in (tmp_path / "out" / CACHE_FOLDER).iterdir()] == [stamp]
