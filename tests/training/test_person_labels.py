import cv2
import numpy as np

from model.person.classes import BACKGROUND, HAIR, OTHER, SKIN, UNKNOWN
from tests.model.look.hair_scenes import SIDE_PX, hair_area, head_area, head_model, mean_face
from training.person_labels import ProjectedHead, label_person, whole_face

SKIN_COLOR, HAIR_COLOR, CLOTH_COLOR, WALL = (205, 160, 135), (60, 40, 30), (40, 90, 160), (150, 150, 140)


def test_a_painted_person_is_labelled_by_matte_head_and_colour() -> None:
    result, generator = mean_face(), np.random.default_rng(0)
    head, hair = head_area(result), hair_area(result)
    y, _ = np.mgrid[:SIDE_PX, :SIDE_PX]
    cloth = cv2.dilate(head.astype(np.uint8), np.ones((61, 61), np.uint8)).astype(bool) & (
        y > result.landmarks68_px[8, 1] + 30
    )
    truth = np.where(hair, HAIR, np.where(cloth, OTHER, np.where(head, SKIN, BACKGROUND)))
    colors = np.array([WALL, SKIN_COLOR, HAIR_COLOR, CLOTH_COLOR])
    picture = (colors[truth] + generator.normal(0.0, 6.0, (SIDE_PX, SIDE_PX, 3))).clip(0, 255).astype(np.uint8)
    matte = np.where(truth == BACKGROUND, 0, 255).astype(np.uint8)
    projected = ProjectedHead(result.vertices_image, result.landmarks68_px)
    label = label_person(picture, matte, projected, head_model())
    known = label != UNKNOWN
    assert known.mean() > 0.9
    for kind in (BACKGROUND, SKIN, HAIR, OTHER):
        both = ((label == kind) & (truth == kind)).sum()
        assert both / ((label == kind) | (truth == kind) & known).sum() > 0.85, kind


def test_brows_are_skin_and_a_fringe_is_not() -> None:
    points_px = mean_face().landmarks68_px
    label = np.full((SIDE_PX, SIDE_PX), SKIN, np.uint8)
    x, y = points_px[17:22].mean(0).astype(int)
    label[y - 1 : y + 4, x - 8 : x + 8] = HAIR
    label[: y - 20] = HAIR
    whole = whole_face(label, points_px)
    assert (whole[y - 1 : y + 4, x - 6 : x + 6] == SKIN).all()
    assert (whole[: y - 20] == HAIR).all()
