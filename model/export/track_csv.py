"""The CSV that Epic's app Live Link Face records: ARKit's 52 weights and the head's turns, a row a frame.

Columns and their order are those of the app's own recordings: `Timecode`, `BlendshapeCount`, the weights in Pascal
case, then nine angles, so that the count is 61. A time code is `HH:MM:SS:FF.fff`: frames and thousandths of one. The
file does not say how many frames a second has. Readers, this one as well, go by the names of the columns.
"""

import csv
import math
from pathlib import Path

import numpy as np
import torch

from common.atomic import atomic_path
from model.geometry.rotation import rotation_from_euler
from model.look.face_track import FaceTrack

_WEIGHTS = (
    *(
        f"Eye{kind}{side}"
        for side in ("Left", "Right")
        for kind in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
    ),
    *("JawForward", "JawRight", "JawLeft", "JawOpen"),
    *("MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft"),
    *(f"Mouth{kind}{side}" for kind in ("Smile", "Frown", "Dimple", "Stretch") for side in ("Left", "Right")),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *(f"Mouth{kind}{side}" for kind in ("Press", "LowerDown", "UpperUp") for side in ("Left", "Right")),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff"),
    *("CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
_EYES = tuple(f"{side}Eye{angle}" for side in ("Left", "Right") for angle in ("Yaw", "Pitch", "Roll"))
COLUMNS = ("Timecode", "BlendshapeCount", *_WEIGHTS, *_HEAD, *_EYES)
"""Of the file, in the app's order."""

_USUAL_RATES = (24, 25, 30, 48, 50, 60, 120, 240)
_LIKELY_RATES = (30, 60, 120, 240)
"""Of a recording that is over within a second, which does not show where its frame numbers begin anew."""
_TRANSLATION_MM = (0.0, 0.0, -900.0)
"""Where a head is shown of which the file only says how it turns."""
_LEAST_STEP_S = 1e-3


class TrackFileError(ValueError):
    """A file that is no track; the message names it, says what is wrong and what to do."""


def write_track_csv(track: FaceTrack, path: Path) -> None:
    """Write a track.

    The head's angles are in radians, with the signs of `model.geometry.rotation`. Those of the eyes are 0: where they
    look stands in the weights `EyeLook...`. Frames without the face have no row.

    Args:
        track: The track; weights that it does not know are 0.
        path: The file.
    """
    weights = track.weights_of(tuple(name[0].lower() + name[1:] for name in _WEIGHTS))
    rate = _nominal_rate(track.frames_per_second)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for time_s, row, angles in zip(track.time_s, weights, track.yaw_pitch_roll_rad, strict=True):
            numbers = (*row, *angles, *(0.0 for _ in _EYES))
            count = len(COLUMNS) - 2
            rows.writerow((timecode(float(time_s), rate), count, *(f"{float(value):.8f}" for value in numbers)))


def read_track_csv(path: Path, frames_per_second: float | None = None) -> FaceTrack:
    """Read a track that the app, `write_track_csv` or another program wrote.

    Args:
        path: The file.
        frames_per_second: Of its time codes; by default the least usual rate that all of them fit in.

    Raises:
        TrackFileError: If it is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrackFileError(
            f"{path}: cannot be read as a CSV file ({error}); record it with Live Link Face"
        ) from error
    places = {name.strip().lower(): number for number, name in enumerate(header)}
    known = [name for name in _WEIGHTS if name.lower() in places]
    if "timecode" not in places or not known:
        raise TrackFileError(f"{path}: has no columns Timecode and JawOpen, EyeBlinkLeft, ...; a CSV of Live Link Face")
    if not rows:
        raise TrackFileError(f"{path}: a header without frames; record it again")
    columns = [places[name.lower()] for name in known]
    angles = [places.get(name.lower()) for name in _HEAD]
    codes, weights, turns = [], [], []
    for number, row in enumerate(rows, 2):
        try:
            codes.append(_parts(row[places["timecode"]]))
            weights.append([float(row[column]) for column in columns])
            turns.append([0.0 if column is None else float(row[column]) for column in angles])
        except (IndexError, ValueError) as error:
            raise TrackFileError(f"{path}: line {number} cannot be read ({error}); mend or remove it") from error
    if not (np.isfinite(weights).all() and np.isfinite(turns).all()):
        raise TrackFileError(f"{path}: holds numbers that are not finite; mend or remove these lines")
    times = np.array(codes)
    rate = frames_per_second or _rate_of(times)
    time_s = _growing(times @ (3600.0, 60.0, 1.0, 1.0 / rate))
    return FaceTrack(
        frame=np.arange(len(rows)),
        time_s=time_s,
        frames_per_second=_average_rate(time_s, rate),
        expression_names=tuple(name[0].lower() + name[1:] for name in known),
        expression=np.clip(np.array(weights, np.float32), 0.0, 1.0),
        rotation=rotation_from_euler(torch.tensor(turns)).numpy(),
        translation_mm=np.tile(np.array(_TRANSLATION_MM, np.float32), (len(rows), 1)),
        confidence=np.full(len(rows), np.nan),
    )


def timecode(time_s: float, rate: int) -> str:
    """`HH:MM:SS:FF.fff` of a time, at so many frames a second."""
    thousandths = round(time_s * rate * 1000.0)
    frames, fraction = divmod(thousandths, 1000)
    seconds, frame = divmod(frames, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.{fraction:03d}"


def _parts(code: str) -> tuple[float, float, float, float]:
    """Hours, minutes, seconds, frames."""
    numbers = [float(part) for part in code.strip().replace(";", ":").split(":")]
    if len(numbers) != 4 or not all(math.isfinite(one) and one >= 0.0 for one in numbers):
        raise ValueError(f"the time code {code!r} is not HH:MM:SS:FF")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _nominal_rate(frames_per_second: float) -> int:
    """What time codes count: 30 of 29.97."""
    return max(1, math.ceil(frames_per_second - 1e-3)) if frames_per_second < 1000.0 else 1000


def _rate_of(times: np.ndarray) -> float:
    """The least usual rate in which all frame numbers are below one second."""
    whole, frames = times[:, :3], times[:, 3]
    rates = _LIKELY_RATES if (whole == whole[0]).all() else _USUAL_RATES
    return float(next((rate for rate in rates if frames.max() < rate), math.floor(frames.max()) + 1))


def _growing(time_s: np.ndarray) -> np.ndarray:
    """From 0 and strictly growing; a recording may go over midnight, or have two rows of one time."""
    steps = np.diff(time_s)
    steps = np.where(steps < -43_200.0, steps + 86_400.0, steps)
    return np.concatenate(([0.0], np.cumsum(np.maximum(steps, _LEAST_STEP_S))))


def _average_rate(time_s: np.ndarray, rate: float) -> float:
    return (len(time_s) - 1) / float(time_s[-1]) if len(time_s) > 1 else rate
