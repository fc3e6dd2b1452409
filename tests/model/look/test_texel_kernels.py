import numpy as np

from model.look.sampling import BYTE_OF_ROOT, LINEAR_OF_BYTE, bytes_of, linear_of
from model.look.texel_kernels import compose, encode

PICTURE = np.random.default_rng(0).integers(90, 235, (5, 7, 3), dtype=np.uint8)
ONE = np.ones(3, np.float32)
WHOLE = np.ones((1, 1), np.float32)


def composed(
    place: tuple[float, float],
    mirrored: tuple[float, float],
    weights: tuple[float, float],
    mask: np.ndarray = WHOLE,
    **fields: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A texel in the middle of three equal vertices."""
    named = {
        "base": 0.3 * ONE,
        "over_shading": ONE,
        "gloss": 0.0 * ONE,
        "over_mirror": ONE,
        "mirror_gloss": 0.0 * ONE,
        "shown": ONE,
    } | fields
    row = np.concatenate(list(named.values())).astype(np.float32)
    albedo, image = np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8)
    compose(
        np.array([[0, 1, 2]], np.int32),
        np.full((1, 3), 1.0 / 3.0, np.float32),
        PICTURE,
        mask,
        LINEAR_OF_BYTE,
        BYTE_OF_ROOT,
        np.tile(np.array([*place, *mirrored], np.float32), (3, 1)),
        np.tile(np.array(weights, np.float32), (3, 1)),
        np.tile(row, (3, 1)),
        (0.4, 2.5),
        False,
        albedo,
        image,
    )
    return albedo[0], image[0]


def test_a_seen_texel_is_the_pixel_and_its_skin_the_light_over_the_shading() -> None:
    albedo, image = composed((2.5, 3.5), (0.0, 0.0), (1.0, 0.0), over_shading=0.5 * ONE, gloss=0.01 * ONE)
    np.testing.assert_array_equal(image, PICTURE[3, 2])
    np.testing.assert_allclose(albedo, 0.5 * (linear_of(PICTURE[3, 2]) - 0.01), atol=1e-5)


def test_beyond_the_border_the_photograph_goes_on_as_it_ends() -> None:
    np.testing.assert_array_equal(composed((-4.0, 0.5), (0.0, 0.0), (1.0, 0.0))[1], PICTURE[0, 0])
    np.testing.assert_array_equal(composed((100.0, 4.5), (0.0, 0.0), (1.0, 0.0))[1], PICTURE[4, 6])


def test_a_mirrored_texel_keeps_within_its_bounds_and_an_unseen_one_is_the_base() -> None:
    albedo, image = composed((0.0, 0.0), (1.5, 1.5), (0.0, 1.0), over_mirror=1e3 * ONE)
    np.testing.assert_allclose(albedo, 0.75, atol=1e-5)
    np.testing.assert_array_equal(image, bytes_of(0.75 * ONE))
    albedo, image = composed((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), shown=0.5 * ONE)
    np.testing.assert_allclose(albedo, 0.3, atol=1e-6)
    np.testing.assert_array_equal(image, bytes_of(0.15 * ONE))


def test_what_a_mask_keeps_out_is_the_base() -> None:
    mask = np.zeros((5, 7), np.float32)
    mask[:, :3] = 1.0
    np.testing.assert_array_equal(composed((1.5, 1.5), (0.0, 0.0), (1.0, 0.0), mask)[1], PICTURE[1, 1])
    for place, mirrored, weights in (((5.5, 1.5), (0.0, 0.0), (1.0, 0.0)), ((0.0, 0.0), (5.5, 1.5), (0.0, 1.0))):
        albedo, image = composed(place, mirrored, weights, mask)
        np.testing.assert_allclose(albedo, 0.3, atol=1e-6)
        np.testing.assert_array_equal(image, bytes_of(0.3 * ONE))
    half = composed((3.0, 1.5), (0.0, 0.0), (1.0, 0.0), mask)[0]
    whole = composed((3.0, 1.5), (0.0, 0.0), (1.0, 0.0))[0]
    np.testing.assert_allclose(half, 0.5 * (whole + 0.3), atol=1e-5)


def test_gloss_never_takes_all_the_light() -> None:
    albedo, _ = composed((2.5, 3.5), (0.0, 0.0), (1.0, 0.0), gloss=10.0 * ONE)
    np.testing.assert_allclose(albedo, 0.25 * linear_of(PICTURE[3, 2]), rtol=1e-5)


def test_pixels_repeat_the_nearest_texel() -> None:
    albedo = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32)
    nearest = np.array([[0, 0], [0, 1]], np.int32)
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    picture, shown = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    encode(albedo, np.full((2, 2), 2.0, np.float32), image, nearest, BYTE_OF_ROOT, picture, shown)
    np.testing.assert_array_equal(shown, image[nearest])
    np.testing.assert_array_equal(picture, bytes_of(2.0 * albedo)[nearest])
