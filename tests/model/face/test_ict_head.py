"""ICT-FaceKit on its own topology as a head for use."""

from pathlib import Path

import numpy as np
import pytest

from model.face.parts import tiles
from model.face.readers.ict import PARTS, read_ict_facekit
from model.face.readers.ict_head import read_ict_head

SOURCE = Path(__file__).parents[4] / "shared" / "data" / "ict-facekit" / "ict_facekit_light.npz"


@pytest.mark.slow
@pytest.mark.skipif(not SOURCE.is_file(), reason="shared/data/ict-facekit is missing")
def test_vertices_stay_and_parts_get_places_and_regions_by_our_names() -> None:
    source, read = read_ict_facekit(SOURCE), read_ict_head(SOURCE)
    head = read.assets
    np.testing.assert_array_equal(head.vertices_mm, source.vertices_mm)
    np.testing.assert_array_equal(head.faces, source.faces)
    assert (tiles(head.uv[head.uv_faces]) == 0).all()
    # What the source lays over one another in its texture lies apart.
    boxes = []
    for name in ("gums", "teeth", "left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner"):
        start, end = PARTS[name]
        inside = ((head.faces >= start) & (head.faces < end)).all(1)
        corners = head.uv[head.uv_faces[inside]].reshape(-1, 2)
        assert corners[:, 1].max() < 0.25, name
        boxes.append((corners[:, 0].min(), corners[:, 0].max()))
    boxes.sort()
    assert all(before[1] < after[0] for before, after in zip(boxes[:-1], boxes[1:], strict=True))
    start, end = PARTS["face"]
    face = ((head.faces >= start) & (head.faces < end)).all(1)
    assert head.uv[head.uv_faces[face], 1].min() >= 0.25
    assert not (head.regions["skin"] & head.regions["eyes"]).any()
    assert read.lacks == ("albedo",)


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vertex_indices\.json"):
        read_ict_head(tmp_path)
