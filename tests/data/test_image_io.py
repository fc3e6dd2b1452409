import contextlib
import io
import os
import pickle
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from common.photograph import has_color
from data.image_io import UnreadableImageError, decode_photograph, find_images, open_photograph, read_photograph
from tests.data.data_scenes import smooth_picture

PICTURE = smooth_picture(48, 64)


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(content: bytes) -> np.ndarray:
    return decode_photograph(content, "picture")


def far(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - two.astype(float)).mean())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 98, "subsampling": 0}),
        ("AVIF", {"quality": 98}),
        ("JPEG2000", {}),
    ],
)
def test_common_kinds(kind: str, options: dict[str, Any]) -> None:
    assert far(read(save(Image.fromarray(PICTURE), kind, **options)), PICTURE) < 3.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255
    # How a camera stores it that was held so.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    assert far(read(save(image, "JPEG", quality=95, exif=exif)), upright) < 6.0


def test_broken_exif_does_not_matter() -> None:
    content = save(Image.fromarray(PICTURE), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read(content).shape == PICTURE.shape


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_modes(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.fromarray(PICTURE).convert(mode)
    result = read(save(image, kind))
    assert result.shape == PICTURE.shape
    assert far(result, np.asarray(image.convert("RGB"))) < 8.0


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey(kind: str) -> None:
    grey = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    result = read(save(Image.fromarray(grey), kind))
    np.testing.assert_allclose(result[..., 0], grey / 257.0, atol=0.51)


def png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """An RGB PNG written by hand."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_sixteen_bits_of_color() -> None:
    """Pillow itself writes no such PNG."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in PICTURE)
    assert far(read(png(64, 48, 16, rows)), PICTURE) < 1.0


@pytest.mark.parametrize("highest", [1.0, 255.0, 4000.0])
def test_floating_point(highest: float) -> None:
    values = np.linspace(0, highest, 48 * 64, dtype=np.float32).reshape(48, 64)
    result = read(save(Image.fromarray(values), "TIFF"))
    assert result.shape == PICTURE.shape
    assert (np.diff(result[:, 0, 0].astype(int)) >= 0).all()
    assert result.min() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_neutral(mode: str) -> None:
    content = np.dstack((PICTURE, np.full((48, 64), 255, np.uint8)))
    content[:10] = 0
    image = Image.fromarray(content)
    if mode == "P":
        image = image.convert("RGBA").quantize(64)
    elif mode == "LA":
        image = image.convert("LA")
    result = read(save(image, "PNG"))
    np.testing.assert_allclose(result[2:8].astype(int), 128, atol=1)
    assert far(result[12:], np.asarray(image.convert("RGB"))[12:]) < 3.0


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), level, np.uint8)) for level in (200, 10)]
    result = read(save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert result.shape == (20, 20, 3)
    assert abs(int(result[0, 0, 0]) - 200) < 3


def test_an_embedded_profile_is_honoured() -> None:
    """In sRGB's own profile nothing changes; in one with another white it does."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read(save(Image.fromarray(PICTURE), "PNG", icc_profile=srgb)), PICTURE)
    # The red and the blue primary change places, under a name of their own.
    swapped = srgb.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap")
    result = read(save(Image.fromarray(PICTURE), "PNG", icc_profile=swapped))
    assert far(result, PICTURE[..., ::-1]) < 3.0


def test_a_broken_profile_does_not_matter() -> None:
    np.testing.assert_array_equal(read(save(Image.fromarray(PICTURE), "PNG", icc_profile=b"nothing")), PICTURE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.7])
def test_files_that_break_off_are_refused_politely(kind: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = save(Image.fromarray(noise), kind)
    with pytest.raises(UnreadableImageError, match="picture") as caught:
        read(content[: int(keep * len(content))])
    assert caught.value.kind in ("truncated", "unreadable", "not_an_image")
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_that_breaks_off_is_read_as_viewers_read_it_and_marked(orientation: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = save(Image.fromarray(noise), "JPEG", exif=exif)
    whole = read(content)
    path = tmp_path / "cut.jpg"
    path.write_bytes(content[:-1])
    photograph = open_photograph(path)
    np.testing.assert_array_equal(photograph.image_srgb, whole)
    assert "breaks off before its end" in photograph.note
    path.write_bytes(content[: len(content) // 2])
    photograph = open_photograph(path)
    missing = int(re.findall(r"its last (\d+) % are missing", photograph.note)[0])
    assert 35 < missing < 65
    # What was decoded is the whole file's, and the rest is one grey.
    same = (np.abs(photograph.image_srgb.astype(int) - whole) <= 1).all(axis=-1).mean()
    grey = (np.abs(photograph.image_srgb.astype(int) - 128) <= 1).all(axis=-1).mean()
    assert same == pytest.approx(1.0 - missing / 100.0, abs=0.1)
    assert grey == pytest.approx(missing / 100.0, abs=0.1)


def test_a_jpeg_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    content = save(Image.fromarray(PICTURE), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(content[: content.index(b"\xff\xda")])
    with pytest.raises(UnreadableImageError, match="breaks off|cannot be decoded"):
        open_photograph(tmp_path / "cut.jpg")


def test_a_whole_picture_with_a_grey_edge_is_not_marked(tmp_path: Path) -> None:
    content = PICTURE.copy()
    content[30:] = 128
    Image.fromarray(content).save(tmp_path / "whole.jpg")
    assert open_photograph(tmp_path / "whole.jpg").note == ""


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "empty"), (b"Dear diary", "not_an_image"), (b"<html>", "not_an_image")]
)
def test_what_is_no_picture_is_told_apart(content: bytes, kind: str) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read(content)
    assert caught.value.kind == kind
    assert str(caught.value) == f"{caught.value.name}: {caught.value.advice}"
    assert "picture" not in caught.value.advice
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.kind, str(again)) == (kind, str(caught.value))


def test_decompression_bombs_are_refused_before_they_are_decoded() -> None:
    content = png(40_000, 40_000, 8, bytes(100_000))
    with pytest.raises(UnreadableImageError, match="megapixels") as caught:
        read(content)
    assert caught.value.status == "too_large"


def test_noise_in_a_file_never_escapes_as_another_error() -> None:
    generator = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"):
        content = bytearray(save(Image.fromarray(PICTURE), kind))
        for _ in range(15):
            broken = bytearray(content)
            for place in generator.integers(0, len(content), 12):
                broken[place] = int(generator.integers(256))
            with contextlib.suppress(UnreadableImageError):
                assert read(bytes(broken)).ndim == 3


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "missing.jpg", loop, tmp_path / "pipe.jpg", tmp_path):
        with pytest.raises(UnreadableImageError, match=str(path)):
            read_photograph(path)


def test_color_is_told_from_grey() -> None:
    grey = np.repeat(PICTURE[..., :1], 3, axis=2)
    assert has_color(PICTURE)
    assert not has_color(grey)
    assert not has_color(read(save(Image.fromarray(grey), "JPEG", quality=50)))


def make_tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_folders_are_searched(tmp_path: Path) -> None:
    make_tree(tmp_path, "b.JPG", "a/c.png", "a/d/e.webp", "notes.txt", ".hidden.jpg", ".git/f.jpg", "b.png")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert found == ["a/c.png", "a/d/e.webp", "b.JPG", "b.png"]


def test_in_folders_all_that_looks_like_a_picture_is_found(tmp_path: Path) -> None:
    named = ["a.mpo", "b.PPM", "c.tga", "d.j2k", "e.psd", "f.HEIC", "g.NEF", "h.jxl", "i.svg", "j.cr3", "k.djvu"]
    make_tree(tmp_path, *named, "notes.txt", "data.json", "film.mp4", "numbers.npz", "LICENSE")
    jpeg = save(Image.fromarray(PICTURE), "JPEG")
    for name in ("download", "photo.jpg~", "IMG_1.unknown"):
        (tmp_path / name).write_bytes(jpeg)
    os.mkfifo(tmp_path / "pipe")
    found = {path.name for path in find_images([tmp_path])}
    assert found == {*named, "download", "photo.jpg~", "IMG_1.unknown"} - {"k.djvu"}
    np.testing.assert_array_equal(read_photograph(tmp_path / "download"), read(jpeg))


def test_links_are_followed_once(tmp_path: Path) -> None:
    make_tree(tmp_path, "real/a.jpg", "elsewhere/x/b.jpg")
    (tmp_path / "real" / "back").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert found == ["dangling.jpg", "elsewhere/x/b.jpg", "real/a.jpg", "self.jpg"]


def test_real_folders_come_before_links_to_them(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/photo.jpg", "z/other.jpg")
    (tmp_path / "z" / "alias").symlink_to(tmp_path / "a")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert found == ["a/photo.jpg", "z/other.jpg"]


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    make_tree(tmp_path, "in/a.jpg", "apart/b.jpg")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "out").symlink_to(tmp_path / "apart")
    found = find_images([tmp_path / "in"])
    assert found == [tmp_path / "in" / "a.jpg", tmp_path / "in" / "out"]
    with pytest.raises(UnreadableImageError, match="name the folder it leads to"):
        read_photograph(found[1])


def test_named_files_are_taken_whatever_they_are(tmp_path: Path) -> None:
    make_tree(tmp_path, "notes.txt", "z/a.jpg")
    assert find_images([tmp_path / "notes.txt", tmp_path / "z"]) == [tmp_path / "notes.txt", tmp_path / "z" / "a.jpg"]


@pytest.mark.usefixtures("closed_folders")
def test_a_folder_that_cannot_be_searched_is_reported_by_reading_it(tmp_path: Path) -> None:
    make_tree(tmp_path, "closed/a.jpg", "b.jpg")
    assert find_images([tmp_path]) == [tmp_path / "b.jpg", tmp_path / "closed"]
