"""Caricatures: along a person's own difference, as far as asked, and no farther than the skin does not cut itself."""

import numpy as np
import pytest
import torch

from model.geometry.self_intersection import intersecting_pairs
from model.look.caricature import exaggerated, mean_person_mm, region_weights, skin_triangles
from tests.released_face import MISSING, REASON, released_model

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)


def person(seed: int, spread: float = 0.4) -> np.ndarray:
    model = released_model()
    noise = torch.randn((1, model.identity_count), generator=torch.Generator().manual_seed(seed))
    return model.neutral_mm(model.identity_center[None] + spread * noise)[0].numpy()


def test_factors_go_along_the_difference_from_the_mean_person() -> None:
    model, rest = released_model(), person(1)
    difference = rest - mean_person_mm(rest, model)
    assert np.linalg.norm(difference, axis=1).max() > 3.0
    skin = model.region("skin").numpy()
    for factor in (0.0, 0.5, 1.6):
        found = exaggerated(rest, model, factor)
        assert found.held_back == 0.0
        np.testing.assert_allclose(found.rest_mm[skin], (rest + (factor - 1.0) * difference)[skin], atol=1e-3)
    np.testing.assert_allclose(
        exaggerated(rest, model, 0.0).rest_mm[skin], mean_person_mm(rest, model)[skin], atol=1e-3
    )


def test_the_mean_person_has_nothing_to_exaggerate_at_any_size() -> None:
    model = released_model()
    mean = 1.1 * model.neutral_mm(model.identity_center[None])[0].numpy() + np.float32([3.0, -2.0, 5.0])
    assert np.abs(exaggerated(mean, model, 2.0).rest_mm - mean).max() < 0.01


def test_a_region_has_a_factor_of_its_own_that_fades_out() -> None:
    model, rest = released_model(), person(2)
    found = exaggerated(rest, model, 1.2, {"nose": 2.0})
    nose, scalp = model.region("nose").numpy(), model.region("scalp").numpy()
    np.testing.assert_allclose(found.asked[nose], 2.0, atol=1e-3)
    np.testing.assert_allclose(found.asked[scalp], 1.2, atol=1e-3)
    for eye in ("left_eye", "right_eye"):
        assert np.ptp(found.asked[model.region(eye).numpy()]) < 1e-6
    faces = model.faces.numpy().astype(int)
    assert np.abs(found.asked[faces[:, 0]] - found.asked[faces[:, 1]]).max() < 0.5
    assert set(region_weights(model)) == {"nose", "mouth", "eyes", "ears", "skull", "neck"}


def test_skin_that_would_cut_itself_is_held_back_there_alone() -> None:
    model = released_model()
    mean = model.neutral_mm(model.identity_center[None])[0].numpy()
    # A fold behind the ear that a factor of 3 turns inside out: nostrils drawn narrow do the same.
    rest = mean.copy()
    nose = model.region("nose").numpy()
    side = np.where(nose & (mean[:, 2] < 40.0), np.sign(mean[:, 0]), 0.0)
    rest[:, 0] -= 1.6 * side
    faces = skin_triangles(model)
    difference = rest - mean_person_mm(rest, model)
    before = {tuple(pair) for pair in intersecting_pairs(rest, faces).tolist()}
    plain = {tuple(pair) for pair in intersecting_pairs(rest + 2.0 * difference, faces).tolist()}
    assert plain - before
    found = exaggerated(rest, model, 3.0)
    after = {tuple(pair) for pair in intersecting_pairs(found.rest_mm, faces).tolist()}
    assert not after - before
    assert 0.0 < found.held_back < 0.6
    assert found.factors[model.region("scalp").numpy()].min() > 2.5


@pytest.mark.parametrize(
    ("factor", "regions", "said"),
    [(3.5, {}, "factor 3.5"), (1.5, {"nose": -1.0}, "nose -1"), (1.5, {"chin": 2.0}, "ears")],
)
def test_what_cannot_be_meant_is_refused(factor: float, regions: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        exaggerated(person(1), released_model(), factor, regions)
