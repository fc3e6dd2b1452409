"""The source's left half: cut at the mid-line, textures welded."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tools.head.synthetic_half import dome, mirrored_source
from tools.head.half_mesh import left_half, symmetric_mean

DOME = dome(5, 7)


def test_the_left_half_is_what_lies_on_the_left_and_on_the_mid_line() -> None:
    half = left_half(mirrored_source(DOME))
    np.testing.assert_array_equal(half.source, DOME.source)
    np.testing.assert_allclose(half.vertices_mm, DOME.vertices_mm, atol=1e-5)
    np.testing.assert_array_equal(half.middle, DOME.middle)
    np.testing.assert_array_equal(half.faces, DOME.faces)
    np.testing.assert_allclose(half.uv[half.uv_faces], DOME.uv[DOME.uv_faces], atol=1e-6)


def test_texture_vertices_that_a_material_doubles_are_welded() -> None:
    source = mirrored_source(DOME)
    torn = replace(
        source,
        uv=source.uv[source.uv_faces.ravel()],
        uv_faces=np.arange(source.uv_faces.size, dtype=np.int32).reshape(-1, 3),
    )
    assert len(left_half(torn).uv) == len(DOME.uv)


def test_a_lopsided_mean_is_made_symmetric() -> None:
    source = mirrored_source(DOME)
    noise = np.random.default_rng(2).normal(0.0, 0.1, source.vertices_mm.shape).astype(np.float32)
    lopsided = replace(source, vertices_mm=source.vertices_mm + noise)
    mean = symmetric_mean(lopsided)
    np.testing.assert_array_equal(mean[source.mirror] * np.array((-1.0, 1.0, 1.0), np.float32), mean)
    half = left_half(replace(source, vertices_mm=source.vertices_mm + 0.01 * noise))
    np.testing.assert_array_equal(half.vertices_mm[half.middle, 0], 0.0)


def test_a_triangle_across_the_mid_line_is_refused() -> None:
    source = mirrored_source(DOME)
    right = int(source.mirror[1])
    faces = np.concatenate([source.faces, np.array([[1, 6, right]], np.int32)])
    uv_faces = np.concatenate([source.uv_faces, source.uv_faces[:1]])
    with pytest.raises(ValueError, match="cross its mid-line"):
        left_half(replace(source, faces=faces, uv_faces=uv_faces))
