"""Pictures of more than 8 bits: their tags say what is black and what is white."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from data.image_io import UnreadableImageError, decode_photograph

RAMP = np.linspace(0.0, 1.0, 64)[None].repeat(5, axis=0)
BLACK_IS_ZERO, WHITE_IS_ZERO = 1, 0
MAX_SAMPLE, ORIENTATION = 281, 274


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of samples of so many bits, each row filled up to a byte, as TIFF packs them."""
    if bits in (16, 32):
        return values.astype(f"<u{bits // 8}").tobytes()
    rows = []
    for row in values:
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


def tiff(values: np.ndarray, bits: int, photometric: int = BLACK_IS_ZERO, **more: int) -> bytes:
    """A grey TIFF without compression, written by hand: Pillow writes none of these."""
    height, width = values.shape
    data = packed(values, bits)
    names = {"max_sample": MAX_SAMPLE, "orientation": ORIENTATION}
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: 1, 278: height, 279: len(data)}
    tags |= {names[name]: value for name, value in more.items()}
    offset = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[273] = offset
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


def read(content: bytes) -> np.ndarray:
    image_srgb = decode_photograph(content, "picture.tif")
    assert (image_srgb == image_srgb[..., :1]).all()
    return image_srgb[..., 0]


@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, WHITE_IS_ZERO])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_every_depth_comes_out_right_also_inverted(bits: int, photometric: int) -> None:
    highest = 2**bits - 1
    # Dark, so that the largest value cannot tell the range.
    values = np.round(0.3 * highest * RAMP)
    stored = values if photometric == BLACK_IS_ZERO else highest - values
    np.testing.assert_allclose(read(tiff(stored, bits, photometric)), 255.0 * values / highest, atol=0.51)


def test_a_tag_says_which_of_sixteen_bits_are_used() -> None:
    values = np.round(0.5 * 1023 * RAMP)
    np.testing.assert_allclose(read(tiff(values, 16, max_sample=1023)), 255.0 * values / 1023.0, atol=0.51)
    # One that the values contradict is no good.
    np.testing.assert_allclose(read(tiff(values, 16, max_sample=255)), 255.0 * values / 65535.0, atol=0.51)


@pytest.mark.parametrize("bits", [10, 16])
def test_they_are_turned_upright(bits: int) -> None:
    values = np.round((2**bits - 1) * RAMP)
    # 6: the stored picture's first row is the right edge of what was photographed.
    turned = read(tiff(values, bits, orientation=6))
    np.testing.assert_array_equal(turned, np.rot90(read(tiff(values, bits)), -1))


def test_a_dark_picture_of_sixteen_bits_stays_dark() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.round(200.0 * RAMP).astype(np.uint16)).save(buffer, "PNG")
    assert read(buffer.getvalue()).max() == 1


def test_too_large_ones_are_refused_before_they_are_decoded() -> None:
    content = bytearray(tiff(np.zeros((4, 4)), 10))
    for tag in (256, 257):
        place = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
        content[place : place + 4] = struct.pack("<I", 40_000)
    with pytest.raises(UnreadableImageError, match="megapixels"):
        read(bytes(content))
