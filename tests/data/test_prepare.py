import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

from common.paths import REPOSITORY
from data.alignment import CropWindow
from data.image_io import decode_photograph
from data.loader import LoaderConfig, build_loader
from data.patches import labelled_sample
from data.plan import PrepareConfig, held_out_groups, is_held_out, make_plan
from data.prepare import main, prepare
from data.readers import Labels, SourcePhotograph, read_annotated
from data.shard_making import is_finished, make_shard
from data.shards import decode_sample, encode_sample
from tests.data.annotated import jpeg, make_annotated
from tests.data.data_scenes import dot_picture, dot_position, face_points, smooth_picture


def config(tmp_path: Path, **options: Any) -> PrepareConfig:
    return PrepareConfig(tmp_path / "photos", tmp_path / "shards", **{"workers": 1, **options})


def stored_names(output: Path, split: str) -> list[str]:
    if not list((output / split).glob("*.tar")):
        return []
    loader = build_loader(LoaderConfig(output / split, training=False, size=32, workers=0))
    return [name for batch in loader for name in batch["name"]]


@pytest.mark.slow
def test_every_photograph_ends_up_on_one_side(tmp_path: Path) -> None:
    names = [f"aflw/image{number}.jpg" for number in range(40)]
    make_annotated(tmp_path / "photos", names)
    report = prepare(config(tmp_path, validation_percent=25.0, photographs_per_shard=7))
    train, validation = stored_names(tmp_path / "shards", "train"), stored_names(tmp_path / "shards", "val")
    assert sorted(train + validation) == sorted(names)
    assert 2 <= len(validation) <= 20
    assert report["splits"]["train"]["samples"] == len(train)
    assert report["splits"]["val"] == {
        "shards": -(-len(validation) // 7),
        "photographs": len(validation),
        "samples": len(validation),
    }


def test_a_person_is_never_on_both_sides(tmp_path: Path) -> None:
    names = [f"lfw/p{number % 10}_{number}.jpg" for number in range(40)]
    persons = [f"p{number % 10}" for number in range(40)]
    make_annotated(tmp_path / "photos", names, persons=persons)
    plans = make_plan(config(tmp_path, validation_percent=30.0))
    sides = {
        split: {p.group for plan in plans if plan.split == split for p in plan.photographs}
        for split in ("train", "val")
    }
    assert sides["train"]
    assert sides["val"]
    assert not sides["train"] & sides["val"]


def test_of_few_photographs_one_is_held_out_and_one_is_left() -> None:
    groups = {f"photo{number:02d}.jpg" for number in range(16)}
    # By their hashes alone none of these would be.
    assert not any(is_held_out(group, 0.01) for group in groups)
    held_out = held_out_groups(groups, 0.01)
    assert len(held_out) == 1
    # It is the one that a larger share takes first.
    shares = np.arange(0.1, 100.0, 0.1).tolist()
    percent = next(share for share in shares if any(is_held_out(group, share) for group in groups))
    assert {group for group in groups if is_held_out(group, percent)} >= held_out
    assert len(held_out_groups(groups, 99.99)) == 15
    assert held_out_groups(groups, 0.0) == set()
    assert held_out_groups({"alone"}, 4.0) <= {"alone"}


def test_a_part_without_a_sample_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"lfw/someone_{number}.jpg" for number in range(4)]
    make_annotated(tmp_path / "photos", names, persons=["someone"] * 4)
    assert not is_held_out("someone", 4.0)
    report = prepare(config(tmp_path, validation_percent=4.0))
    assert report["splits"]["val"]["samples"] == 0
    assert "nothing is held out (all are of one group)" in report["warnings"][0]
    main([str(tmp_path / "photos"), "--output", str(tmp_path / "shards"), "--workers", "1"])
    assert report["warnings"][0] in capsys.readouterr().err


@pytest.mark.slow
def test_sides_do_not_depend_on_what_else_there_is() -> None:
    held_out = [is_held_out(f"group {number}", 4.0) for number in range(20_000)]
    assert 0.03 < np.mean(held_out) < 0.05
    # Who is held out at 4 % is held out at 10 %.
    assert all(is_held_out(f"group {number}", 10.0) for number in np.flatnonzero(held_out))


