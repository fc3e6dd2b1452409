"""`likeness animate` and `likeness relight` as their users start them."""

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pygltflib
import pytest
from PIL import Image

from common.mesh_options import MeshOptions
from inference.animate_command import main as animate
from inference.relight_command import main as relight
from model.export.environment_files import EnvironmentFileError, read_environment
from model.export.face_files import FaceFiles
from model.export.track_csv import write_track_csv
from model.look.face_track import FaceTrack
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
PHOTOGRAPH = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    FaceFiles(released_model(), 64).write(released_face(5, jawOpen=0.3), PHOTOGRAPH, folder, ("glb",))
    return folder


@pytest.fixture
def take(tmp_path: Path) -> Path:
    weights = np.array([[0.0], [0.5], [1.0], [0.5]], np.float32)
    turns, places = np.tile(np.eye(3, dtype=np.float32), (4, 1, 1)), np.zeros((4, 3), np.float32)
    track = FaceTrack(np.arange(4), np.arange(4) / 30.0, 30.0, ("jawOpen",), weights, turns, places, np.ones(4))
    write_track_csv(track, tmp_path / "take.csv")
    return tmp_path / "take.csv"


@pytest.mark.slow
def test_a_recording_becomes_a_film_and_an_animated_head(head: Path, take: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    from data.video_file import VideoFile

    assert animate([str(head), "--track", str(take), "--output", str(tmp_path / "out"), "--size", "96"]) == 0
    frames = [frame.image_srgb.astype(float) for frame in VideoFile(tmp_path / "out" / "animated.mp4").frames()]
    assert len(frames) == 4
    assert frames[0].shape == (96, 96, 3)
    # The mouth opens and closes again: the second and the last frame are alike.
    assert np.abs(frames[2] - frames[0]).mean() > 2.0 * np.abs(frames[3] - frames[1]).mean()
    document = pygltflib.GLTF2().load(str(tmp_path / "out" / "animated.glb"))
    assert document is not None
    assert [animation.name for animation in document.animations] == ["track"]
    before = pygltflib.GLTF2().load(str(head / "mesh.glb"))
    assert before is not None
    assert not before.animations


@pytest.mark.slow
def test_a_lamp_and_an_environment_make_pictures(head: Path, tmp_path: Path) -> None:
    radiance = np.full((16, 32, 3), 0.2, np.float32)
    radiance[6:9, 20:23] = 30.0
    cv2.imwrite(str(tmp_path / "light.hdr"), radiance)
    means = []
    for number, light in enumerate(
        (["--lamp", "-80,0"], ["--lamp", "80,0"], ["--environment", str(tmp_path / "light.hdr")])
    ):
        out = tmp_path / str(number)
        assert relight([str(head), *light, "--output", str(out), "--size", "96"]) == 0
        picture = np.array(Image.open(out / "relit0.png")).astype(float)
        means.append(picture[:, :44].mean() - picture[:, 52:].mean())
        assert sorted(path.name for path in out.iterdir()) == ["relit0.png", "relit1.png", "relit2.png"]
    assert means[0] > 5.0 > -5.0 > means[1]


def test_a_head_whose_joints_open_the_jaw_moves_but_is_not_drawn(
    take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, face = tmp_path / "bones", released_face(5, jawOpen=0.3)
    folder.mkdir()
    FaceFiles(released_model(), 64).write(face, PHOTOGRAPH, folder, ("glb",), mesh=MeshOptions(rig="bones"))
    assert animate([str(folder), "--track", str(take), "--output", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["animated.glb"]
    assert relight([str(folder), "--lamp", "0,0", "--output", str(tmp_path / "relit")]) == 2
    assert capsys.readouterr().err.count("--rig bones") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--lamp", "0,0"], "nowhere"),
        (["{head}", "--environment", "none.hdr"], "none.hdr"),
        (["{head}", "--environment", "{text}"], "text.hdr"),
    ],
)
def test_what_cannot_be_relit_is_refused_by_name(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    (tmp_path / "text.hdr").write_text("no picture")
    given = [one.format(head=head, text=tmp_path / "text.hdr") for one in arguments]
    assert relight([*given, "--output", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x"], "--lamp"),
        (["x", "--lamp", "north"], "north"),
        (["x", "--lamp", "0,0", "--environment", "a.hdr"], "--environment"),
        (["x", "--lamp", "0,100"], "elevation"),
        (["x", "--lamp", "0,0", "--size", "1"], "--size"),
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_at_once(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit):
        relight(arguments)
    assert told in capsys.readouterr().err


def test_a_track_that_is_none_is_refused_and_nothing_is_written(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    assert animate([str(head), "--track", str(tmp_path / "bad.csv"), "--output", str(tmp_path / "out")]) == 2
    assert animate([str(head), "--track", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "bad.csv" in told
    assert "track.npz" in told
    assert not (tmp_path / "out").exists()


def test_environments_of_both_kinds_are_read_alike(tmp_path: Path) -> None:
    radiance = np.random.default_rng(0).uniform(0.1, 4.0, (16, 32, 3)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "a.hdr"), np.ascontiguousarray(radiance[..., ::-1]))
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": radiance}).write(str(tmp_path / "a.exr"))
    assert np.allclose(read_environment(tmp_path / "a.hdr"), radiance, rtol=0.02, atol=0.02)
    assert np.allclose(read_environment(tmp_path / "a.exr"), radiance)
    cv2.imwrite(str(tmp_path / "square.hdr"), radiance[:, :16])
    with pytest.raises(EnvironmentFileError, match="twice as wide"):
        read_environment(tmp_path / "square.hdr")
