"""ICT-FaceKit on its own topology as a head for use."""

from pathlib import Path

import numpy as np
import pytest

from model.face.parts import PART_NAMES, tiles
from model.face.readers.ict import PARTS, read_ict_facekit
from model.face.readers.ict_head import read_ict_head

SOURCE = Path(__file__).parents[4] / "shared" / "data" / "ict-facekit" / "ict_facekit_light.npz"


@pytest.mark.slow
@pytest.mark.skipif(not SOURCE.is_file(), reason="shared/data/ict-facekit is missing")
def test_vertices_stay_and_parts_get_tiles_and_regions_by_our_names() -> None:
    source, read = read_ict_facekit(SOURCE), read_ict_head(SOURCE)
    head = read.assets
    np.testing.assert_array_equal(head.vertices_mm, source.vertices_mm)
    np.testing.assert_array_equal(head.faces, source.faces)
    tile = tiles(head.uv[head.uv_faces])
    for name, ours in (("face", "skin"), ("head", "skin"), ("gums", "mouth"), ("teeth", "teeth"),
                       ("left_eye_outer", "eyes"), ("mouth_socket", "mouth")):  # fmt: skip
        start, end = PARTS[name]
        inside = ((head.faces >= start) & (head.faces < end)).all(1)
        assert (tile[inside] == PART_NAMES.index(ours)).mean() > 0.99, name
    # The four shells of the eyes do not lie over one another any more.
    quarters = set()
    for name in ("left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner"):
        start, end = PARTS[name]
        inside = ((head.faces >= start) & (head.faces < end)).all(1)
        middle = head.uv[head.uv_faces[inside]].reshape(-1, 2).mean(0) - (1.0, 0.0)
        quarters.add((bool(middle[0] > 0.5), bool(middle[1] > 0.5)))
    assert len(quarters) == 4
    assert not (head.regions["skin"] & head.regions["eyes"]).any()
    assert read.lacks == ("albedo",)


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vertex_indices\.json"):
        read_ict_head(tmp_path)
