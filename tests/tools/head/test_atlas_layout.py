"""The atlas: charts apart from one another, upright, the face meeting its reflection at u = 0.5 exactly."""

from functools import cache

import numpy as np
import pytest

from tests.tools.head.synthetic_half import dome, mirrored_source, overlapping_pixels, texture_areas
from tools.head import atlas_layout
from tools.head.assemble import SampledHead, mean_vertices, reflect
from tools.head.atlas_layout import PADDING, lay_out, texture_charts
from tools.head.half_mesh import HalfMesh, left_half
from tools.head.relax import SampledMesh, compact

SMALL = {"eyes": 1, "teeth": 5, "gums": 2, "tongue": 1, "mouth_socket": 1, "eye_sockets": 1}


def moved(piece: HalfMesh, offset_mm: tuple[float, float, float], tile: float, size: float, *, over: bool) -> HalfMesh:
    """A small part off the mid-line, in its own place of the texture, turned over there if asked."""
    uv = (piece.uv - 0.5) * (-size if over else size, size) + (tile + 0.5, 0.5)
    points = size * piece.vertices_mm + offset_mm
    return HalfMesh(piece.source, points, np.zeros(len(points), bool), piece.faces, uv, piece.uv_faces)


@cache
def scene() -> tuple[HalfMesh, dict[str, np.ndarray]]:
    """Face, back of the head, and small parts, a few of them mirrored in the texture."""
    sheet, small = dome(9, 11), dome(4, 5)
    back = HalfMesh(
        sheet.source,
        sheet.vertices_mm * (1.0, 1.0, -1.0) - (0.0, 0.0, 80.0),
        sheet.middle,
        sheet.faces,
        sheet.uv + (1.0, 0.0),
        sheet.uv_faces,
    )
    pieces, names = [sheet, back], ["face", "head"]
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
def atlas() -> np.ndarray:
    mesh, parts = scene()
    return lay_out(mesh.vertices_mm, mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces, parts)


@cache
def reflected() -> tuple[SampledHead, SampledMesh, HalfMesh]:
    mesh, _ = scene()
    source = mirrored_source(mesh)
    half = left_half(source)
    np.testing.assert_array_equal(half.source, np.arange(len(mesh.vertices_mm)))
    sampled, _ = compact(mesh, mesh.faces, mesh.uv_faces)
    return reflect(sampled, half, source, atlas()), sampled, half


def test_charts_are_the_connected_pieces_of_the_texture() -> None:
    mesh, _ = scene()
    charts = texture_charts(mesh.uv_faces, len(mesh.uv))
    assert len(charts) == 2 + sum(SMALL.values())
    np.testing.assert_array_equal(np.sort(np.concatenate(charts)), np.arange(len(mesh.faces)))
    cut = dome(seam_at=8)
    assert len(texture_charts(cut.uv_faces, len(cut.uv))) == 2


def test_the_left_half_fills_the_right_of_the_atlas() -> None:
    assert np.isfinite(atlas()).all()
    assert atlas()[:, 0].min() == 0.5
    assert atlas()[:, 0].max() <= 1.0
    assert atlas()[:, 1].min() >= 0.0
    assert atlas()[:, 1].max() <= 1.0


def test_the_mid_line_of_the_large_charts_is_at_one_half_exactly() -> None:
    mesh, parts = scene()
    on_middle = mesh.middle[mesh.faces]
    assert (atlas()[mesh.uv_faces[on_middle], 0] == 0.5).all()
    assert (atlas()[mesh.uv_faces[~on_middle], 0] > 0.5).all()
    assert parts["face"][mesh.faces[on_middle.any(1)]].any()


def test_all_triangles_are_counter_clockwise_and_keep_their_shape() -> None:
    mesh, parts = scene()
    areas = texture_areas(atlas(), mesh.uv_faces)
    assert areas.min() > 0.0
    before = np.abs(texture_areas(mesh.uv, mesh.uv_faces))
    for part in SMALL:
        for chart in texture_charts(mesh.uv_faces, len(mesh.uv)):
            if parts[part][mesh.faces[chart]].all():
                ratio = areas[chart] / before[chart]
                np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_charts_keep_their_distance() -> None:
    mesh, _ = scene()
    boxes = []
    for chart in texture_charts(mesh.uv_faces, len(mesh.uv))[2:]:
        points = atlas()[np.unique(mesh.uv_faces[chart])]
        boxes.append((points.min(0) - 0.49 * PADDING, points.max(0) + 0.49 * PADDING))
    for row, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:row]:
            assert ((high < other_low) | (low > other_high)).any()


def test_no_triangles_of_the_whole_atlas_overlap() -> None:
    head, _, _ = reflected()
    assert head.uv.min() >= 0.0
    assert head.uv.max() <= 1.0
    assert overlapping_pixels(head.uv, head.uv_faces, 512) == 0


def test_the_reflection_is_exact() -> None:
    head, mesh, half = reflected()
    half_count = len(head.faces) // 2
    left, right = head.faces[:half_count], head.faces[half_count:]
    np.testing.assert_array_equal(head.mirror[left][:, [0, 2, 1]], right)
    np.testing.assert_array_equal(head.mirror[head.mirror], np.arange(len(head.mirror)))
    left_uv, right_uv = head.uv[head.uv_faces[:half_count]], head.uv[head.uv_faces[half_count:]]
    np.testing.assert_allclose((1.0, 0.0) + left_uv[:, [0, 2, 1]] * (-1.0, 1.0), right_uv, atol=1e-6)
    vertices = mean_vertices(mesh, half)
    np.testing.assert_array_equal(vertices[head.mirror] * np.array((-1.0, 1.0, 1.0), np.float32), vertices)
    # The halves share the mid-line in space and in the texture.
    assert len(vertices) == 2 * len(mesh.corners) - mesh.middle.sum()
    assert len(head.uv) == 2 * len(atlas()) - (atlas()[:, 0] == 0.5).sum()


def test_charts_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, parts = scene()
    monkeypatch.setattr(atlas_layout, "PADDING", 0.2)
    with pytest.raises(ValueError, match="do not fit"):
        lay_out(mesh.vertices_mm, mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces, parts)
