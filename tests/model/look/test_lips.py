"""Closed lips touch, and an open mouth is as open as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from model.geometry.camera import project
from model.look.head_look import upper_teeth
from model.look.head_shape import HeadShape, head_shape
from model.look.lips import LipSeam
from model.render.backends import build_rasterizer
from tests.released_face import MISSING, REASON, part_atlas, released_face, released_model, released_seam
from tests.small_world import toy_head
from tools.statistics.surface import nearest_on_surface

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
TOUCH_MM, TOUCH_OF_ANYBODY_MM = 0.1, 0.2
"""How near lips come that touch: those of the mean head, and those of random people (0.16 mm at one station)."""


def shape_of(seed: int | None) -> HeadShape:
    model = released_model()
    return head_shape(released_face(seed), model, released_seam(), np.zeros(len(model.mirror), np.float32))


def slit_mm(vertices_mm: np.ndarray) -> np.ndarray:
    """Distance from the lower lip's surface at the upper lip's vertices that come nearest, across the mouth."""
    seam, faces = released_seam(), released_model().faces.numpy()
    upper, rows = vertices_mm[seam.upper], np.flatnonzero(np.isin(faces, seam.lower).any(1))
    found = nearest_on_surface(upper, vertices_mm, faces, rows)
    distance = np.linalg.norm(found.evaluate(vertices_mm, faces) - upper, axis=1)
    place = upper[:, 0]
    half = 0.75 * np.abs(place).max()
    stations = np.linspace(-half, half, 13)
    return np.array([distance[np.abs(place - station) < 0.2 * half].min() for station in stations])


def seen_in_the_mouth(vertices_mm: np.ndarray, side_px: int = 512) -> int:
    """Pixels, of a picture of the mouth from the front, that show anything but skin."""
    model = released_model()
    intrinsics = torch.tensor(
        [[[side_px * 20.0, 0.0, side_px / 2], [0.0, side_px * 20.0, side_px / 2], [0.0, 0.0, 1.0]]]
    )
    before = torch.from_numpy(vertices_mm - (0.0, -70.0, 1200.0)).float()[None]
    faces = model.faces.int()
    fragments = build_rasterizer("cpu").rasterize(project(before, intrinsics), faces, side_px, side_px)
    inside = np.zeros(len(faces), bool)
    for part in head_parts(model):
        inside[part.faces] = part.name in ("mouth", "teeth", "tongue")
    shown = fragments.face_index[0].numpy()
    return int(inside[shown[shown >= 0]].sum())


def test_the_model_alone_leaves_a_slit() -> None:
    assert slit_mm(released_face().vertices_mm).max() > 0.5


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_lips_touch_without_an_expression(seed: int | None) -> None:
    rest = shape_of(seed).rest_mm
    assert slit_mm(rest).max() < (TOUCH_MM if seed is None else TOUCH_OF_ANYBODY_MM)
    # Half a square millimetre.
    assert seen_in_the_mouth(rest) < 40


@pytest.mark.parametrize("seed", [None, 1])
def test_an_open_mouth_is_as_it_was(seed: int | None) -> None:
    shape, model = shape_of(seed), released_model()
    number = model.expression_names.index("jawOpen")
    opened = shape.rest_mm + shape.morphs_mm[number]
    expected = released_face(seed, jawOpen=1.0).vertices_mm
    seam = released_seam()
    lips = np.concatenate((seam.upper, seam.lower))
    middle = lips[np.abs(expected[lips, 0]) < 12.0]
    np.testing.assert_allclose(opened[middle], expected[middle], atol=0.05)
    assert seen_in_the_mouth(opened) > 2000


def test_only_the_mouth_moves() -> None:
    shape, plain = shape_of(None), released_face().vertices_mm
    moved = np.linalg.norm(shape.rest_mm - plain, axis=1)
    seam = released_seam()
    centre = plain[np.concatenate((seam.upper, seam.lower))].mean(0)
    assert moved.max() < 1.0
    assert moved[np.linalg.norm(plain - centre, axis=1) > 40.0].max() < 0.02


def test_lowered_teeth_are_lower_and_nothing_else_is() -> None:
    model = released_model()
    edges, _ = upper_teeth(part_atlas("teeth"), len(model.mirror))
    plain, lowered = (head_shape(released_face(), model, released_seam(), edges, by) for by in (0.0, 2.0))
    np.testing.assert_allclose((plain.rest_mm - lowered.rest_mm)[:, 1], 2.0 * edges, atol=1e-4)
    upper = model.region("teeth").numpy() & (edges > 0.0)
    assert edges[upper].max() == pytest.approx(1.0, abs=0.05)
    # The biting edges are the lowest of the upper teeth, and what stays is in the gums.
    heights = plain.rest_mm[:, 1]
    assert heights[upper & (edges > 0.8)].max() < heights[upper & (edges < 0.3)].min()
    np.testing.assert_array_equal(plain.rest_mm[edges == 0.0], lowered.rest_mm[edges == 0.0])


def test_a_head_without_a_mouth_has_no_seam() -> None:
    head = replace(toy_head(), regions={})
    assert LipSeam.of(MorphableModel(head)) is None
