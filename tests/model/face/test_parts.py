"""A head's parts are the tiles of its texture space."""

from dataclasses import replace

import numpy as np
import pytest

from model.face.assets import HeadAssets
from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from tests.small_world import toy_head


def tiled_head() -> HeadAssets:
    """The toy head with what touches its eyes in a tile of their own: it has no triangle of eyes alone."""
    head = toy_head()
    eyes = head.regions["eyes"][head.faces].any(1)
    uv_faces = head.uv_faces.copy()
    uv_faces[eyes] += len(head.uv)
    return replace(head, uv=np.concatenate((head.uv, head.uv + np.float32([1.0, 0.0]))), uv_faces=uv_faces)


def test_a_head_of_one_tile_is_all_skin() -> None:
    (skin,) = head_parts(MorphableModel(toy_head()))
    assert skin.name == "skin"
    np.testing.assert_array_equal(skin.faces, np.arange(len(toy_head().faces)))


def test_each_tile_is_a_part() -> None:
    head = tiled_head()
    skin, eyes = head_parts(MorphableModel(head))
    assert (skin.name, skin.tile, eyes.name, eyes.tile) == ("skin", 0, "eyes", 1)
    np.testing.assert_array_equal(np.sort(np.concatenate((skin.faces, eyes.faces))), np.arange(len(head.faces)))
    assert head.regions["eyes"][head.faces[eyes.faces]].any(1).all()


@pytest.mark.parametrize("offset", [(-1.0, 0.0), (5.0, 0.0), (0.0, 1.0), (0.5, 0.0)])
def test_texture_outside_the_tiles_is_refused(offset: tuple[float, float]) -> None:
    head = toy_head()
    outside = MorphableModel(replace(head, uv=head.uv + np.float32(offset)))
    with pytest.raises(ValueError, match="tiles"):
        head_parts(outside)
