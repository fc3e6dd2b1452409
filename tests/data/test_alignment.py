import cv2
import numpy as np
import pytest

from data.alignment import (
    CropWindow,
    compose,
    crop_image,
    crop_intrinsics,
    transform_points,
    warp_image,
    window_from_detection,
    window_from_landmarks,
)
from data.detection import Detection
from tests.data.data_scenes import dot_picture, dot_position, face_points, smooth_picture


def detection(points: np.ndarray, box: tuple[float, float, float, float]) -> Detection:
    return Detection(np.array(box, np.float32), points.astype(np.float32), 0.99)


FIVE = np.array([[40.0, 45.0], [62.0, 47.0], [52.0, 58.0], [43.0, 70.0], [60.0, 71.0]])


def test_points_go_into_the_crop_and_back() -> None:
    window = CropWindow(-13.5, 20.25, 77.0)
    points = np.random.default_rng(0).uniform(-50, 200, (20, 2))
    there = transform_points(window.to_crop(112), points)
    np.testing.assert_allclose(transform_points(window.from_crop(112), there), points, atol=1e-9)


def test_the_documented_example() -> None:
    np.testing.assert_allclose(
        transform_points(CropWindow(100.0, 50.0, 200.0).to_crop(112), np.array([200.0, 150.0])), 56.0
    )


def test_intrinsics_of_a_crop_project_as_the_photograph_then_the_window() -> None:
    window = CropWindow(100.0, 50.0, 200.0)
    intrinsics = np.array([[1000.0, 0.0, 256.0], [0.0, 1000.0, 256.0], [0.0, 0.0, 1.0]])
    in_crop = crop_intrinsics(intrinsics, window, 112)
    np.testing.assert_allclose(in_crop, [[560.0, 0.0, 87.36], [0.0, 560.0, 115.36], [0.0, 0.0, 1.0]])


def test_the_window_of_landmarks_is_the_training_rule() -> None:
    points = np.full((68, 2), 100.0)
    points[0], points[16], points[8] = (60.0, 80.0), (140.0, 80.0), (100.0, 180.0)
    window = window_from_landmarks(points)
    # Box 80 x 100 px about (100, 130).
    assert window.side_px == pytest.approx(1.5 * np.sqrt(8000.0))
    assert window.center_px == pytest.approx((100.0, 130.0 - 0.06 * window.side_px))


def test_landmarks_without_extent_are_refused() -> None:
    with pytest.raises(ValueError, match="side"):
        window_from_landmarks(np.ones((68, 2)))


def test_the_window_of_a_detection_moves_and_grows_with_it() -> None:
    box = (30.0, 25.0, 72.0, 82.0)
    window = window_from_detection(detection(FIVE, box))
    moved = window_from_detection(detection(3.0 * FIVE + (7.0, -5.0), (97.0, 70.0, 223.0, 241.0)))
    assert moved.side_px == pytest.approx(3.0 * window.side_px, rel=1e-4)
    expected = (3.0 * window.center_px[0] + 7.0, 3.0 * window.center_px[1] - 5.0)
    assert moved.center_px == pytest.approx(expected, rel=1e-4)


def test_the_window_of_a_mirrored_detection_is_mirrored() -> None:
    window = window_from_detection(detection(FIVE, (30.0, 25.0, 72.0, 82.0)))
    mirrored_five = (np.array([100.0, 0.0]) + FIVE * (-1, 1))[[1, 0, 2, 4, 3]]
    mirrored = window_from_detection(detection(mirrored_five, (28.0, 25.0, 70.0, 82.0)))
    assert mirrored.side_px == pytest.approx(window.side_px, rel=1e-4)
    assert mirrored.center_px == pytest.approx((100.0 - window.center_px[0], window.center_px[1]), rel=1e-4)


def test_the_window_of_a_detection_holds_the_face() -> None:
    window = window_from_detection(detection(FIVE, (30.0, 25.0, 72.0, 82.0)))
    inside = transform_points(window.to_crop(1), FIVE)
    assert (inside > 0.2).all()
    assert (inside < 0.8).all()


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="left < right"):
        window_from_detection(detection(FIVE, (30.0, 25.0, 30.0, 82.0)))


