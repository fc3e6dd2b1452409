import numpy as np

from model.look.sampling import bytes_of, linear_of, sample_softened
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor


def test_bytes_survive_the_way_through_linear_light() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(bytes_of(linear_of(every)), every)
    np.testing.assert_array_equal(bytes_of(np.array([-1.0, 2.0], np.float32)), [0, 255])


def test_softening_averages_light_and_not_bytes() -> None:
    result = toy_face(toy_reconstructor())
    # Stripes a pixel wide, black and white: half of the light, which is far from half of the bytes.
    stripes = np.zeros((240, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    inside = np.all((result.vertices_image[:, :2] > 20) & (result.vertices_image[:, :2] < 180), axis=1)
    soft = sample_softened(result, stripes, radius_mm=6.0)
    np.testing.assert_allclose(soft[inside], 0.5, atol=0.06)
    sharp = sample_softened(result, stripes, radius_mm=0.01)
    assert sharp[inside].std() > 0.2
