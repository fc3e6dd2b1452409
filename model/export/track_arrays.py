"""`track.npz`: how a person moves through a film, and what the film's camera was."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.atomic import atomic_path
from model.export.track_csv import TrackFileError
from model.look.face_track import FaceTrack

TRACK_FORMAT = "likeness-track-1"
_ARRAYS = ("frame", "time_s", "expression", "rotation", "translation_mm", "confidence")


def write_track_arrays(
    track: FaceTrack,
    path: Path,
    landmarks68_px: Float[np.ndarray, "frame 68 2"],
    intrinsics_px: Float[np.ndarray, "3 3"],
) -> None:
    """Write a track; `docs/video.md` lists the keys.

    Args:
        track: The track.
        path: The file.
        landmarks68_px: IBUG's points in each of its frames.
        intrinsics_px: The film's camera.
    """
    arrays = {name: getattr(track, name) for name in _ARRAYS}
    arrays |= {
        "format": np.array(TRACK_FORMAT),
        "frames_per_second": np.float64(track.frames_per_second),
        "expression_names": np.array(track.expression_names),
        "yaw_pitch_roll": np.degrees(track.yaw_pitch_roll_rad).astype(np.float32),
        "landmarks68_image": landmarks68_px.astype(np.float32),
        "intrinsics": intrinsics_px,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_track_arrays(path: Path) -> FaceTrack:
    """Read a track.

    Raises:
        TrackFileError: If the file holds none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["format"]) != TRACK_FORMAT:
                raise TrackFileError(f"{path}: is of the format {file['format']}, not {TRACK_FORMAT}; make it again")
            names = tuple(str(name) for name in file["expression_names"])
            arrays = {name: file[name] for name in _ARRAYS}
            return FaceTrack(frames_per_second=float(file["frames_per_second"]), expression_names=names, **arrays)
    except (OSError, KeyError, EOFError, ValueError) as error:
        if isinstance(error, TrackFileError):
            raise
        raise TrackFileError(f"{path}: holds no track ({error}); `infer.py --video` writes it") from error
