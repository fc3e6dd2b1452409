"""The parts of a head agree with each other."""

from dataclasses import replace

import numpy as np

from model.look.atlas import build_atlas
from model.look.head_look import head_look
from model.look.sampling import linear_of
from tests.small_gallery import toy_face, toy_hair
from tests.small_world import toy_reconstructor

RECONSTRUCTOR = toy_reconstructor()
HEAD = RECONSTRUCTOR.morphable_model
FACE = toy_face(RECONSTRUCTOR)
PHOTOGRAPH = np.full((240, 200, 3), (180, 130, 110), np.uint8)


def test_a_mask_without_skin_leaves_nothing_of_the_photograph() -> None:
    atlases = (build_atlas(HEAD, 64),)
    whole = head_look(FACE, PHOTOGRAPH, HEAD, atlases, None, hair=toy_hair(np.ones(PHOTOGRAPH.shape[:2], np.float32)))
    none = head_look(FACE, PHOTOGRAPH, HEAD, atlases, None, hair=toy_hair(np.zeros(PHOTOGRAPH.shape[:2], np.float32)))
    assert (whole.skin.source[..., 0] > 200).any()
    assert none.skin.source[..., 0].max() == 0
    assert none.skin.source[..., 1].max() == 0


def test_hair_is_as_bright_beside_the_skin_whatever_the_network_says_of_the_light() -> None:
    atlases = (build_atlas(HEAD, 64),)
    mask = np.ones(PHOTOGRAPH.shape[:2], np.float32)
    shares = []
    for brightness in (0.8, 1.25):
        result = replace(FACE, lighting=brightness * FACE.lighting)
        look = head_look(result, PHOTOGRAPH, HEAD, atlases, None, hair=toy_hair(mask))
        assert look.hair is not None
        # What `draw_hair` would have taken out of the same photograph.
        albedo = linear_of(look.hair.texture.albedo_srgb).mean() / brightness
        shares.append(albedo / linear_of(look.skin.albedo_srgb).mean())
    np.testing.assert_allclose(shares[0], shares[1], rtol=0.1)
    assert head_look(FACE, PHOTOGRAPH, HEAD, atlases, None).hair is None
