from dataclasses import replace

import numpy as np
import pytest

from common.paths import DEFAULT_HEAD
from evaluation.looks import format_looks, look_of, seam_ratio
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas, build_atlas
from model.look.head_look import head_look
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor

SIDE = 256


@pytest.fixture(scope="module")
def head() -> tuple[MorphableModel, Atlas]:
    """The real head: the toy's texture is cut along its middle."""
    model = MorphableModel(load_head(DEFAULT_HEAD))
    return model, build_atlas(model, 512)


def painted(head: tuple[MorphableModel, Atlas], step: float) -> np.ndarray:
    """Grey with waves across the face, and a step along its middle."""
    model, atlas = head
    across = atlas.sample(model.mean_mm.numpy()[:, :1])[atlas.nearest]
    values = 120.0 + 20.0 * np.sin(0.7 * across) + step * np.sign(across)
    return np.rint(np.repeat(values, 3, axis=2)).clip(0, 255).astype(np.uint8)


def test_a_step_along_the_middle_shows_and_waves_that_are_everywhere_do_not(
    head: tuple[MorphableModel, Atlas],
) -> None:
    model, atlas = head
    assert seam_ratio(painted(head, 0.0), atlas, model) < 1.5
    assert seam_ratio(painted(head, 40.0), atlas, model) > 2.0 * seam_ratio(painted(head, 0.0), atlas, model)


def test_a_head_is_measured_without_a_recognition_network() -> None:
    reconstructor = toy_reconstructor()
    model, result = reconstructor.morphable_model, toy_face(reconstructor)
    atlas = build_atlas(model, SIDE)
    photograph = np.full((240, 200, 3), (200, 120, 90), np.uint8)
    head = head_look(result, photograph, model, (atlas,), None)
    look = look_of("a.jpg", result, photograph, head, (atlas,), model, None)
    assert np.isnan(look.lit_cosine)
    assert look.texture_px == SIDE
    lines = list(format_looks([("none", look), ("none", replace(look, name="b.jpg"))]))
    assert len(lines) == 4
    assert lines[-1].startswith("mean of 2")
