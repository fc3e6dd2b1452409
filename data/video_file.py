"""Reading videos: upright 8-bit sRGB frames with their times, by PyAV (FFmpeg's libraries).

PyAV is an optional package (`pip install 'likeness[video]'`); only this file and `model.export.film` import it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

MAX_SIDE_PX = 8192
"""Larger pictures are refused before they are decoded, as `data.image_io` refuses large photographs."""

_USUAL_RATE = 30.0
_LEAST_STEP_S = 1e-3
"""Frames that say they are shown together, or before one another, get times so far apart."""


class UnreadableVideoError(ValueError):
    """A file that gives no frame; the message names it, says what is wrong and what to do."""


@dataclass(frozen=True)
class VideoFrame:
    """A picture of a video.

    Attributes:
        index: Its number among the decoded frames, from 0.
        time_s: When it is shown, from the first frame on; strictly growing, at any rate.
        image_srgb: Its pixels, upright and square.
    """

    index: int
    time_s: float
    image_srgb: UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of its video.

    Attributes:
        width_px: Of the upright picture with square pixels.
        height_px: Of the same.
        frames_per_second: On average.
        frame_count: How many frames there are; 0 where the file does not say.
    """

    width_px: int
    height_px: int
    frames_per_second: float
    frame_count: int


class VideoFile:
    """The first video stream of a file.

    Attributes:
        path: The file.
        facts: What it says of itself.
        note: What was wrong with the file although frames were read; empty where nothing is. Known after `frames`.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and look at its first frame.

        Raises:
            UnreadableVideoError: If it gives no frame.
            ModuleNotFoundError: If PyAV is not installed.
        """
        self.path = path
        self.note = ""
        if not path.is_file():
            raise UnreadableVideoError(f"{path}: no such file; name a video")
        first, rate, count = None, Fraction(0), 0
        import av
        from av.error import FFmpegError

        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise UnreadableVideoError(f"{path}: holds no video; a file with a video stream is expected")
                stream = container.streams.video[0]
                rate, count = stream.average_rate or stream.guessed_rate or Fraction(0), stream.frames
                _refuse_size(path, stream.codec_context.width, stream.codec_context.height)
                first = next(iter(_decoded(container, stream)), None)
        except (FFmpegError, OSError) as error:
            raise UnreadableVideoError(
                f"{path}: cannot be read as a video ({_words(error)}); give a file that a player shows"
            ) from error
        if first is None:
            raise UnreadableVideoError(f"{path}: a video without frames; it may be cut off, copy it again")
        height, width = first[1].shape[:2]
        if rate <= 0 and first[0] is None:
            self.note = f"says no frame rate; {_USUAL_RATE:g} frames a second are assumed"
        self.facts = VideoFacts(width, height, float(rate) if rate > 0 else _USUAL_RATE, int(count or 0))

    def frames(self, start: int = 0) -> Iterator[VideoFrame]:
        """The frames in the order in which they are shown.

        A file that breaks off gives the frames before the break, and `note` says so.

        Args:
            start: Number of the first frame that is wanted. Those before it are decoded, since only so the numbers are
                the same each time, but not converted.
        """
        import av
        from av.error import FFmpegError

        first_s, last_s, size = None, -1.0, (self.facts.height_px, self.facts.width_px)
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames, index = _raw(container, stream), 0
            while True:
                try:
                    frame = next(frames, None)
                except (FFmpegError, OSError) as error:
                    self.note = f"breaks off after {index} frames ({_words(error)})"
                    return
                if frame is None:
                    return
                shown_s = None if frame.time is None else float(frame.time)
                if shown_s is None:
                    shown_s = (first_s or 0.0) + index / self.facts.frames_per_second
                first_s = shown_s if first_s is None else first_s
                time_s = max(shown_s - first_s, last_s + _LEAST_STEP_S) if index else 0.0
                last_s = time_s
                if index >= start:
                    image = _upright(frame, stream)
                    # A stream may change its size; the camera, and all that was found before, are of the first one.
                    if image.shape[:2] != size:
                        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
                    yield VideoFrame(index, time_s, image)
                index += 1


def _refuse_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE_PX:
        raise UnreadableVideoError(f"{path}: {width} x {height} px; more than {MAX_SIDE_PX} px, scale it down first")


def _raw(container, stream) -> Iterator:  # noqa: ANN001 - PyAV may be missing where this file is read.
    yield from container.decode(stream)


def _decoded(container, stream) -> Iterator[tuple[float | None, UInt8[np.ndarray, "height width 3"]]]:  # noqa: ANN001
    for frame in _raw(container, stream):
        yield frame.time, _upright(frame, stream)


def _upright(frame, stream) -> UInt8[np.ndarray, "height width 3"]:  # noqa: ANN001
    """The pixels of a frame, turned as its display matrix says, square."""
    image = frame.to_ndarray(format="rgb24")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect > 0 and aspect != 1:
        width = max(1, round(image.shape[1] * float(aspect)))
        image = cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_LINEAR)
    # FFmpeg counts counter-clockwise, as numpy does.
    quarters = round(frame.rotation / 90.0) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
