"""Films that a browser plays: H.264 in 4:2:0, colours as BT.709 says, the index at the file's front; by PyAV."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.atomic import atomic_path

FILM_NEEDS = "pip install 'likeness[video]' (the package av)"
"""What is missing where PyAV is."""

_CLOCK = Fraction(1, 90_000)
_BT709, _SRGB_CURVE, _LIMITED = 1, 13, 1
"""Numbers of ISO/IEC 23091-2 for primaries and matrix, of the transfer curve, and FFmpeg's of the range."""


class FilmWriter:
    """Takes frames in the order of their times."""

    def __init__(self, path: Path, size_px: tuple[int, int], frames_per_second: float, quality: int = 21) -> None:
        """Begin a film; `open_film` closes it as well.

        Args:
            path: The file, ending in .mp4.
            size_px: Width and height; odd ones are continued by a row or column, since 4:2:0 halves both.
            frames_per_second: On average; each frame has its own time.
            quality: x264's constant rate factor; smaller is better and larger in bytes, 18 hardly shows a loss.
        """
        import av

        width, height = size_px
        self._pad = ((0, height % 2), (0, width % 2), (0, 0))
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        rate = Fraction(frames_per_second).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast"})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        context = stream.codec_context
        context.color_primaries, context.colorspace, context.color_trc = _BT709, _BT709, _SRGB_CURVE
        context.color_range = _LIMITED
        self._stream, self._frame_of = stream, av.VideoFrame.from_ndarray

    def write(self, image_srgb: UInt8[np.ndarray, "height width 3"], time_s: float) -> None:
        """Append a frame.

        Args:
            image_srgb: Its picture, of the film's size.
            time_s: When it is shown, later than the one before.
        """
        whole = np.pad(image_srgb, self._pad, mode="edge") if np.any(self._pad) else image_srgb
        frame = self._frame_of(np.ascontiguousarray(whole), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = round(time_s / _CLOCK), _CLOCK
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left and the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the file without what is left."""
        self._container.close()


@contextmanager
def open_film(
    path: Path, size_px: tuple[int, int], frames_per_second: float, quality: int = 21
) -> Iterator[FilmWriter]:
    """A film that appears whole or not at all; arguments as of `FilmWriter`."""
    with atomic_path(path) as temporary:
        film = FilmWriter(temporary, size_px, frames_per_second, quality)
        try:
            yield film
        except BaseException:
            film.abandon()
            raise
        film.close()
