import numpy as np
import pytest
import torch

from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas, build_atlas
from model.look.fine_normals import FineRelief, fine_relief
from tests.small_world import toy_head

SIDE = 512


@pytest.fixture(scope="module")
def head() -> tuple[MorphableModel, Atlas]:
    model = MorphableModel(toy_head())
    return model, build_atlas(model, SIDE)


def relief(
    head: tuple[MorphableModel, Atlas], marks: np.ndarray, slope: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> FineRelief:
    """Of skin whose channels are darkened by marks."""
    model, atlas = head
    everywhere = np.ones(len(model.mean_mm), np.float32)
    skin = (np.array([0.5, 0.3, 0.2]) * marks).astype(np.float32)
    vertices = model.mean_mm.numpy()
    slopes = np.tile(np.array(slope, np.float32), (len(vertices), 1))
    return fine_relief(skin, vertices, slopes, everywhere, everywhere, atlas)


def bars() -> np.ndarray:
    """Dark stripes of four texels, sixteen apart, along u."""
    stripe = 1.0 - 0.12 * ((np.arange(SIDE) % 16) < 4)
    return np.tile(stripe[None, :, None], (SIDE, 1, 1))


def test_even_skin_has_no_relief(head: tuple[MorphableModel, Atlas]) -> None:
    found = relief(head, np.ones((SIDE, SIDE, 1)))
    assert np.abs(found.normal_xy).max() < 1e-3
    assert np.abs(found.shade_log).max() < 1e-3


def test_dark_stripes_are_furrows_whose_walls_face_each_other(head: tuple[MorphableModel, Atlas]) -> None:
    found = relief(head, bars())
    middle = head[1].covered & (np.abs(found.shade_log) > 0.0)
    assert middle.any()
    walls = found.normal_xy[..., 0]
    # Into the furrow, on its left wall, the normal leans to the right, and the other way round.
    left, right = walls[:, 15::16][:, :-1], walls[:, 4::16][:, :-1]
    assert np.median(left[np.abs(left) > 0.005]) > 0.0
    assert np.median(right[np.abs(right) > 0.005]) < 0.0
    assert np.abs(found.normal_xy).max() <= 0.5


def test_what_changes_colour_is_pigment_and_no_relief(head: tuple[MorphableModel, Atlas]) -> None:
    grey = bars()
    reddish = np.concatenate((grey**0.2, grey, grey), axis=2)
    as_shade, as_pigment = relief(head, grey), relief(head, reddish)
    assert np.abs(as_pigment.shade_log).mean() < 0.1 * np.abs(as_shade.shade_log).mean()


def test_light_from_aside_reads_slopes_instead_of_depths(head: tuple[MorphableModel, Atlas]) -> None:
    aside = relief(head, bars(), slope=(1.5, 0.0, 0.0))
    dark = aside.shade_log < -0.01
    facing = torch.from_numpy(head[1].coarse(head[0].mean_mm.numpy(), SIDE)[..., 2]) > 60.0
    inner = dark & facing.numpy()
    assert inner.any()
    # Dark is turned away from the light, all across the stripe.
    assert np.mean(aside.normal_xy[..., 0][inner] < 0.0) > 0.9
