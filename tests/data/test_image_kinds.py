import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.image_io import UnreadableImageError, decode_photograph, open_photograph
from data.image_kinds import is_picture
from tests.data.data_scenes import smooth_picture

PICTURE = smooth_picture(48, 64)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
JXL = b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64)


def save(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("TGA", ".tga"), ("PCX", ".pcx"), ("SGI", ".sgi"), ("ICO", ".ico"), ("MPO", ".mpo"), ("IM", ".im")],
)
def test_what_pillow_decodes_is_read(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(save(kind))
    assert is_picture(path.name)
    image_srgb = open_photograph(path).image_srgb
    if kind == "ICO":
        assert image_srgb.shape[2] == 3
    else:
        assert np.abs(image_srgb.astype(int) - PICTURE).mean() < 3.0


def test_what_has_no_mark_of_its_own_is_read_under_its_own_suffix_alone() -> None:
    """A TGA begins with nothing that other files could not begin with."""
    decode_photograph(save("TGA"), "picture.tga")
    with pytest.raises(UnreadableImageError, match="not an image"):
        decode_photograph(save("TGA"), "picture.dat")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.NEF", save("TIFF"), "raw file"),
        ("a.dng", save("TIFF"), "raw file"),
        ("a.tif", save("TIFF", tiffinfo={50706: b"\1\4\0\0"}), "raw file"),
        ("a.jpg", b"\0\0\0\x18ftypcrx " + bytes(64), "raw file"),
        ("a.jxl", JXL, "JPEG XL"),
        ("a.png", JXL, "JPEG XL"),
        ("a.svg", b"<svg></svg>", "drawing"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "drawing"),
    ],
)
def test_kinds_that_are_not_read_are_named(name: str, content: bytes, said: str) -> None:
    with pytest.raises(UnreadableImageError, match=said) as caught:
        decode_photograph(content, name)
    assert caught.value.status == "unsupported"


def test_a_jpeg_under_a_raw_files_name_is_read() -> None:
    assert decode_photograph(save("JPEG"), "picture.raw").shape == PICTURE.shape


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="pillow-heif is installed")
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg"])
def test_heic_asks_for_the_package_that_reads_it(name: str) -> None:
    with pytest.raises(UnreadableImageError, match="pip install pillow-heif") as caught:
        decode_photograph(HEIC, name)
    assert caught.value.status == "unsupported"


def test_heic_is_read_where_its_package_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    for name in ("IMG_1.HEIC", "IMG_1.jpg"):
        Image.fromarray(PICTURE).save(tmp_path / name, "HEIF", quality=95, exif=exif)
        photograph = open_photograph(tmp_path / name)
        assert np.abs(photograph.image_srgb.astype(int) - PICTURE).mean() < 4.0
        assert photograph.focal.focal_px is not None
    with pytest.raises(UnreadableImageError) as caught:
        decode_photograph(HEIC, "IMG_1.HEIC")
    assert caught.value.status == "unreadable"
