"""The reader of ICT-FaceKit: what it refuses, and what it makes of the real file."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from model.face.assets import HeadAssets
from model.face.readers.ict import ORIGIN_MM, PARTS, read_ict_facekit

SOURCE = Path(__file__).parents[4] / "shared" / "data" / "ict-facekit" / "ict_facekit_light.npz"
SAMPLE = SOURCE.parent / "upstream-sample" / "FaceXModel"

needs_source = pytest.mark.skipif(not SOURCE.is_file(), reason="shared/data/ict-facekit is missing")
needs_sample = pytest.mark.skipif(
    not (SOURCE.is_file() and SAMPLE.is_dir()), reason="shared/data/ict-facekit/upstream-sample is missing"
)


@cache
def source() -> HeadAssets:
    return read_ict_facekit(SOURCE)


@cache
def raw(name: str) -> np.ndarray:
    with np.load(SOURCE, allow_pickle=False) as archive:
        return archive[name]


def sample_mm(name: str) -> np.ndarray:
    """Vertices of one of the source's own OBJ files, in its space."""
    with (SAMPLE / f"{name}.obj").open(encoding="utf-8") as file:
        rows = [line.split()[1:4] for line in file if line.startswith("v ")]
    return 10.0 * np.array(rows, np.float64)[: len(source().vertices_mm)]


def plain_arrays(vertices: int) -> dict[str, np.ndarray]:
    """A file with all the keys and next to nothing in them."""
    return {
        "neutral": np.zeros((vertices, 3), np.float32),
        "faces": np.array([[0, 1, 2, -1]], np.int32),
        "uv": np.zeros((3, 2), np.float32),
        "uv_faces": np.array([[0, 1, 2, -1]], np.int32),
        "identity": np.zeros((1, vertices, 3), np.float16),
        "expression": np.zeros((1, vertices, 3), np.float16),
        "expression_names": np.array(["jawOpen"]),
        "landmarks68": np.zeros(68, np.int32),
    }


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.npz: no such file"):
        read_ict_facekit(tmp_path / "absent.npz")


