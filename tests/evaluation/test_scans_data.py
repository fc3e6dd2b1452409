from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.now_files import write_now_files
from evaluation.scan_alignment import NOW_LANDMARKS
from evaluation.scans_data import (
    AnsweredHead,
    ScanPicture,
    named_skin_faces,
    prediction_path,
    read_prediction,
    read_scans,
)
from tests.evaluation.small_scans import toy_arrays, write_scans
from tests.small_world import toy_reconstructor

BLANK = np.zeros((8, 8, 3), np.uint8)
MODEL = toy_reconstructor().morphable_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scans(tmp_path / "scans", {"toy_-75": BLANK, "toy_0": BLANK, "toy_40": BLANK})


@pytest.fixture
def picture(folder: Path) -> ScanPicture:
    return read_scans(folder)[1][0]


def rewrite(folder: Path, **changes: np.ndarray | None) -> None:
    arrays = {name: value for name, value in (toy_arrays() | changes).items() if value is not None}
    np.savez(folder / "heads" / "toy.npz", **arrays)


def test_heads_and_pictures_are_read_in_order(folder: Path) -> None:
    (head,), pictures = read_scans(folder)
    assert head.name == "toy"
    assert [picture.name for picture in pictures] == ["toy_0", "toy_40", "toy_-75"]
    assert all(picture.head is head for picture in pictures)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "heads").rename(folder / "hats"), "heads: no such folder"),
        (lambda folder: (folder / "photos").rename(folder / "prints"), "photos: no such folder"),
        (lambda folder: (folder / "heads" / "toy.npz").rename(folder / "toy.npz"), "holds no head file"),
        (lambda folder: [path.unlink() for path in (folder / "photos").iterdir()], "holds no picture"),
        (lambda folder: (folder / "photos" / "toy_0.png").rename(folder / "photos" / "her_0.png"), "her.npz: missing"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(folder)
    with pytest.raises(FileNotFoundError, match=said):
        read_scans(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": None}, "toy.npz: profile missing"),
        ({"points": None, "fit_identity": None}, "points, fit_identity missing"),
        ({"points": np.zeros((5, 2))}, "points has shape"),
        ({"points": np.zeros((5, 3))}, "10 scored points"),
        ({"landmarks7": np.zeros((68, 3))}, "68 rows"),
        ({"landmarks7": np.full((7, 3), np.nan)}, "not finite"),
        ({"profile": np.ones((9, 3))}, "plane x = 0"),
        ({"points": np.array([["a", "b", "c"]] * 20)}, "points has shape"),
        ({"points": np.array([[None, None, None]] * 20)}, "cannot be read"),
    ],
)
def test_a_head_file_that_is_wrong_is_named_with_what_is_wrong(folder: Path, changes: dict, said: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=said) as refused:
        read_scans(folder)
    assert "toy.npz" in str(refused.value)


def test_a_head_file_that_is_none_is_named(folder: Path) -> None:
    for content in (b"no archive", b"", (folder / "heads" / "toy.npz").read_bytes()[:3000]):
        (folder / "heads" / "toy.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"toy\.npz: cannot be read"):
            read_scans(folder)


def prediction(shuffle: bool) -> dict[str, np.ndarray]:
    """A head with an expression, as infer.py writes it, or with its vertices in another order."""
    posed_mm = MODEL.vertices_mm(
        MODEL.mean_mm.new_full((1, MODEL.identity_count), 0.5), MODEL.mean_mm.new_full((1, MODEL.expression_count), 0.3)
    )
    neutral_mm = MODEL.vertices_mm(
        MODEL.mean_mm.new_full((1, MODEL.identity_count), 0.5), MODEL.mean_mm.new_zeros((1, MODEL.expression_count))
    )
    order = np.random.default_rng(0).permutation(len(MODEL.mean_mm)) if shuffle else np.arange(len(MODEL.mean_mm))
    return {
        "vertices": posed_mm[0].numpy()[order],
        "vertices_neutral": neutral_mm[0].numpy()[order],
        "landmarks68_model": MODEL.landmarks(posed_mm)[0].numpy(),
        "faces": np.argsort(order)[MODEL.faces.numpy()].astype(np.int32),
    }


def write_prediction(results: Path, picture: ScanPicture, arrays: dict[str, np.ndarray]) -> None:
    path = prediction_path(results, picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


@pytest.mark.parametrize("shuffle", [False, True])
def test_another_methods_mesh_may_have_any_vertices(tmp_path: Path, picture: ScanPicture, shuffle: bool) -> None:
    arrays = prediction(shuffle)
    write_prediction(tmp_path, picture, arrays)
    assert prediction_path(tmp_path, picture) == tmp_path / "toy_0.png" / "face0" / "face.npz"
    found = read_prediction(tmp_path, picture, MODEL)
    assert found is not None
    np.testing.assert_allclose(found.posed_mm, arrays["vertices"])
    np.testing.assert_allclose(found.posed_landmarks7_mm, arrays["landmarks68_model"][list(NOW_LANDMARKS)], atol=1e-4)
    expected = MODEL.landmarks(MODEL.mean_mm[None].new_tensor(prediction(False)["vertices_neutral"])[None])[0].numpy()
    np.testing.assert_allclose(found.neutral_landmarks7_mm, expected[list(NOW_LANDMARKS)], atol=1e-3)
    assert found.skin.all() == shuffle
    if not shuffle:
        assert (found.skin == named_skin_faces(MODEL)).all()


def test_a_mesh_that_is_missing_is_a_miss_and_one_that_is_wrong_is_named(tmp_path: Path, picture: ScanPicture) -> None:
    assert read_prediction(tmp_path, picture, MODEL) is None
    with pytest.raises(FileNotFoundError, match="--predictions"):
        read_prediction(tmp_path / "nowhere", picture, MODEL)
    whole = prediction(False)
    write_prediction(tmp_path, picture, {name: value for name, value in whole.items() if name != "vertices_neutral"})
    with pytest.raises(ValueError, match=r"face\.npz: vertices_neutral missing; .* as infer\.py writes them now"):
        read_prediction(tmp_path, picture, MODEL)
    write_prediction(tmp_path, picture, whole | {"faces": whole["faces"] + 9})
    with pytest.raises(ValueError, match="do not fit one another"):
        read_prediction(tmp_path, picture, MODEL)


def test_now_takes_an_obj_and_seven_landmarks(tmp_path: Path) -> None:
    arrays = prediction(False)
    answer = AnsweredHead.of_model(MODEL, arrays["vertices"], arrays["vertices_neutral"])
    write_now_files(answer, "IMG_0042", tmp_path / "now")
    assert sorted(path.name for path in (tmp_path / "now").iterdir()) == ["IMG_0042.npy", "IMG_0042.obj"]
    landmarks_mm = np.load(tmp_path / "now" / "IMG_0042.npy", allow_pickle=False)
    np.testing.assert_allclose(landmarks_mm, answer.neutral_landmarks7_mm, atol=1e-4)
    lines = [line.split() for line in (tmp_path / "now" / "IMG_0042.obj").read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    triangles = np.array([line[1:] for line in lines if line[0] == "f"], int)
    assert len(vertices) + len(triangles) == len(lines)
    np.testing.assert_allclose(vertices, arrays["vertices_neutral"], atol=1e-5)
    np.testing.assert_array_equal(triangles - 1, arrays["faces"])