@pytest.mark.parametrize("side", [40.0, 96.0, 250.0, 641.0])
def test_pixels_move_as_points_do(side: float) -> None:
    point = np.array([301.3, 207.8])
    window = CropWindow(float(point[0]) - 0.4 * side, float(point[1]) - 0.55 * side, side)
    crop = crop_image(dot_picture(point, 640, 640, sigma_px=side / 30.0), window, 112)
    np.testing.assert_allclose(dot_position(crop), transform_points(window.to_crop(112), point), atol=0.06)


def test_a_turned_view_moves_pixels_as_points() -> None:
    point = np.array([90.0, 60.0])
    turn = np.array([[np.cos(0.4), np.sin(0.4), -20.0], [-np.sin(0.4), np.cos(0.4), 40.0]])
    matrix = compose(CropWindow(10.0, 0.0, 150.0).to_crop(128), turn)
    crop = warp_image(dot_picture(point), matrix, 128)
    np.testing.assert_allclose(dot_position(crop), transform_points(matrix, point), atol=0.06)


@pytest.mark.parametrize("ratio", [1.7, 2.0, 3.4, 8.3])
def test_fine_stripes_average_out_when_scaled_down(ratio: float) -> None:
    """Stripes of two px would come out as broad bands if pixels were only picked."""
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_image(stripes, CropWindow(50.3, 50.9, 100 * ratio), 100).astype(float)
    # Picked pixels would have 127.
    assert crop.std() < 36.0
    assert abs(crop.mean() - 127.5) < 8.0


def test_a_crop_keeps_detail_that_it_can_show() -> None:
    """Stripes of eight crop px survive."""
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, (np.arange(600) // 12) % 2 == 0] = 255
    assert crop_image(stripes, CropWindow(60.0, 60.0, 300.0), 100).std() > 90.0


def test_beyond_the_border_the_outermost_pixels_are_repeated() -> None:
    picture = smooth_picture(60, 60)
    crop = crop_image(picture, CropWindow(-30.0, -30.0, 120.0), 120)
    np.testing.assert_array_equal(crop[60, :25], np.broadcast_to(crop[60, 24], (25, 3)))
    np.testing.assert_array_equal(crop[30:90, 30:90], picture)


@pytest.mark.parametrize("window", [CropWindow(500.0, 500.0, 50.0), CropWindow(-900.0, 3.0, 40.0)])
def test_a_window_outside_of_the_photograph_still_gives_a_crop(window: CropWindow) -> None:
    assert crop_image(smooth_picture(), window, 32).shape == (32, 32, 3)


def test_a_tiny_photograph_can_be_cropped() -> None:
    crop = crop_image(np.full((1, 1, 3), 77, np.uint8), CropWindow(-5.0, -5.0, 11.0), 16)
    assert (crop == 77).all()


def test_an_empty_photograph_is_refused() -> None:
    with pytest.raises(ValueError, match="0 x 5"):
        crop_image(np.zeros((5, 0, 3), np.uint8), CropWindow(0.0, 0.0, 4.0), 8)


def test_a_plain_crop_is_a_copy_of_the_pixels() -> None:
    picture = smooth_picture()
    np.testing.assert_array_equal(crop_image(picture, CropWindow(10.0, 20.0, 64.0), 64), picture[20:84, 10:74])


def test_photograph_and_crop_agree_where_the_face_is() -> None:
    """The window of points seen in the crop is the whole crop."""
    points = face_points()
    window = window_from_landmarks(points)
    again = window_from_landmarks(transform_points(window.to_crop(112), points[:, :2].astype(np.float64)))
    assert (again.left_px, again.top_px, again.side_px) == pytest.approx((0.0, 0.0, 112.0), abs=1e-3)


def test_composition_is_one_after_the_other() -> None:
    generator = np.random.default_rng(1)
    outer, inner, point = generator.normal(size=(2, 3)), generator.normal(size=(2, 3)), generator.normal(size=2)
    expected = transform_points(outer, transform_points(inner, point))
    np.testing.assert_allclose(transform_points(compose(outer, inner), point), expected)
    np.testing.assert_allclose(compose(cv2.invertAffineTransform(inner), inner), np.eye(2, 3), atol=1e-9)
