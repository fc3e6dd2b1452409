"""The inside of the mouth: closed behind, darker to the back, teeth where and as the photograph shows them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from skimage.draw import polygon

from model.look.face_result import FaceResult
from model.look.head_look import upper_teeth
from model.look.mouth import draw_inside, photographed_teeth
from model.render.backends import build_rasterizer
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, part_atlas, released_face, released_model

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
SKIN, LIPS, IVORY, DARK = (190, 150, 130), (160, 80, 80), (215, 205, 180), (35, 15, 15)


def incisors() -> np.ndarray:
    return upper_teeth(part_atlas("teeth"), len(released_model().mirror))[1]


def smile() -> FaceResult:
    return released_face(jawOpen=0.35, mouthSmileLeft=0.7, mouthSmileRight=0.7)


def photograph(result: FaceResult, teeth_share: float) -> np.ndarray:
    """Skin, lips, and an opening that teeth fill from above by a share of its height."""
    picture = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), SKIN, np.uint8)
    outer, inner = result.landmarks68_px[48:60], result.landmarks68_px[60:68]
    cv2.fillPoly(picture, [np.rint(outer).astype(np.int32)], LIPS)
    rows, columns = polygon(inner[:, 1], inner[:, 0])
    top, bottom = inner[[1, 2, 3], 1].mean(), inner[[5, 6, 7], 1].mean()
    picture[rows, columns] = np.where((rows < top + teeth_share * (bottom - top))[:, None], IVORY, DARK)
    return picture


def test_the_open_mouth_is_closed_behind() -> None:
    result, model = released_face(jawOpen=1.0), released_model()
    image = torch.from_numpy(result.vertices_image)[None]
    fragments = build_rasterizer("cpu").rasterize(image, model.faces.int(), PHOTOGRAPH_PX, PHOTOGRAPH_PX)
    inner = result.landmarks68_px[60:68]
    rows, columns = polygon(inner[:, 1], inner[:, 0])
    shown = fragments.face_index[0].numpy()[rows, columns]
    assert len(shown) > 500
    assert (shown >= 0).all()
    corners = result.vertices_image[model.faces.numpy()[shown], :2]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # The picture's y runs down: what faces the camera is clockwise in it.
    assert ((one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) < 0.0).mean() > 0.995
    kinds = {name: model.region(name).numpy()[model.faces.numpy()[shown]].any(1).mean() for name in ("teeth", "tongue")}
    assert min(kinds.values()) > 0.02


def test_it_darkens_to_the_back() -> None:
    model, atlas = released_model(), part_atlas("mouth")
    picture = draw_inside(model, atlas, None).astype(float).mean(-1)[atlas.covered]
    depth = atlas.sample(model.mean_mm.numpy())[:, 2]
    assert picture[depth < -50.0].max() < 0.35 * picture[depth > 15.0].max()
    tongue = part_atlas("tongue")
    along = tongue.sample(model.mean_mm.numpy())[:, 2]
    picture = draw_inside(model, tongue, None).astype(float).mean(-1)[tongue.covered]
    assert picture[along > 0.0].mean() > 1.5 * picture[along < -30.0].mean()


def test_photographed_teeth_give_ours_their_colour_and_place() -> None:
    result = smile()
    half, more = (photographed_teeth(result, photograph(result, share), incisors()) for share in (0.25, 0.45))
    assert half is not None
    assert more is not None
    np.testing.assert_allclose(255.0 * half.color_srgb, IVORY, atol=4.0)
    height_px = np.ptp(result.landmarks68_px[60:68, 1])
    mm_per_px = result.vertices_image[incisors(), 2].mean() / result.intrinsics_px[1, 1]
    assert more.lower_by_mm - half.lower_by_mm == pytest.approx(0.2 * height_px * mm_per_px, abs=0.8)


def test_teeth_that_reach_the_lower_lip_hide_their_edge_behind_it() -> None:
    result = smile()
    found = photographed_teeth(result, photograph(result, 1.0), incisors())
    assert found is not None
    mm_per_px = result.vertices_image[incisors(), 2].mean() / result.intrinsics_px[1, 1]
    edge_px = result.vertices_image[incisors(), 1].mean() + found.lower_by_mm / mm_per_px
    lip_px = result.landmarks68_px[[65, 66, 67], 1].mean()
    assert edge_px > lip_px - 1.0 or found.lower_by_mm == pytest.approx(4.0)


@pytest.mark.parametrize("case", ["no teeth", "closed", "turned"])
def test_where_no_teeth_are_seen_there_are_none(case: str) -> None:
    result = released_face() if case == "closed" else smile()
    picture = photograph(result, 0.0 if case == "no teeth" else 0.6)
    if case == "turned":
        result = replace(result, yaw_pitch_roll_degrees=np.array([60.0, 0.0, 0.0], np.float32))
    assert photographed_teeth(result, picture, incisors()) is None


def test_photographed_teeth_colour_ours() -> None:
    model, atlas = released_model(), part_atlas("teeth")
    plain, yellow = (draw_inside(model, atlas, color) for color in (None, np.float32([0.8, 0.7, 0.4])))
    warmth = [np.median(picture[..., 0].astype(float) - picture[..., 2]) for picture in (plain, yellow)]
    assert warmth[1] > warmth[0] + 10.0
