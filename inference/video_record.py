"""What was found in a video so far, in files of some hundred frames, so that a run that was killed goes on.

Each file is written as a whole and holds its frames' answers and all that the tracker remembers after them. What goes
on from there answers exactly as what never stopped.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.atomic import atomic_path
from data.video_file import VideoFrame
from inference.face_tracker import CarefulLook, FollowedFace, FrameFaces, Sighting, TrackerState
from model.parameters import FaceParameters

FRAMES_IN_A_FILE = 100
_FORMAT = "likeness-video-1"
_FIELDS = tuple(FaceParameters.__dataclass_fields__)


@dataclass
class SeenFrames:
    """All frames so far.

    Attributes:
        time_s: When each is shown.
        faces: Who is seen in each.
        state: What the tracker remembers after the last of them.
        whole: Whether the video ends there.
        note: What was wrong with the video, known at its end.
        best: The frames of this process that show each person best, by the person's number; not in the files.
    """

    time_s: list[float] = field(default_factory=list)
    faces: list[FrameFaces] = field(default_factory=list)
    state: TrackerState = field(default_factory=TrackerState)
    whole: bool = False
    note: str = ""
    best: dict[int, VideoFrame] = field(default_factory=dict)


class VideoRecord:
    """The files of one video."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Take where they lie.

        Args:
            folder: Their folder; it holds nothing else.
            fingerprint: What the answers depend on. Files with another one are not read.
        """
        self._folder = folder
        self._fingerprint = fingerprint

    def read(self) -> SeenFrames:
        """What an earlier run found; nothing where there was none, or it was about something else."""
        seen = SeenFrames()
        while not seen.whole:
            path = self._path(len(seen.time_s))
            try:
                with np.load(path, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
                head = json.loads(str(arrays["head"]))
                if head["format"] != _FORMAT or head["fingerprint"] != self._fingerprint:
                    break
                faces = list(_faces(arrays))
                state = _state(head["state"])
            except (OSError, EOFError, KeyError, TypeError, ValueError):
                break
            seen.time_s += arrays["time_s"].tolist()
            seen.faces += faces
            seen.state, seen.whole, seen.note = state, bool(head["whole"]), str(head["note"])
        return seen

    def write(self, seen: SeenFrames, first: int) -> None:
        """Write the frames from number `first` on as one file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        faces = seen.faces[first:]
        head = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "state": {**asdict(seen.state), "faces": [_plain(asdict(face)) for face in seen.state.faces]},
            "whole": seen.whole,
            "note": seen.note,
        }
        arrays: dict[str, Any] = {"head": np.array(json.dumps(head)), "time_s": np.array(seen.time_s[first:])}
        sightings = [(number, one) for number, frame in enumerate(faces) for one in frame.sightings]
        careful = [(number, one) for number, frame in enumerate(faces) for one in frame.careful]
        arrays |= _arrays("seen", sightings) | _arrays("careful", careful)
        if sightings:
            arrays["seen_landmarks"] = np.stack([one.landmarks68_px for _, one in sightings])
        arrays["careful_frame"] = np.array([one.frame for _, one in careful], np.int64)
        with atomic_path(self._path(first)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def clear(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, first: int) -> Path:
        return self._folder / f"frames-{first:07d}.npz"


def _arrays(name: str, found: list[tuple[int, Any]]) -> dict[str, np.ndarray]:
    arrays = {
        f"{name}_in": np.array([number for number, _ in found], np.int64),
        f"{name}_track": np.array([one.track for _, one in found], np.int64),
        f"{name}_confidence": np.array([one.confidence for _, one in found], np.float64),
    }
    if found:
        for each in _FIELDS:
            arrays[f"{name}_{each}"] = torch.cat([getattr(one.parameters, each) for _, one in found]).numpy()
    return arrays


def _faces(arrays: dict[str, np.ndarray]) -> Iterator[FrameFaces]:
    """The frames of a file."""

    def parameters(name: str, row: int) -> FaceParameters:
        return FaceParameters(*(torch.from_numpy(arrays[f"{name}_{each}"][row : row + 1].copy()) for each in _FIELDS))

    sightings: list[list[Sighting]] = [[] for _ in arrays["time_s"]]
    careful: list[list[CarefulLook]] = [[] for _ in arrays["time_s"]]
    for row, number in enumerate(arrays["seen_in"]):
        track, sure = int(arrays["seen_track"][row]), float(arrays["seen_confidence"][row])
        points = arrays["seen_landmarks"][row]
        sightings[number].append(Sighting(track, parameters("seen", row), points, sure))
    for row, number in enumerate(arrays["careful_in"]):
        track, sure = int(arrays["careful_track"][row]), float(arrays["careful_confidence"][row])
        frame = int(arrays["careful_frame"][row])
        careful[number].append(CarefulLook(track, frame, parameters("careful", row), sure))
    for ones, looks in zip(sightings, careful, strict=True):
        yield FrameFaces(tuple(ones), tuple(looks))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _state(content: dict[str, Any]) -> TrackerState:
    faces = []
    for face in content["faces"]:
        arrays = {name: np.array(value, np.float64) for name, value in face.items() if isinstance(value, list)}
        faces.append(FollowedFace(**{**face, **arrays}))
    return TrackerState(faces, float(content["searched_s"]), float(content["gap_s"]))