@pytest.mark.parametrize("content", [b"not an archive", b"", b"PK\x03\x04 cut short"], ids=["text", "empty", "cut"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz: not an \.npz archive"):
        read_ict_facekit(path)


def test_a_single_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "single.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"single\.npz: not an \.npz archive"):
        read_ict_facekit(path)


def test_pickled_arrays_are_not_run(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(
        path, allow_pickle=True, **plain_arrays(3) | {"expression_names": np.array([{"not": "plain"}], dtype=object)}
    )
    with pytest.raises(ValueError, match=r"pickled\.npz: not an \.npz archive of plain arrays"):
        read_ict_facekit(path)


def test_missing_keys_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "partial.npz"
    arrays = plain_arrays(3)
    del arrays["uv"], arrays["identity"]
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(ValueError, match=r"partial\.npz: .*identity, uv missing"):
        read_ict_facekit(path)


def test_too_few_vertices_are_told(tmp_path: Path) -> None:
    path = tmp_path / "small.npz"
    np.savez(path, allow_pickle=True, **plain_arrays(100))
    with pytest.raises(ValueError, match=r"small\.npz: 100 vertices, .*at least 24591"):
        read_ict_facekit(path)


@pytest.mark.slow
@needs_source
def test_the_names_are_arkits_with_the_tongue_last_and_still() -> None:
    head = source()
    assert len(set(head.expression_names)) == 52
    assert head.expression_names[-1] == "tongueOut"
    assert not head.expression_basis[-1].any()
    assert np.abs(head.expression_basis[:-1]).max((1, 2)).min() > 0.5
    for name in ("browInnerUp", "cheekPuff", "jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft"):
        assert name in head.expression_names
    assert not any("_" in name for name in head.expression_names)


@needs_source
def test_shapes_that_the_source_splits_are_joined() -> None:
    names = raw("expression_names").tolist()
    halves = [names.index(f"browInnerUp_{side}") for side in "LR"]
    joined = 10.0 * raw("expression")[halves].astype(np.float32).sum(0)[: len(source().vertices_mm)]
    np.testing.assert_allclose(
        source().expression_basis[source().expression_names.index("browInnerUp")], joined, atol=1e-4
    )


@needs_source
def test_left_is_the_subjects_left() -> None:
    head = source()
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        moved = np.linalg.norm(head.expression_basis[head.expression_names.index(f"eyeBlink{side}")], axis=1)
        assert sign * head.vertices_mm[moved.argmax(), 0] > 10.0
    assert head.vertices_mm[head.regions["left_eye_outer"], 0].min() > 0.0


@needs_source
def test_the_mirror_table_pairs_the_mean_with_its_reflection() -> None:
    head = source()
    error_mm = np.linalg.norm(head.vertices_mm[head.mirror] * (-1.0, 1.0, 1.0) - head.vertices_mm, axis=1)
    gums = head.regions["gums"]
    assert error_mm[~gums].max() < 0.06
    assert error_mm[gums].max() < 0.3
    there_and_back = head.mirror[head.mirror] == np.arange(len(head.mirror))
    assert there_and_back[~gums].all()
    # The source's gums are a little lopsided: the nearest vertex's nearest may be its neighbour.
    assert (~there_and_back[gums]).sum() <= 2


@needs_source
def test_the_landmarks_are_the_sources() -> None:
    head = source()
    stored = head.landmarks["ibug68"]
    found = np.einsum("lcx,lc->lx", head.vertices_mm[head.faces[stored.face]], stored.barycentric)
    np.testing.assert_array_equal(found, head.vertices_mm[raw("landmarks68")])


@needs_source
def test_parts_cover_the_vertices_and_triangles_stay_within_them() -> None:
    head = source()
    assert np.sum([mask for mask in head.regions.values()], axis=0).min() == 1
    assert set(head.regions) == set(PARTS)
    eyeball = head.regions["left_eye_outer"][head.faces]
    assert (eyeball.all(1) | ~eyeball.any(1)).all()
    # Quads were cut alike in space and texture, and the eyeballs have a tile of their own.
    assert head.faces.shape == head.uv_faces.shape
    eyes = np.any([head.regions[name] for name in PARTS if "_eye_" in name], axis=0)
    on_eyes = eyes[head.faces].all(1)
    assert head.uv[head.uv_faces[on_eyes], 0].min() >= 4.0
    assert head.uv[head.uv_faces[~on_eyes], 0].max() <= 4.0


@needs_source
def test_the_origin_lies_between_the_eyeballs_and_triangles_face_outwards() -> None:
    head = source()
    middle = np.mean(
        [head.vertices_mm[head.regions[f"{side}_eye_outer"]].mean(0) for side in ("left", "right")], axis=0
    )
    assert np.linalg.norm(middle) < 3.0
    eye = head.regions["left_eye_outer"]
    corners = head.vertices_mm[head.faces[eye[head.faces].all(1)]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = (normals * (corners.mean(1) - head.vertices_mm[eye].mean(0))).sum(1)
    assert (outwards > 0.0).mean() > 0.99


@needs_sample
def test_the_mean_and_two_shapes_agree_with_the_sources_own_files() -> None:
    head, neutral = source(), sample_mm("generic_neutral_mesh")
    np.testing.assert_allclose(head.vertices_mm + ORIGIN_MM, neutral, atol=1e-3)
    jaw = head.expression_basis[head.expression_names.index("jawOpen")]
    for name, shape in (("jawOpen", jaw), ("identity000", head.identity_basis[0])):
        # The archive keeps them in half precision.
        np.testing.assert_allclose(shape, sample_mm(name) - neutral, atol=0.02)
        assert np.linalg.norm(shape, axis=1).max() > 10.0
