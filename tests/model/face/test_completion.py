"""What a published model lacks is carried over from our head, to where it belongs, and told."""

from dataclasses import replace

import numpy as np
import pytest

from model.face.completion import completed
from model.face.morphable_model import MorphableModel
from model.face.readers.foreign import ForeignArrays, ForeignHead, foreign_head
from tests.model.face.test_registration import finer
from tests.small_world import toy_head

SHIFT_MM = np.array([3.0, -40.0, 12.0])
KNOWN = (19, 24, 30, 36, 39, 42, 45, 48, 54, 57)


def foreign(scale: float = 1.0) -> ForeignHead:
    """The toy head with other vertices and of another place, of which little is known."""
    toy = toy_head()
    vertices, faces = finer(scale * toy.vertices_mm + SHIFT_MM, toy.faces)
    points = toy.landmarks["ibug68"]
    corners = toy.faces[points.face][np.arange(68), points.barycentric.argmax(1)]
    identity = np.zeros((2, *vertices.shape))
    none = np.zeros((0, *vertices.shape))
    known = {number: int(corners[number]) for number in KNOWN}
    return foreign_head(ForeignArrays(vertices, faces, identity, none, (), known_points=known))


def test_landmarks_regions_expressions_and_colours_come_to_their_places() -> None:
    toy = toy_head()
    head, notes = completed(foreign(), toy)
    count = len(toy.vertices_mm)
    # The origin is where ours is.
    np.testing.assert_allclose(head.vertices_mm[:count], toy.vertices_mm, atol=0.5)
    for name in ("ibug68", "mediapipe478"):
        ours, theirs = toy.landmarks[name], head.landmarks[name]
        expected = np.einsum("pcx,pc->px", toy.vertices_mm[toy.faces[ours.face]], ours.barycentric)
        found = np.einsum("pcx,pc->px", head.vertices_mm[head.faces[theirs.face]], theirs.barycentric)
        away = np.linalg.norm(found - expected, axis=1)
        # The ten known points are at the corner next to ours, in a mesh of ten or twenty mm.
        carried = [number for number in range(len(away)) if name != "ibug68" or number not in KNOWN]
        assert away[carried].mean() < 1.0
    for name in ("face", "lips"):
        assert (head.regions[name][:count] == toy.regions[name]).mean() > 0.95
    row = head.expression_names.index("jawOpen")
    np.testing.assert_allclose(head.expression_basis[row, :count], toy.expression_basis[row], atol=0.8)
    np.testing.assert_allclose(head.albedo_basis[0, :count], toy.albedo_basis[0], atol=0.01)
    told = " ".join(notes)
    assert "10 of the 68 are the model's own" in told
    assert "its 52 expressions, since the model has none" in told
    assert "the albedo, which the model does not have" in told


def test_what_a_model_has_is_left_alone() -> None:
    given = foreign()
    eyes = given.assets.vertices_mm[:, 1] > 0.0
    colours = np.full_like(given.assets.vertices_mm, 0.3)
    own = replace(given.assets, regions={"eyes": eyes}, albedo_mean=colours)
    head, notes = completed(replace(given, assets=own, lacks=("expressions",)), toy_head())
    np.testing.assert_array_equal(head.regions["eyes"], eyes)
    np.testing.assert_array_equal(head.albedo_mean, colours)
    assert not (head.regions["face"] & eyes).any()
    assert "teeth" not in head.regions
    assert "albedo" not in " ".join(notes)


def test_the_result_is_a_head_that_the_model_takes() -> None:
    head, _ = completed(foreign(), toy_head())
    model = MorphableModel(head)
    assert model.expression_count == 52
    assert model.landmarks(model.mean_mm[None], "mediapipe478").shape == (1, 478, 3)


def test_a_model_without_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="0 landmarks known"):
        completed(replace(foreign(), known_points={}), toy_head())
