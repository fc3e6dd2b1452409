import pytest
from PIL import Image

from data.exif_camera import focal_from_exif

FOCAL_35MM, PIXELS_X, PIXELS_Y = 0xA405, 0xA002, 0xA003


def picture(width: int, height: int, **tags: int) -> Image.Image:
    image = Image.new("RGB", (width, height))
    names = {"focal_mm": FOCAL_35MM, "taken_x": PIXELS_X, "taken_y": PIXELS_Y}
    for name, value in tags.items():
        image.getexif().get_ifd(0x8769)[names[name]] = value
    return image


def test_a_picture_of_three_by_two_is_as_wide_as_the_film() -> None:
    assert focal_from_exif(picture(600, 400, focal_mm=50)).focal_px == pytest.approx(600 * 50 / 36.0)
    assert focal_from_exif(picture(400, 600, focal_mm=50)).focal_px == pytest.approx(600 * 50 / 36.0)


def test_the_tag_compares_diagonals() -> None:
    """A telephone's 26 mm: its 4:3 sensor has the film's diagonal, not its width."""
    assert focal_from_exif(picture(4032, 3024, focal_mm=26)).focal_px == pytest.approx(26 * 5040 / 43.267, rel=1e-4)


def test_narrow_and_wide_pictures_are_the_middle_of_a_sensor() -> None:
    square, whole = (focal_from_exif(picture(width, 300, focal_mm=30)).focal_px for width in (300, 400))
    assert square == pytest.approx(whole)
    panorama, sensor = (focal_from_exif(picture(600, height, focal_mm=30)).focal_px for height in (200, 400))
    assert panorama == pytest.approx(sensor)


def test_a_smaller_copy_sees_as_much_as_the_original() -> None:
    copy = focal_from_exif(picture(600, 400, focal_mm=50, taken_x=6000, taken_y=4000))
    assert copy.focal_px == pytest.approx(600 * 50 / 36.0)
    turned = focal_from_exif(picture(400, 600, focal_mm=50, taken_x=6000, taken_y=4000))
    assert turned.focal_px == pytest.approx(600 * 50 / 36.0)


def test_of_a_picture_that_was_cut_nothing_is_known() -> None:
    focal = focal_from_exif(picture(500, 500, focal_mm=26, taken_x=4032, taken_y=3024))
    assert focal.focal_px is None
    assert "cut" in focal.note


@pytest.mark.parametrize("focal_mm", [0, 1, 65535])
def test_numbers_that_mean_nothing_are_left_out(focal_mm: int) -> None:
    assert focal_from_exif(picture(600, 400, focal_mm=focal_mm)).focal_px is None
    assert focal_from_exif(picture(600, 400)).note == ""
