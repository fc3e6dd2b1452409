"""People of small films, drawn along known tracks: who is who, how steadily, how truly, and killed in between."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch

pytest.importorskip("av", reason="PyAV is not installed")

from common.paths import DEFAULT_CHECKPOINT  # noqa: E402
from data.video_file import VideoFile  # noqa: E402
from inference import video as video_module  # noqa: E402
from inference.face_motion import clip_identity, of_one_person  # noqa: E402
from inference.face_tracker import FaceTracker  # noqa: E402
from inference.likeness import Likeness  # noqa: E402
from inference.video import FilmedHead, reconstruct_video  # noqa: E402
from inference.video_record import VideoRecord  # noqa: E402
from model.export.track_arrays import read_track_arrays  # noqa: E402
from model.export.track_csv import read_track_csv  # noqa: E402
from model.geometry.camera import default_intrinsics  # noqa: E402
from model.parameters import FaceParameters  # noqa: E402
from tests.small_film import HEIGHT_PX, WIDTH_PX, Actor, film_frames, scenes, write_film  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DEFAULT_CHECKPOINT / "config.json").is_file(), reason="the released network is not here"),
]

COUNT = 40


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    return Likeness.load(device="cpu", hair="none")


@pytest.fixture(scope="module")
def moving(likeness: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = film_frames([Actor(1)], likeness.morphable_model, COUNT)
    return write_film(pictures, tmp_path_factory.mktemp("film") / "moving.mp4")


@pytest.fixture(scope="module")
def head(likeness: Likeness, moving: Path) -> FilmedHead:
    people, _, note = reconstruct_video(likeness, moving)
    assert (len(people), note) == (1, "")
    return people[0]


def test_a_known_track_comes_back(head: FilmedHead, likeness: Likeness) -> None:
    played = scenes(Actor(1), likeness.morphable_model, COUNT)
    weights = np.stack([scene.expression for scene in played])
    assert np.array_equal(head.track.frame, np.arange(COUNT))
    assert np.abs(head.track.expression - weights).mean() < 0.08
    mouth = head.track.expression_names.index("jawOpen")
    assert np.corrcoef(head.track.expression[:, mouth], weights[:, mouth])[0, 1] > 0.8
    yaw = np.array([scene.yaw_pitch_roll_rad[0] for scene in played])
    assert np.degrees(np.abs(head.track.yaw_pitch_roll_rad[:, 0] - yaw)).mean() < 6.0


def test_who_it_is_stays_the_same_and_points_stay_where_they_were_seen(likeness: Likeness, moving: Path) -> None:
    video = VideoFile(moving)
    camera = video_module.Cameras().of(video_module.DecodedPhotograph(next(video.frames()).image_srgb), moving)
    seen = video_module.follow(likeness, video, camera)
    sightings = [frame.sightings[0] for frame in seen.faces]
    looks = [look for frame in seen.faces for look in frame.careful]
    identity, albedo = clip_identity([look.parameters for look in looks], [look.confidence for look in looks])
    answers = FaceParameters(
        *(torch.cat([getattr(one.parameters, name) for one in sightings]) for name in vars(sightings[0].parameters))
    )
    model = likeness.morphable_model
    told = of_one_person(answers, identity, albedo, model)
    assert torch.equal(told.identity, identity.expand_as(told.identity))
    assert (told.expression >= 0.0).all()
    assert (told.expression <= 1.0).all()
    intrinsics_px = default_intrinsics(HEIGHT_PX, WIDTH_PX).expand(COUNT, 3, 3)
    reconstructor = likeness.faces.reconstructor
    before = reconstructor.landmarks_image(answers, intrinsics_px)[..., :2]
    swapped = replace(answers, identity=told.identity)
    careless = (reconstructor.landmarks_image(swapped, intrinsics_px)[..., :2] - before).norm(dim=-1).mean()
    careful = (reconstructor.landmarks_image(told, intrinsics_px)[..., :2] - before).norm(dim=-1).mean()
    assert careful < 0.6 * careless


def test_a_still_face_in_noise_stands_still(likeness: Likeness, tmp_path: Path) -> None:
    pictures = film_frames([Actor(2, moves=False)], likeness.morphable_model, 25, noise=4.0)
    (found,), _, _ = reconstruct_video(likeness, write_film(pictures, tmp_path / "still.mp4"))
    points = found.landmarks68_px
    width, height = (points.max(axis=1) - points.min(axis=1)).mean(axis=0)
    deviation = np.sqrt(points.var(axis=0).sum(axis=-1)).mean()
    assert deviation / np.sqrt(width * height) < 0.0015


def test_two_people_are_told_apart_and_one_who_leaves_is_found_again(likeness: Likeness, tmp_path: Path) -> None:
    there = [number for number in range(50) if number not in range(18, 34)]
    actors = [Actor(3, -110.0), Actor(4, 115.0)]
    model = likeness.morphable_model
    both, alone = film_frames(actors, model, 50), film_frames(actors[:1], model, 50)
    pictures = [both[number] if number in there else alone[number] for number in range(50)]
    people, _, _ = reconstruct_video(likeness, write_film(pictures, tmp_path / "two.mp4"))
    assert len(people) == 2
    assert [len(one.track) for one in people] == [50, pytest.approx(len(there), abs=9)]
    left, right = (one.landmarks68_px[..., 0] for one in people)
    assert (left < WIDTH_PX / 2).all()
    assert (right > WIDTH_PX / 2).all()
    assert people[1].track.frame[-1] >= 48


def test_a_run_that_was_killed_goes_on_exactly(
    likeness: Likeness, moving: Path, head: FilmedHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_module, "FRAMES_IN_A_FILE", 8)
    record = VideoRecord(tmp_path / "frames", "this network")
    step, steps = FaceTracker.step, []

    def killed(tracker: FaceTracker, frame: video_module.VideoFrame) -> video_module.FrameFaces:
        if len(steps) == 27:
            raise KeyboardInterrupt
        steps.append(frame.index)
        return step(tracker, frame)

    monkeypatch.setattr(FaceTracker, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_video(likeness, moving, record=record)
    kept = len(record.read().time_s)
    assert kept == 24
    steps.clear()
    (again,), _, _ = reconstruct_video(likeness, moving, record=record)
    assert steps == list(range(kept, COUNT))
    assert np.array_equal(again.track.expression, head.track.expression)
    assert np.array_equal(again.landmarks68_px, head.landmarks68_px)
    assert again.best_frame == head.best_frame
    assert np.array_equal(again.head.result.vertices_mm, head.head.result.vertices_mm)
    assert VideoRecord(tmp_path / "frames", "another network").read().time_s == []


def test_the_files_say_what_the_track_says(head: FilmedHead, tmp_path: Path) -> None:
    head.save(tmp_path, ("glb",))
    arrays, table = read_track_arrays(tmp_path / "track.npz"), read_track_csv(tmp_path / "track.csv", 25.0)
    assert np.array_equal(arrays.expression, head.track.expression)
    assert np.allclose(table.weights_of(head.track.expression_names), head.track.expression, atol=1e-6)
    assert np.allclose(table.time_s, head.track.time_s, atol=1e-4)
    document = pygltflib.GLTF2().load(str(tmp_path / "mesh.glb"))
    assert document is not None
    (animation,) = document.animations
    moved = {(channel.target.path, document.nodes[channel.target.node].name) for channel in animation.channels}
    assert ("weights", "skin") in moved
    assert {path for path, _ in moved} == {"rotation", "translation", "weights"}
    output = document.accessors[animation.samplers[animation.channels[-1].sampler].output]
    view = document.bufferViews[output.bufferView]
    content = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    weights = np.frombuffer(content, np.float32).reshape(COUNT, -1)
    assert np.allclose(weights, head.track.expression)


def test_a_film_without_faces_gives_nobody(likeness: Likeness, tmp_path: Path) -> None:
    wall = [np.full((48, 64, 3), 90, np.uint8)] * 5
    people, _, note = reconstruct_video(likeness, write_film(wall, tmp_path / "wall.mp4"))
    assert (people, note) == ([], "")
