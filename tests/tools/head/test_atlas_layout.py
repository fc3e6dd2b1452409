"""The texture space: a tile for each part, small charts apart from one another and upright, all of it mirrored."""

from functools import cache

import numpy as np
import pytest

from model.face.parts import tiles
from tests.tools.head.half_ball import half_ball
from tests.tools.head.synthetic_half import dome, mirrored_source, overlapping_pixels, texture_areas
from tools.head import atlas_layout
from tools.head.assemble import mean_vertices, reflect, reflect_texture
from tools.head.atlas_layout import PADDING, lay_out, texture_charts
from tools.head.half_mesh import HalfMesh, left_half
from tools.head.relax import compact
from tools.head.skin_chart import SkinWishes

SMALL = {"eyes": 1, "teeth": 5, "gums": 2, "tongue": 1, "mouth_socket": 1}


def moved(piece: HalfMesh, offset_mm: tuple[float, float, float], tile: float, size: float, *, over: bool) -> HalfMesh:
    """A small part off the mid-line, in its own place of the texture, turned over there if asked."""
    uv = (piece.uv - 0.5) * (-size if over else size, size) + (tile + 0.5, 0.5)
    points = size * piece.vertices_mm + offset_mm
    return HalfMesh(piece.source, points, np.zeros(len(points), bool), piece.faces, uv, piece.uv_faces)


@cache
def scene() -> tuple[HalfMesh, dict[str, np.ndarray]]:
    """A skin and small parts, a few of them mirrored in the texture."""
    vertices, middle, faces = half_ball()
    uv = 0.5 + vertices[:, :2] / 400.0
    pieces, small, names = (
        [HalfMesh(np.arange(len(vertices)), vertices, middle, faces, uv, faces)],
        dome(4, 5),
        ["face"],
    )
    for part, count in SMALL.items():
        for copy in range(count):
            number = len(pieces)
            place = (20.0, 10.0 * number, -20.0)
            pieces.append(moved(small, place, number, 0.1 + 0.05 * copy, over=number % 2 == 0))
            names.append(part)
    sizes, textures = [len(piece.vertices_mm) for piece in pieces], [len(piece.uv) for piece in pieces]
    starts, uv_starts = np.cumsum([0, *sizes[:-1]]), np.cumsum([0, *textures[:-1]])
    mesh = HalfMesh(
        np.arange(sum(sizes)),
        np.concatenate([piece.vertices_mm for piece in pieces]),
        np.concatenate([piece.middle for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)]),
        np.concatenate([piece.uv for piece in pieces]),
        np.concatenate([piece.uv_faces + start for piece, start in zip(pieces, uv_starts, strict=True)]),
    )
    of = np.repeat(names, sizes)
    return mesh, {name: of == name for name in dict.fromkeys(names)}


@cache
def atlas() -> tuple[np.ndarray, np.ndarray]:
    mesh, parts = scene()
    even = np.ones(len(mesh.vertices_mm))
    wishes = SkinWishes(even, even)
    return lay_out(mesh.vertices_mm, mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces, parts, wishes)


@cache
def tile_of_face() -> np.ndarray:
    uv, uv_faces = atlas()
    return tiles(uv[uv_faces])


def test_charts_are_the_connected_pieces_of_the_texture() -> None:
    mesh, _ = scene()
    charts = texture_charts(mesh.uv_faces, len(mesh.uv))
    assert len(charts) == 1 + sum(SMALL.values())
    np.testing.assert_array_equal(np.sort(np.concatenate(charts)), np.arange(len(mesh.faces)))
    cut = dome(seam_at=8)
    assert len(texture_charts(cut.uv_faces, len(cut.uv))) == 2


def test_each_part_lies_in_its_tile() -> None:
    mesh, parts = scene()
    uv, uv_faces = atlas()
    np.testing.assert_array_equal(np.unique(uv_faces), np.arange(len(uv)))
    for part, tile in {"face": 0, "eyes": 1, "gums": 2, "mouth_socket": 2, "teeth": 3, "tongue": 4}.items():
        own = uv[uv_faces[parts[part][mesh.faces].all(1)]] - (tile, 0.0)
        assert own[..., 0].min() >= 0.5
        assert own.max() <= 1.0
        assert own.min() >= 0.0


def test_small_charts_are_counter_clockwise_and_keep_their_shape() -> None:
    mesh, parts = scene()
    areas = texture_areas(*atlas())
    assert areas.min() > 0.0
    before = np.abs(texture_areas(mesh.uv, mesh.uv_faces))
    for part in SMALL:
        for chart in texture_charts(mesh.uv_faces, len(mesh.uv)):
            if parts[part][mesh.faces[chart]].all():
                ratio = areas[chart] / before[chart]
                np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_charts_keep_their_distance() -> None:
    uv, uv_faces = atlas()
    boxes = []
    for chart in texture_charts(uv_faces, len(uv)):
        if tile_of_face()[chart[0]] > 0:
            points = uv[np.unique(uv_faces[chart])]
            boxes.append((points.min(0) - 0.49 * PADDING, points.max(0) + 0.49 * PADDING))
    assert len(boxes) == sum(SMALL.values())
    for row, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:row]:
            assert ((high < other_low) | (low > other_high)).any()


def test_the_reflection_is_exact_and_nothing_overlaps() -> None:
    mesh, _ = scene()
    uv, uv_faces = reflect_texture(*atlas())
    half_count = len(mesh.faces)
    left, right = uv[uv_faces[:half_count]], uv[uv_faces[half_count:]]
    turned = left[:, [0, 2, 1]] * (-1.0, 1.0)
    turned[..., 0] += 1.0 + 2.0 * tile_of_face()[:, None]
    np.testing.assert_allclose(turned, right, atol=1e-6)
    np.testing.assert_array_equal(tiles(right), tile_of_face())
    # The halves share the face's mid-line.
    assert len(uv) == 2 * len(atlas()[0]) - (atlas()[0][:, 0] == 0.5).sum()
    for tile in range(5):
        own = np.concatenate((tile_of_face(), tile_of_face())) == tile
        assert overlapping_pixels(uv - np.float32([tile, 0.0]), uv_faces[own], 512) == 0


def test_the_head_is_reflected_with_its_vertices() -> None:
    mesh, _ = scene()
    source = mirrored_source(mesh)
    half = left_half(source)
    np.testing.assert_array_equal(half.source, np.arange(len(mesh.vertices_mm)))
    sampled, _ = compact(mesh, mesh.faces, mesh.uv_faces)
    head = reflect(sampled, half, source)
    half_count = len(head.faces) // 2
    left, right = head.faces[:half_count], head.faces[half_count:]
    np.testing.assert_array_equal(head.mirror[left][:, [0, 2, 1]], right)
    np.testing.assert_array_equal(head.mirror[head.mirror], np.arange(len(head.mirror)))
    vertices = mean_vertices(sampled, half)
    np.testing.assert_array_equal(vertices[head.mirror] * np.array((-1.0, 1.0, 1.0), np.float32), vertices)
    assert len(vertices) == 2 * len(sampled.corners) - sampled.middle.sum()


def test_charts_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, parts = scene()
    monkeypatch.setattr(atlas_layout, "PADDING", 0.6)
    even = np.ones(len(mesh.vertices_mm))
    wishes = SkinWishes(even, even)
    with pytest.raises(ValueError, match="do not fit"):
        lay_out(mesh.vertices_mm, mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces, parts, wishes)
