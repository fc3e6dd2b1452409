import numpy as np
import pytest

from data.synthetic.hair import draw_hair_over
from tests.data.data_scenes import face_points

SIZE = 112
BROWN = np.array([0.3, 0.2, 0.1])
FACE_PX = SIZE / 1.5


def points_px(yaw_degrees: float = 0.0) -> np.ndarray:
    """iBUG's 68 of a face as deep as it is wide, cut as photographs are."""
    angle = np.radians(yaw_degrees)
    points = face_points() * np.float32([1.0, 1.0, 4.0])
    points -= points.mean(0)
    flat = np.stack((np.cos(angle) * points[:, 0] + np.sin(angle) * points[:, 2], points[:, 1]), axis=1)
    flat *= FACE_PX / np.sqrt(np.prod(np.ptp(flat, axis=0)))
    middle = 0.5 * (flat.min(0) + flat.max(0))
    return (flat - middle + (0.5 * SIZE, 0.56 * SIZE)).astype(np.float32)


def grey() -> np.ndarray:
    return np.full((SIZE, SIZE, 3), 0.5, np.float32)


def draws(points: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [draw_hair_over(np.random.default_rng(seed), grey(), points, BROWN) for seed in range(count)]


def test_the_same_generator_draws_the_same_hair() -> None:
    first, second = draws(points_px(), 8), draws(points_px(), 8)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert len({bare.tobytes() for _, bare in first}) > 4


@pytest.mark.parametrize("yaw_degrees", [0.0, 85.0])
def test_what_is_said_to_be_untouched_is_untouched(yaw_degrees: float) -> None:
    picture = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
    before = picture.copy()
    for seed in range(30):
        drawn, bare = draw_hair_over(np.random.default_rng(seed), picture, points_px(yaw_degrees), BROWN)
        np.testing.assert_allclose(drawn[bare == 1.0], picture[bare == 1.0], atol=1e-6)
        # And what it says is hair has nothing of the picture left.
        hidden = bare < 1e-6
        if hidden.sum() > 50:
            assert abs(np.corrcoef(drawn[hidden].mean(1), picture[hidden].mean(1))[0, 1]) < 0.35
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("yaw_degrees", [0.0, 85.0])
def test_pictures_and_masks_stay_in_their_range(yaw_degrees: float) -> None:
    """To the last digit: a sample whose mask reaches below 0 breaks the contract."""
    for drawn, bare in draws(points_px(yaw_degrees), 60):
        assert drawn.dtype == bare.dtype == np.float32
        assert drawn.min() >= 0.0
        assert drawn.max() <= 1.0
        assert bare.min() >= 0.0
        assert bare.max() <= 1.0


@pytest.mark.slow
def test_some_have_none_and_hair_has_its_colour() -> None:
    every = draws(points_px(), 200)
    bald = [drawn for drawn, bare in every if bare.min() == 1.0]
    assert 0.2 < len(bald) / len(every) < 0.4
    for drawn in bald:
        np.testing.assert_array_equal(drawn, grey())
    hairs = np.concatenate([drawn[bare < 1e-6] for drawn, bare in every])
    np.testing.assert_allclose(hairs.mean(0), BROWN, atol=0.08)
    assert hairs.std(0).min() > 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("yaw_degrees", "free"), [(0.0, 0.1), (45.0, 0.25), (-45.0, 0.25), (85.0, 0.25), (-85.0, 0.25)]
)
def test_hair_covers_the_crown_and_leaves_the_face(yaw_degrees: float, free: float) -> None:
    """Over all draws with hair, the quarter with a fringe too."""
    points = points_px(yaw_degrees)
    brows = points[17:27].mean(0)
    covers = [1.0 - bare for _, bare in draws(points, 300) if bare.min() < 1.0]

    def covered(place: np.ndarray) -> float:
        column, row = place.clip(0, SIZE - 1).astype(int)
        return float(np.mean([cover[row, column] for cover in covers]))

    crown = covered(brows - (0.0, 0.45 * FACE_PX))
    assert crown > 0.4
    # The lower forehead is hidden by a fringe only.
    assert covered(brows - (0.0, 0.1 * FACE_PX)) < 0.5 * crown
    for name, part in (("eyes", slice(36, 48)), ("nose", slice(27, 36)), ("mouth", slice(48, 68))):
        assert np.mean([covered(point) for point in points[part]]) < free, name


def test_hair_turns_with_the_head() -> None:
    points = points_px()
    middle = np.float32([0.5 * SIZE, 0.5 * SIZE])
    upside_down = (2.0 * middle - points).astype(np.float32)
    upper = [np.mean([1.0 - bare[:28].mean() for _, bare in draws(p, 60)]) for p in (points, upside_down)]
    lower = [np.mean([1.0 - bare[-28:].mean() for _, bare in draws(p, 60)]) for p in (points, upside_down)]
    assert upper[0] > 1.5 * lower[0]
    assert lower[1] > 1.5 * upper[1]


def test_points_in_one_place_do_no_harm() -> None:
    for seed in range(5):
        drawn, bare = draw_hair_over(np.random.default_rng(seed), grey(), np.full((68, 2), 50.0, np.float32), BROWN)
        assert np.isfinite(drawn).all()
        assert np.isfinite(bare).all()
