from dataclasses import replace

import numpy as np
import pytest

from model.look.resolution import resolution_kept, texture_side
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor


def test_twice_the_texture_keeps_twice_as_much_and_a_larger_photograph_half() -> None:
    reconstructor = toy_reconstructor()
    head, result = reconstructor.morphable_model, toy_face(reconstructor)
    kept = resolution_kept(result, head, 1024)
    assert resolution_kept(result, head, 2048) == pytest.approx(2.0 * kept)
    larger = replace(result, vertices_image=result.vertices_image * np.float32([2.0, 2.0, 1.0]))
    assert resolution_kept(larger, head, 1024) == pytest.approx(0.5 * kept, rel=1e-3)


def test_the_least_side_that_keeps_the_photograph_is_taken() -> None:
    reconstructor = toy_reconstructor()
    head, result = reconstructor.morphable_model, toy_face(reconstructor)
    kept = resolution_kept(result, head, 1024)

    def side(kept_at_1024: float) -> int:
        factor = np.float32(kept / kept_at_1024)
        return texture_side(replace(result, vertices_image=result.vertices_image * [factor, factor, 1.0]), head)

    assert [side(1.5), side(0.95), side(0.6), side(0.3), side(0.05)] == [1024, 1024, 2048, 4096, 4096]
