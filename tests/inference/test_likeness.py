"""The way from Python: the heads that infer.py makes, from whatever a photograph is given as."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import infer
from data.image_io import UnreadableImageError
from inference.likeness import Likeness, find_device
from tests.small_checkpoint import any_checkpoint, toy_checkpoint

ASTRONAUT = skimage.data.astronaut()


def two_faces() -> np.ndarray:
    """The astronaut twice, the larger one to the right."""
    small = np.asarray(Image.fromarray(ASTRONAUT).resize((400, 400)))
    padded = np.pad(small, ((0, 112), (0, 0), (0, 0)), mode="edge")
    return np.concatenate((padded, ASTRONAUT), axis=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return any_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def likeness(checkpoint: Path) -> Likeness:
    return Likeness.load(checkpoint, "cpu")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_saved_head_is_what_infer_writes_to_the_byte(likeness: Likeness, checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(two_faces()).save(tmp_path / "two.png")
    options = ["--images", str(tmp_path / "two.png"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    assert infer.main([*options, "--output", str(tmp_path / "out")]) == 0
    heads = likeness.reconstruct(tmp_path / "two.png")
    assert len(heads) == 2
    assert heads[0].detection.area_px > heads[1].detection.area_px
    for index, head in enumerate(heads):
        head.save(tmp_path / "saved" / str(index))
        written, saved = (
            contents(folder) for folder in (tmp_path / f"out/two.png/face{index}", tmp_path / f"saved/{index}")
        )
        assert {"face.npz", "mesh.glb", "mesh.obj", "texture.png", "overlay.jpg"} <= saved.keys()
        assert {name for name in saved if saved[name] != written.get(name)} == set()
        assert saved.keys() == written.keys()


@pytest.mark.slow
def test_a_refined_head_is_what_infer_writes(likeness: Likeness, checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(ASTRONAUT).save(tmp_path / "a.png")
    options = ["--images", str(tmp_path / "a.png"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    wanted = ["--refine", "landmarks", "--formats", "npz", "pictures"]
    assert infer.main([*options, *wanted, "--output", str(tmp_path / "out")]) == 0
    (head,) = likeness.reconstruct(tmp_path / "a.png", refine="landmarks")
    assert head.refined is not None
    assert [record.name for record in head.refined.records] == ["landmarks"]
    head.save(tmp_path / "saved", ["npz", "pictures"])
    written, saved = contents(tmp_path / "out/a.png/face0"), contents(tmp_path / "saved")
    assert saved.keys() == written.keys()
    assert saved.keys() == {"face.npz", "refinement.json", "history.csv", "before_after.jpg"}
    # It also says how many seconds it took.
    assert {name for name in saved if saved[name] != written[name]} <= {"refinement.json"}
    (plain,) = likeness.reconstruct(tmp_path / "a.png")
    assert not torch.equal(plain.parameters.expression, head.parameters.expression)


@pytest.mark.slow
def test_path_picture_and_pixels_are_the_same_photograph(likeness: Likeness, tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(ASTRONAUT))).save(path, exif=exif)
    given = [path, str(path), Image.open(path), Image.fromarray(ASTRONAUT), ASTRONAUT, ASTRONAUT[:, ::-1][:, ::-1]]
    answers = [likeness.reconstruct(photograph) for photograph in given]
    for heads in answers:
        assert len(heads) == 1
        np.testing.assert_array_equal(heads[0].result.vertices_mm, answers[0][0].result.vertices_mm)


@pytest.mark.slow
def test_a_head_has_what_is_known_of_a_face_in_its_photographs_pixels(likeness: Likeness, tmp_path: Path) -> None:
    (head,) = likeness.reconstruct(two_faces(), largest_face=True)
    assert (head.camera.width_px, head.camera.height_px) == (912, 512)
    left, _, right, _ = head.detection.box_px
    assert 400 < left < right
    camera = head.camera.intrinsics_px
    x, y, z = head.mesh.vertices_camera_mm[0].double().numpy().T
    seen_px = np.stack((camera[0, 0] * x / -z + camera[0, 2], camera[1, 2] - camera[1, 1] * y / -z), axis=1)
    np.testing.assert_allclose(head.result.vertices_image[:, :2], seen_px, atol=0.01)
    inside = (head.landmarks68_px > (left - 30.0, 0.0)) & (head.landmarks68_px < (right + 30.0, 512.0))
    assert inside.all()
    assert head.parameters.expression.shape == (1, len(head.result.expression_names))
    assert head.appearance is None
    head.save(tmp_path, ["obj"])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "texture.png")), head.texture.image_srgb)
    assert repr(head).startswith(f"Head(box_px=({left:.0f}, ")


@pytest.mark.slow
def test_the_camera_that_a_script_knows_is_used(likeness: Likeness, tmp_path: Path) -> None:
    matrix = np.array([[1500.0, 0.0, 250.0], [0.0, 1520.0, 260.0], [0.0, 0.0, 1.0]])
    np.savetxt(tmp_path / "k.txt", matrix)
    (assumed,) = likeness.reconstruct(ASTRONAUT)
    (wide,) = likeness.reconstruct(ASTRONAUT, fov=60.0)
    (focal,) = likeness.reconstruct(ASTRONAUT, focal_px=2000.0)
    (stated,) = likeness.reconstruct(ASTRONAUT, intrinsics=matrix)
    (read,) = likeness.reconstruct(ASTRONAUT, intrinsics=tmp_path / "k.txt")
    sources = [head.camera.source for head in (assumed, wide, focal, stated, read)]
    assert sources == ["assumed", "fov", "focal_px", "intrinsics", "intrinsics"]
    np.testing.assert_allclose(stated.camera.intrinsics_px, matrix)
    np.testing.assert_array_equal(read.result.vertices_camera_mm, stated.result.vertices_camera_mm)
    # The wider the view, the nearer is a face of the same size.
    depth_mm = [-float(head.result.translation_mm[2]) for head in (wide, assumed, stated, focal)]
    assert depth_mm == sorted(depth_mm)
    assert depth_mm[0] < 0.7 * depth_mm[-1]
    with pytest.raises(ValueError, match="said once"):
        likeness.reconstruct(ASTRONAUT, fov=60.0, intrinsics=matrix)
    with pytest.raises(ValueError, match="last row"):
        likeness.reconstruct(ASTRONAUT, intrinsics=np.ones((3, 3)))


@pytest.mark.slow
def test_a_damaged_photograph_is_read_and_told(likeness: Likeness, tmp_path: Path) -> None:
    Image.fromarray(ASTRONAUT).save(tmp_path / "a.jpg", quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) * 9 // 10])
    with pytest.warns(UserWarning, match="a.jpg: the file breaks off"):
        assert len(likeness.reconstruct(tmp_path / "a.jpg")) == 1


def test_a_photograph_without_a_face_gives_no_head(likeness: Likeness) -> None:
    assert likeness.reconstruct(np.full((200, 300, 3), 90, np.uint8)) == []


@pytest.mark.slow
def test_what_the_network_takes_at_once_changes_no_more_than_rounding(likeness: Likeness) -> None:
    together, apart = (likeness.reconstruct(two_faces(), batch_size=size) for size in (16, 1))
    for one, other in zip(together, apart, strict=True):
        # Two steps of least squares carry the rounding of the points that are seen on to the vertices.
        np.testing.assert_allclose(one.result.vertices_mm, other.result.vertices_mm, atol=5e-2)


def wrong_photographs() -> Iterator[tuple[object, type[Exception], str]]:
    yield ASTRONAUT.astype(np.float32) / 255.0, ValueError, "float32: expected sRGB pixels"
    yield ASTRONAUT[..., 0], ValueError, r"\(512, 512\) and type uint8: expected"
    yield np.dstack((ASTRONAUT, ASTRONAUT[..., 0])), ValueError, r"\(512, 512, 4\)"
    yield ASTRONAUT[:0], ValueError, r"\(0, 512, 3\)"
    yield [1, 2, 3], TypeError, "not list"
    yield "nowhere.jpg", UnreadableImageError, "nowhere.jpg: cannot be opened"


@pytest.mark.parametrize(("photograph", "kind", "said"), wrong_photographs())
def test_what_is_no_photograph_is_refused(
    photograph: object, kind: type[Exception], said: str, likeness: Likeness
) -> None:
    with pytest.raises(kind, match=said):
        likeness.reconstruct(photograph)  # pyright: ignore[reportArgumentType]


def test_wrong_options_are_refused(likeness: Likeness, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        likeness.reconstruct(ASTRONAUT, batch_size=0)
    with pytest.raises(ValueError, match="landmarks.*only with --refine"):
        likeness.reconstruct(ASTRONAUT, landmarks="mediapipe")
    broken = tmp_path / "refine.yaml"
    broken.write_text("window: 3")
    with pytest.raises(ValueError, match="unknown setting window"):
        likeness.reconstruct(ASTRONAUT, refine="landmarks", refine_config=broken)
    with pytest.raises(ValueError, match="refine='all': expected"):
        likeness.reconstruct(ASTRONAUT, refine="all")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("formats", [["npz", "fbx"], "npz"])
def test_an_unknown_format_is_refused_before_anything_is_written(
    formats: list[str], likeness: Likeness, tmp_path: Path
) -> None:
    (head,) = likeness.reconstruct(ASTRONAUT)
    with pytest.raises(ValueError, match="expected a list of some of glb"):
        head.save(tmp_path / "out", formats)  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_or_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint folder"):
        Likeness.load(tmp_path)
    with pytest.raises(ValueError, match="expected auto, cpu or cuda"):
        Likeness.load(toy_checkpoint(tmp_path), "gpu")
    if not torch.cuda.is_available():
        assert find_device("auto") == torch.device("cpu")
        with pytest.raises(ValueError, match="no CUDA device"):
            find_device("cuda")
