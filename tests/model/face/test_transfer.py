"""A face of one head in another: identity and expression apart, within the error that is told."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.face.correspondence import SurfaceMap, load_map, save_map, surface_map
from model.face.transfer import transferred
from model.geometry.similarity import Similarity
from tests.small_world import toy_head

IDENTITY = np.array([0.9, -1.2, 0.3, 0.0, 0.8, -0.5])


def same_place() -> SurfaceMap:
    head = toy_head()
    return surface_map(head, head.vertices_mm.astype(float), head.vertices_mm.astype(float))


def test_a_map_carries_values_to_the_places_they_belong_to() -> None:
    head = toy_head()
    middles = head.vertices_mm[head.faces].mean(1).astype(float)
    found = surface_map(head, head.vertices_mm.astype(float), middles)
    np.testing.assert_allclose(found.carry(head.vertices_mm.astype(float)), middles, atol=1e-3)
    assert found.covered.all()
    far = surface_map(head, head.vertices_mm.astype(float), 1.2 * middles)
    assert not far.covered.any()
    assert not far.carry_mask(np.ones(len(head.vertices_mm), bool)).any()


def test_identity_and_expression_are_found_apart_wherever_the_source_lies() -> None:
    head = toy_head()
    weights = np.zeros(52)
    weights[head.expression_names.index("jawOpen")] = 0.6
    place = Similarity(1.0, Rotation.from_euler("y", 20.0, degrees=True).as_matrix(), np.array([5.0, -7.0, 11.0]))
    rest = head.vertices_mm + np.tensordot(IDENTITY, head.identity_basis, 1)
    moved = rest + np.tensordot(weights, head.expression_basis, 1)
    albedo = head.albedo_mean + 1.5 * head.albedo_basis[1]
    answer = transferred(head, head, same_place(), place.apply(rest), place.apply(moved), albedo)
    np.testing.assert_allclose(answer.identity, IDENTITY, atol=0.05)
    assert answer.expression[head.expression_names.index("jawOpen")] == pytest.approx(0.6, abs=0.05)
    assert answer.expression.min() >= 0.0
    assert np.delete(answer.expression, head.expression_names.index("jawOpen")).max() < 0.1
    np.testing.assert_allclose(answer.albedo, [0.0, 1.5, 0.0, 0.0], atol=0.2)
    np.testing.assert_allclose(answer.place.apply(answer.vertices_mm), place.apply(moved), atol=0.5)
    assert answer.identity_error_mm < 0.1
    assert answer.expression_error_mm < 0.2
    # The error is told of what was written: of another face it is large.
    other = transferred(head, head, same_place(), place.apply(1.1 * rest), place.apply(1.1 * moved))
    assert other.identity_error_mm > 10.0 * answer.identity_error_mm


def test_a_head_that_has_no_place_on_the_other_is_refused() -> None:
    head = toy_head()
    vertices = head.vertices_mm.astype(float)
    nowhere = surface_map(head, vertices, vertices + 500.0)
    with pytest.raises(ValueError, match="only 0 vertices"):
        transferred(head, head, nowhere, vertices, vertices)


def test_a_map_is_kept_for_its_two_heads_alone(tmp_path: Path) -> None:
    found = same_place()
    save_map(found, tmp_path / "pair.safetensors", "one", "two")
    read = load_map(tmp_path / "pair.safetensors", "one", "two")
    np.testing.assert_array_equal(read.corners, found.corners)
    np.testing.assert_allclose(read.weights, found.weights, atol=1e-6)
    with pytest.raises(ValueError, match=r"pair\.safetensors: a map of two other heads; remove it"):
        load_map(tmp_path / "pair.safetensors", "two", "one")
