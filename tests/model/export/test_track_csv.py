"""CSV tracks as Live Link Face writes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.export.track_csv import COLUMNS, TrackFileError, read_track_csv, timecode, write_track_csv
from model.geometry.rotation import rotation_from_euler
from model.look.face_track import FaceTrack

APP_HEADER = (
    "Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def track(time_s: np.ndarray, rate: float) -> FaceTrack:
    count = len(time_s)
    rng = np.random.default_rng(0)
    angles = torch.from_numpy(rng.uniform(-0.5, 0.5, (count, 3)))
    weights = rng.uniform(0.0, 1.0, (count, 2)).astype(np.float32)
    places = np.zeros((count, 3), np.float32)
    names = ("jawOpen", "eyeBlinkLeft")
    turns = rotation_from_euler(angles).numpy()
    return FaceTrack(np.arange(count), time_s, rate, names, weights, turns, places, np.ones(count))


def test_the_columns_are_the_apps() -> None:
    assert ",".join(COLUMNS) == APP_HEADER


@pytest.mark.parametrize("rate", [24.0, 29.97, 30.0, 60.0])
def test_a_track_comes_back(tmp_path: Path, rate: float) -> None:
    written = track(np.arange(150) / rate, rate)
    write_track_csv(written, tmp_path / "a.csv")
    read = read_track_csv(tmp_path / "a.csv")
    assert np.allclose(read.time_s, written.time_s, atol=2e-3 / rate)
    assert np.allclose(read.weights_of(written.expression_names), written.expression, atol=1e-6)
    assert np.allclose(read.yaw_pitch_roll_rad, written.yaw_pitch_roll_rad, atol=1e-5)
    assert read.weights_of(("cheekPuff", "unknown")).max() == 0.0


def test_missing_frames_and_uneven_times_come_back(tmp_path: Path) -> None:
    time_s = np.array([0.0, 0.021, 0.1, 1.5, 1.55])
    write_track_csv(track(time_s, 25.0), tmp_path / "a.csv")
    assert np.allclose(read_track_csv(tmp_path / "a.csv", 25.0).time_s, time_s, atol=1e-4)


def test_time_codes_count_frames_and_thousandths_of_them() -> None:
    assert timecode(0.0, 30) == "00:00:00:00.000"
    assert timecode(3661.5 + 1.0 / 60.0, 30) == "01:01:01:15.500"
    assert timecode(59.99999, 30) == "00:01:00:00.000"


def test_a_recording_of_the_app_is_read(tmp_path: Path) -> None:
    """Rows as the app writes them: the time of day, 60 frames a second, over midnight, columns in another case."""
    zeros = ",".join(["0"] * 58)
    lines = [APP_HEADER.replace("JawOpen", "jawOpen")]
    lines += [f"{code},61,0.5,{zeros},0.25,-0.1" for code in ("23:59:59:58.207", "23:59:59:59.207", "00:00:00:00.207")]
    (tmp_path / "app.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    read = read_track_csv(tmp_path / "app.csv")
    assert np.allclose(read.time_s, np.arange(3) / 60.0, atol=1e-6)
    assert np.allclose(read.weights_of(("eyeBlinkLeft",)), 0.5)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no columns"),
        ("a,b\n1,2\n", "no columns"),
        (APP_HEADER + "\n", "without frames"),
        (APP_HEADER + "\n12:00,61" + ",0" * 61 + "\n", "line 2"),
        (APP_HEADER + "\n00:00:00:00,61,0.5\n", "line 2"),
        (APP_HEADER + "\n00:00:00:00,61" + ",nan" * 61 + "\n", "not finite"),
    ],
)
def test_what_is_no_track_is_refused_by_name(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(TrackFileError, match=told) as caught:
        read_track_csv(path)
    assert "bad.csv" in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrackFileError, match="none.csv"):
        read_track_csv(tmp_path / "none.csv")