def test_labels_stay_on_the_pixels(tmp_path: Path) -> None:
    """From a large photograph, whose patch is cut out and scaled down."""
    points = face_points(size_px=400.0, center_px=(700.0, 500.0))
    path = tmp_path / "face.jpg"
    path.write_bytes(jpeg(dot_picture(points[30, :2], 1000, 1300, sigma_px=10.0)))
    photograph = SourcePhotograph("face.jpg", "test", "face", 3, path)
    options = config(tmp_path)
    stored, kept = labelled_sample(photograph, Labels(points, points[:, :2].repeat(8, 0)[:478], 0.5), options)
    assert kept is None
    assert stored.window.side_px <= options.largest_side_px * 1.001
    assert stored.landmarks68_px is not None
    np.testing.assert_allclose(dot_position(stored.patch_srgb), stored.landmarks68_px[30, :2], atol=0.3)
    # The margin around the window is there, where the photograph has it.
    assert stored.window.left_px > 0.2 * stored.window.side_px
    assert stored.patch_srgb.shape[1] > stored.window.left_px + 1.2 * stored.window.side_px
    back = decode_sample(encode_sample(stored))
    assert back.person == 3
    assert not back.color


def test_small_photographs_are_kept_as_they_are(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", ["aflw/a.jpg"])
    photograph = read_annotated(tmp_path / "photos")[0]
    assert photograph.labels is not None
    _, kept = labelled_sample(photograph, photograph.labels, config(tmp_path, margin=9.0))
    assert kept == photograph.read_bytes()


def test_the_annotations_are_read_as_described(tmp_path: Path) -> None:
    count = 4
    disagreement = np.array([np.nan, 0.01, 0.2, 0.01], np.float32)
    has_mesh = np.array([True, True, True, False])
    names = [f"aflw/{number}.jpg" for number in range(count)]
    make_annotated(
        tmp_path / "photos",
        names,
        persons=["Zoe", "", "Ada", "Zoe"],
        mesh_disagreement=disagreement,
        has_mesh=has_mesh,
        reliable=np.array([True, False, True, True]),
    )
    photographs = read_annotated(tmp_path / "photos")
    assert [p.person for p in photographs] == [1, -1, 0, 1]
    weights = [p.labels.landmarks478_weight if p.labels else -1.0 for p in photographs]
    assert weights == [1.0, 1.0, 0.0, 0.0]
    assert [bool(p.doubt) for p in photographs] == [False, True, False, False]
    labels = photographs[0].labels
    assert labels is not None
    np.testing.assert_allclose(labels.landmarks68_px, face_points(), atol=0.07)
    assert labels.landmarks478_px is not None
    np.testing.assert_allclose(labels.landmarks478_px[:68], face_points()[:, :2], atol=0.13)
    assert decode_photograph(photographs[2].read_bytes(), "x").shape == (160, 160, 3)


def test_what_was_skipped_is_reported(tmp_path: Path) -> None:
    names = [f"aflw/{number}.jpg" for number in range(6)]
    make_annotated(tmp_path / "photos", names, reliable=np.array([True, True, False, True, True, True]))
    with tarfile.open(tmp_path / "photos" / "photos-00.tar") as archive:
        broken = archive.getmember(names[3])
    with (tmp_path / "photos" / "photos-00.tar").open("r+b") as file:
        file.seek(broken.offset_data)
        file.write(bytes(broken.size))
    report = prepare(config(tmp_path, validation_percent=0.0))
    assert report["skipped_by_reason"] == {"doubtful": 1, "not_an_image": 1}
    assert {entry["name"] for entry in report["skipped"]} == {names[2], names[3]}
    assert report["splits"]["train"]["samples"] == 4
    assert json.loads((tmp_path / "shards" / "report.json").read_text()) == report


def test_a_tar_that_breaks_off_costs_only_what_it_lacks(tmp_path: Path) -> None:
    names = [f"aflw/{number}.jpg" for number in range(6)]
    make_annotated(tmp_path / "photos", names)
    path = tmp_path / "photos" / "photos-00.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = prepare(config(tmp_path, validation_percent=0.0))
    assert 1 <= report["splits"]["train"]["samples"] < 6
    assert report["splits"]["train"]["samples"] + sum(report["skipped_by_reason"].values()) == 6


def test_missing_annotations_are_named(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", ["aflw/a.jpg"])
    (tmp_path / "photos" / "landmarks68.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"landmarks68\.npz"):
        prepare(config(tmp_path))


def test_finished_shards_are_not_made_again(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", [f"aflw/{number}.jpg" for number in range(9)])
    options = config(tmp_path, validation_percent=0.0, photographs_per_shard=4)
    first = prepare(options)
    shards = sorted((tmp_path / "shards" / "train").glob("*.tar"))
    before = [path.stat().st_mtime_ns for path in shards]
    shards[1].with_suffix(".json").unlink()
    assert prepare(options)["splits"] == first["splits"]
    after = [path.stat().st_mtime_ns for path in shards]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_other_options_make_new_shards_and_remove_old_ones(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", [f"aflw/{number}.jpg" for number in range(9)])
    prepare(config(tmp_path, validation_percent=0.0, photographs_per_shard=3))
    foreign = tmp_path / "shards" / "train" / "holiday.tar"
    foreign.write_bytes(b"not ours")
    (tmp_path / "shards" / "train" / ".train-000000-half.tar").write_bytes(b"half")
    prepare(config(tmp_path, validation_percent=0.0, photographs_per_shard=9))
    assert sorted(path.name for path in (tmp_path / "shards" / "train").iterdir()) == [
        "holiday.tar",
        "train-000000.json",
        "train-000000.tar",
    ]


def test_a_changed_photograph_makes_its_shard_anew(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", ["aflw/a.jpg"])
    plan = make_plan(config(tmp_path, validation_percent=0.0))[0]
    plan.path.parent.mkdir(parents=True)
    make_shard(plan)
    assert is_finished(plan)
    changed = replace(plan, photographs=(replace(plan.photographs[0], doubt="no"),))
    assert not is_finished(changed)


@pytest.mark.slow
def test_two_processes_make_what_one_does(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", [f"aflw/{number}.jpg" for number in range(10)])
    for workers, output in ((1, "one"), (2, "two")):
        options = replace(config(tmp_path, photographs_per_shard=4), workers=workers, output=tmp_path / output)
        prepare(options)
    for path in sorted((tmp_path / "one").rglob("*.tar")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.slow
def test_a_killed_run_is_taken_up(tmp_path: Path) -> None:
    make_annotated(tmp_path / "photos", [f"aflw/{number}.jpg" for number in range(400)])
    command = [sys.executable, "-m", "data.prepare", str(tmp_path / "photos"), "--output", str(tmp_path / "shards")]
    command += ["--workers", "1", "--photographs_per_shard", "20", "--validation_percent", "0"]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."}
    )
    receipt = tmp_path / "shards" / "train" / "train-000001.json"
    deadline = time.monotonic() + 120.0
    while not receipt.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = receipt.stat().st_mtime_ns
    report = prepare(config(tmp_path, photographs_per_shard=20, validation_percent=0.0))
    assert report["splits"]["train"]["samples"] == 400
    assert receipt.stat().st_mtime_ns == made
    assert not [path for path in (tmp_path / "shards" / "train").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_folder_of_photographs_is_searched_for_faces(tmp_path: Path) -> None:
    photos = tmp_path / "photos" / "deep"
    photos.mkdir(parents=True)
    (photos / "astronaut.jpg").write_bytes(jpeg(skimage.data.astronaut()))
    (photos / "coffee.jpg").write_bytes(jpeg(skimage.data.coffee()))
    (photos / "letter.jpg").write_text("Dear diary")
    report = prepare(config(tmp_path, validation_percent=0.0))
    assert report["skipped_by_reason"] == {"no_face": 1, "not_an_image": 1}
    loader = build_loader(LoaderConfig(tmp_path / "shards" / "train", training=False, size=64, workers=0))
    batch = next(iter(loader))
    assert batch["name"] == ["deep/astronaut.jpg"]
    assert batch["landmarks68_weight"].tolist() == batch["landmarks478_weight"].tolist() == [0.0]
    assert batch["color"].tolist() == [True]
    assert batch["skin_mask"].mean() > 0.1


def test_the_command_line_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_annotated(tmp_path / "photos", ["aflw/a.jpg", "aflw/b.jpg"], reliable=np.array([True, False]))
    main(
        [str(tmp_path / "photos"), "--output", str(tmp_path / "shards"), "--workers", "1", "--validation_percent", "0"]
    )
    printed = capsys.readouterr().out
    assert "train: 1 samples of 2 photographs in 1 shards" in printed
    assert "skipped, doubtful: 1" in printed


@pytest.mark.parametrize("content", [None, "empty"])
def test_nothing_to_prepare_is_an_error_without_a_traceback(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "photos").mkdir()
    with pytest.raises(SystemExit, match="photos"):
        main([str(tmp_path / "photos"), "--output", str(tmp_path / "shards")])


def test_impossible_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validation_percent"):
        config(tmp_path, validation_percent=101.0)
    with pytest.raises(SystemExit, match="workers"):
        main([str(tmp_path), "--output", str(tmp_path / "shards"), "--workers", "0"])


def test_a_window_keeps_its_place_when_only_part_of_it_is_on_the_photograph(tmp_path: Path) -> None:
    points = face_points(size_px=100.0, center_px=(30.0, 40.0))
    path = tmp_path / "face.jpg"
    path.write_bytes(jpeg(smooth_picture(120, 110)))
    photograph = SourcePhotograph("face.jpg", "test", "face", -1, path)
    stored, _ = labelled_sample(photograph, Labels(points, None, 0.0), config(tmp_path))
    assert stored.window.left_px < 0.0
    assert isinstance(stored.window, CropWindow)
    assert stored.landmarks68_px is not None
    np.testing.assert_allclose(stored.landmarks68_px, points, atol=1e-3)
