from dataclasses import replace

import torch

from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region, facial_skin, triangles_of, whole_face
from tests.small_world import toy_head

HEAD = MorphableModel(toy_head())
BARE = MorphableModel(replace(toy_head(), regions={}))


def test_regions_add_up_and_what_a_head_lacks_is_nowhere() -> None:
    assert torch.equal(any_region(HEAD, "face", "eyes"), HEAD.region("face") | HEAD.region("eyes"))
    assert torch.equal(any_region(HEAD, "eyes", "antlers"), HEAD.region("eyes"))
    assert not any_region(HEAD).any()
    assert not any_region(BARE, *NO_SKIN).any()


def test_facial_skin_is_the_face_without_its_openings() -> None:
    skin = facial_skin(HEAD)
    assert skin.any()
    assert not (skin & ~HEAD.region("face")).any()
    assert not (skin & any_region(HEAD, *NO_SKIN)).any()
    name = next(name for name in HEAD.region_names if (skin & HEAD.region(name)).any())
    assert torch.equal(facial_skin(HEAD, name), skin & ~HEAD.region(name))


def test_a_head_without_regions_is_all_face() -> None:
    assert whole_face(BARE).all()
    assert facial_skin(BARE).all()


def test_a_triangle_belongs_where_all_its_corners_do() -> None:
    vertices = torch.ones(len(HEAD.mean_mm), dtype=torch.bool)
    assert triangles_of(HEAD, vertices).all()
    vertices[HEAD.faces[0, 0]] = False
    assert not triangles_of(HEAD, vertices)[0]
    assert int((~triangles_of(HEAD, vertices)).sum()) == int((HEAD.faces == HEAD.faces[0, 0]).any(1).sum())
