"""Videos of every kind: turned ones, uneven ones, files that are none."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed")

from data.video_file import UnreadableVideoError, VideoFile  # noqa: E402


def write(path: Path, pts: list[int], *, turned: int = 0, aspect: Fraction | None = None) -> None:
    """A film of 64 x 48 px whose upper left quarter is white, at times in hundredths of a second."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        for number in pts:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def white_corner(picture: np.ndarray) -> tuple[bool, bool]:
    """Whether the white quarter is at the bottom, and at the right."""
    rows, columns = np.nonzero(picture[..., 0] > 128)
    return bool(rows.mean() > picture.shape[0] / 2), bool(columns.mean() > picture.shape[1] / 2)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0, 4, 5, 40, 41])
    frames = list(VideoFile(tmp_path / "a.mp4").frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert np.allclose([frame.time_s for frame in frames], [0.0, 0.04, 0.05, 0.4, 0.41], atol=1e-3)


def test_numbers_are_the_same_wherever_reading_begins(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0, 4, 8, 13, 16])
    video = VideoFile(tmp_path / "a.mp4")
    late, whole = list(video.frames(3)), list(video.frames())[3:]
    assert [(frame.index, frame.time_s) for frame in late] == [(frame.index, frame.time_s) for frame in whole]


@pytest.mark.parametrize(
    ("turned", "size", "corner"),
    [
        (0, (64, 48), (False, False)),
        (90, (48, 64), (True, False)),
        (-90, (48, 64), (False, True)),
        (180, (64, 48), (True, True)),
    ],
)
def test_a_turned_video_is_read_upright(
    tmp_path: Path, turned: int, size: tuple[int, int], corner: tuple[bool, bool]
) -> None:
    write(tmp_path / "a.mp4", [0, 4], turned=turned)
    video = VideoFile(tmp_path / "a.mp4")
    assert (video.facts.width_px, video.facts.height_px) == size
    picture = next(video.frames()).image_srgb
    assert picture.shape[:2] == size[::-1]
    assert white_corner(picture) == corner


def test_the_display_matrix_of_a_telephone_held_upright_turns_clockwise(tmp_path: Path) -> None:
    """The track header of such a film has the matrix (0 1 0, -1 0 0, 0 0 1): x of the picture goes down."""
    write(tmp_path / "a.mp4", [0, 4])
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    # Version 0: 4 bytes of the name, 36 of other fields and 4 of version and flags lie before the matrix.
    place = content.index(b"tkhd") + 4 + 40
    one = (1 << 16).to_bytes(4, "big")
    identity = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4, "big")
    assert content[place : place + 36] == identity
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    content[place : place + 36] = bytes(4) + one + bytes(4) + minus + bytes(16) + (1 << 30).to_bytes(4, "big")
    (tmp_path / "b.mp4").write_bytes(content)
    assert white_corner(next(VideoFile(tmp_path / "b.mp4").frames()).image_srgb) == (False, True)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0, 4], aspect=Fraction(3, 2))
    assert VideoFile(tmp_path / "a.mp4").facts.width_px == 96


def test_what_breaks_off_gives_what_is_there(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.ts"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    content = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "half.ts").write_bytes(content[: len(content) // 2])
    count = sum(1 for _ in VideoFile(tmp_path / "half.ts").frames())
    assert 5 < count < 50


def test_files_that_are_no_video_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    write(tmp_path / "whole.mp4", [0, 4])
    # The index is at the end: without it nothing can be read.
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:900])
    for name, told in {
        "text.mp4": "cannot be read as a video",
        "empty.mp4": "cannot be read as a video",
        "cut.mp4": "holds no video|cannot be read as a video",
        "sound.wav": "holds no video",
        "missing.mp4": "no such file",
    }.items():
        with pytest.raises(UnreadableVideoError, match=told) as caught:
            VideoFile(tmp_path / name)
        assert name in str(caught.value)


def test_a_video_stream_without_frames_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "none.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(UnreadableVideoError, match=r"none\.mkv"):
        VideoFile(tmp_path / "none.mkv")
