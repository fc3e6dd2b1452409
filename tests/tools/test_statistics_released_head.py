"""What the statistics tools promise of the released head: symmetric landmarks and a plausible, symmetric albedo."""

from functools import cache

import numpy as np
import pytest

from common.paths import DEFAULT_HEAD
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from model.face.assets import HeadAssets, load_head
from tools.statistics.surface import SurfacePoints

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEFAULT_HEAD.is_file(), reason="the released head is not in this checkout"),
]


@cache
def released() -> HeadAssets:
    return load_head(DEFAULT_HEAD)


def points(name: str) -> np.ndarray:
    head = released()
    stored = head.landmarks[name]
    return SurfacePoints(stored.face, stored.barycentric).evaluate(head.vertices_mm, head.faces)


@pytest.mark.parametrize(
    ("name", "mirror"), [("ibug68", IBUG68_MIRROR), ("mediapipe478", MEDIAPIPE478_MIRROR)], ids=["ibug68", "mediapipe"]
)
def test_landmarks_are_mirror_symmetric(name: str, mirror: np.ndarray) -> None:
    found = points(name)
    assert len(found) == len(mirror)
    np.testing.assert_allclose(found[mirror] * (-1.0, 1.0, 1.0), found, atol=0.05)


def test_irises_lie_on_the_eyeballs_and_the_jaw_on_skin() -> None:
    head = released()
    for name, rows, region in (("mediapipe478", np.arange(468, 478), "eyes"), ("ibug68", np.arange(17), "skin")):
        corners = head.faces[head.landmarks[name].face[rows]]
        assert head.regions[region][corners].all()


def test_albedo_is_a_colour_and_symmetric() -> None:
    head = released()
    assert head.albedo_mean.min() >= 0.0
    assert head.albedo_mean.max() <= 1.0
    assert len(head.albedo_basis) >= 40
    np.testing.assert_allclose(head.albedo_mean[head.mirror], head.albedo_mean, atol=1e-3)
    np.testing.assert_allclose(head.albedo_basis[:, head.mirror], head.albedo_basis, atol=1e-3)


def test_first_component_spans_dark_and_light_skin() -> None:
    head = released()
    face = head.regions["face"]
    dark, light = (((head.albedo_mean + sign * head.albedo_basis[0])[face].mean(0) @ LUMINANCE) for sign in (-2.0, 2.0))
    dark, light = min(dark, light), max(dark, light)
    assert 0.02 < dark < 0.15
    assert 0.4 < light < 0.8
    scalp = head.regions["scalp"]
    assert np.sign(head.albedo_basis[0, scalp].mean()) == np.sign(head.albedo_basis[0, face].mean())
