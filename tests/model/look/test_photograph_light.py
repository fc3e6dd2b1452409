"""Photographs of which light and skin are known, at the vertices of the toy head."""

import numpy as np
import pytest
import torch

from model.geometry.mesh import vertex_normals
from model.look.completion import graph_laplacian
from model.look.photograph_light import PhotographLight, TracedSkin, photograph_light, without_gloss
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor

RECONSTRUCTOR = toy_reconstructor()
HEAD = RECONSTRUCTOR.morphable_model
FACE = toy_face(RECONSTRUCTOR)
NORMALS = vertex_normals(torch.from_numpy(FACE.vertices_camera_mm)[None], HEAD.faces)[0].numpy()
SEEN = np.clip(2.0 * NORMALS[:, 2], 0.0, 1.0).astype(np.float32)
SKIN = FACE.albedo_components_linear
GLOSS = 0.035
"""What skin reflects off its surface under light from everywhere."""


def lamp(x: float, y: float, z: float, ambient: float = 0.25) -> np.ndarray:
    towards = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    return (ambient + np.clip(NORMALS @ towards, 0.0, None))[:, None].astype(np.float32)


def find(observed: np.ndarray, *, color: bool = True, traced: TracedSkin | None = None) -> PhotographLight:
    laplacian = graph_laplacian(FACE.faces.astype(np.int64), len(SKIN))
    return photograph_light(FACE, NORMALS, SEEN, observed.astype(np.float32), HEAD, laplacian, color, traced)


def skin_of(observed: np.ndarray, light: PhotographLight) -> np.ndarray:
    """The albedo that is found, over the true one, where the face is seen."""
    return (without_gloss(observed, light.gloss_linear) / light.shading_linear / SKIN)[SEEN > 0.5]


@pytest.mark.parametrize("towards", [(0.0, 0.2, 1.0), (1.0, 0.3, 0.5), (-1.0, 0.0, 0.4), (0.0, 1.0, 0.4)])
def test_the_skin_is_the_same_whatever_the_lamp(towards: tuple[float, float, float]) -> None:
    observed = 0.8 * (SKIN + GLOSS) * lamp(*towards)
    ratio = np.log(skin_of(observed, find(observed)))
    # The tone is not told by one photograph, but it is one factor.
    assert abs(float(ratio.mean())) < 0.6
    assert ratio.std() < 0.25
    # The light itself varies by far more.
    assert np.log(lamp(*towards)[SEEN > 0.5]).std() > 1.5 * ratio.std()


def test_warm_light_makes_no_warm_skin() -> None:
    tint = np.array([1.3, 1.0, 0.6])
    observed = SKIN * lamp(0.3, 0.3, 1.0) * tint
    ratio = skin_of(observed, find(observed))
    np.testing.assert_allclose(ratio.mean(0) / ratio.mean(), 1.0, atol=0.15)


def test_a_small_mark_of_pigment_stays_in_the_skin() -> None:
    observed = SKIN * lamp(0.0, 0.3, 1.0)
    plain = find(observed)
    spot = np.argmax(SEEN * HEAD.region("face").numpy() * ~HEAD.region("lips").numpy())
    marked = observed.copy()
    marked[spot] *= (0.75, 0.55, 0.4)
    change = (marked / find(marked).shading_linear)[spot] / (observed / plain.shading_linear)[spot]
    assert change[2] < 0.7


def test_the_skin_of_a_grey_photograph_has_the_models_colour() -> None:
    grey = np.repeat((SKIN @ np.array([0.2126, 0.7152, 0.0722]))[:, None], 3, axis=1) * lamp(0.0, 0.3, 1.0)
    light = find(grey, color=False)
    found = (grey / light.shading_linear)[SEEN > 0.5]
    expected = SKIN[SEEN > 0.5]
    np.testing.assert_allclose(found[:, 0] / found[:, 1], expected[:, 0] / expected[:, 1], rtol=0.15)


def test_what_was_traced_is_taken_where_it_is_known() -> None:
    observed = SKIN * lamp(0.5, 0.3, 0.8)
    half = np.float32(0.5) * SKIN
    light = find(observed, traced=TracedSkin(half, np.ones(len(SKIN), np.float32)))
    assert np.median(skin_of(observed, light)) == pytest.approx(0.5, abs=0.1)
    unknown = find(observed, traced=TracedSkin(half, np.zeros(len(SKIN), np.float32)))
    np.testing.assert_allclose(unknown.shading_linear, find(observed).shading_linear, rtol=1e-4)


def test_a_face_of_which_nothing_is_seen_has_light_all_the_same() -> None:
    laplacian = graph_laplacian(FACE.faces.astype(np.int64), len(SKIN))
    nothing = np.zeros_like(SEEN)
    light = photograph_light(FACE, NORMALS, nothing, SKIN, HEAD, laplacian, True)
    assert np.isfinite(light.shading_linear).all()
    assert (light.shading_linear > 0.0).all()
