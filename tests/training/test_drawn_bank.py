import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from data.augment import AugmentConfig
from data.blendshapes import BLENDSHAPE_MIRROR
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from data.sample import FaceBatch
from data.synthetic import SyntheticConfig, SyntheticFace, SyntheticFaces
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.observation import Observation
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import toy_head, toy_hierarchy
from training.drawn_bank import BANK_FORMAT, DrawnBank, write_bank_file
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY, Truth, true_vertices_mm
from training.relief import Relief
from training.synthetic_geometry import PARAMETERS_KEY, SyntheticGeometry, SyntheticGeometryConfig
from training.synthetic_heads import MorphableHeadArtist, scene_parameters

pytestmark = pytest.mark.slow

SIZE, HEADS, SHA = 48, 7, "a" * 64
FLIP = torch.tensor([-1.0, 1.0, 1.0])
NOTHING = AugmentConfig(color=0.0, grey=0.0, blur=0.0, noise=0.0, compression=0.0, occlusion=0.0)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(toy_head())


@pytest.fixture(scope="module")
def relief(model: MorphableModel) -> Relief:
    return Relief(model, toy_hierarchy())


@pytest.fixture(scope="module")
def faces(model: MorphableModel, relief: Relief) -> list[SyntheticFace]:
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer()), relief)
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE))
    return [source.face(index) for index in range(HEADS)]


@pytest.fixture(scope="module")
def folder(faces: list[SyntheticFace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven heads in two files."""
    folder = tmp_path_factory.mktemp("drawn")
    write_bank_file(folder / "heads-00000.safetensors", faces[:4], SHA)
    write_bank_file(folder / "heads-00001.safetensors", faces[4:], SHA)
    return folder


def opened(
    folder: Path,
    model: MorphableModel,
    relief: Relief,
    augment: AugmentConfig = NOTHING,
    size: int = HEADS,
    seed: int = 3,
) -> DrawnBank:
    return DrawnBank(folder, size, model, relief, (SHA,), augment, seed)


def number_of(name: str) -> int:
    return int(name.rsplit("-", 1)[1])


def is_mirrored(batch: dict[str, Any], row: int, face: SyntheticFace) -> bool:
    """By the camera, whose principal point is never in the middle."""
    return abs(float(batch["intrinsics_px"][row, 0, 2]) - float(face.sample["intrinsics_px"][0, 2])) > 1e-3


def test_heads_come_back_with_all_that_is_known_of_them(
    folder: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace]
) -> None:
    bank = opened(folder, model, relief)
    assert len(bank) == HEADS
    batch = bank.batch(0)
    assert set(batch) == set(FaceBatch.__annotations__) | {VERTICES_KEY, NEUTRAL_KEY}
    Observation.from_dict(batch)
    seen = set()
    for row, name in enumerate(batch["name"]):
        face = faces[number_of(name)]
        mirrored = is_mirrored(batch, row, face)
        seen.add(mirrored)
        image, mask = batch["image_srgb"][row].numpy(), batch["skin_mask"][row].numpy()
        if mirrored:
            image, mask = image[..., ::-1], mask[:, ::-1]
        grey = not face.sample["color"]
        # A grey picture is grey by other weights than it was made with.
        np.testing.assert_allclose(image, face.sample["image_srgb"], atol=(1.5 if grey else 0.51) / 255.0)
        np.testing.assert_allclose(mask, face.sample["skin_mask"], atol=0.51 / 255.0)
        assert bool(batch["color"][row]) == face.sample["color"]
        expected = face.sample["blendshapes"]
        np.testing.assert_array_equal(
            batch["blendshapes"][row].numpy(), expected[BLENDSHAPE_MIRROR] if mirrored else expected
        )
        # Relief is stored in half precision.
        truth = Truth(face.scene.identity, face.scene.expression, face.scene.relief, mirrored)
        for key, vertices_mm in zip((VERTICES_KEY, NEUTRAL_KEY), true_vertices_mm(model, relief, [truth]), strict=True):
            torch.testing.assert_close(batch[key][row], vertices_mm[0], atol=0.01, rtol=0.0)
    assert seen == {True, False}
    for name in ("landmarks68_weight", "landmarks478_weight", "blendshapes_weight"):
        assert batch[name].tolist() == [1.0] * HEADS
    assert batch["person"].tolist() == [-1] * HEADS
    assert not batch["recognition_embedding_weight"].any()


def test_labels_lie_on_the_true_head_in_the_mirror_too(
    folder: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace]
) -> None:
    """The true vertices, posed as the scene or its mirror image, projected with the batch's camera."""
    batch = opened(folder, model, relief).batch(0)
    checked = set()
    for row, name in enumerate(batch["name"]):
        face = faces[number_of(name)]
        mirrored = is_mirrored(batch, row, face)
        parameters = scene_parameters(face.scene)
        if mirrored:
            flip = torch.diag(FLIP)
            parameters = dataclasses.replace(
                parameters, rotation=flip @ parameters.rotation @ flip, translation_mm=parameters.translation_mm * FLIP
            )
        camera_mm = parameters.to_camera(model.landmarks(batch[VERTICES_KEY][row : row + 1]))
        points_px = project(camera_mm, batch["intrinsics_px"][row : row + 1])[0, :, :2]
        torch.testing.assert_close(points_px, batch["landmarks68_px"][row, :, :2], atol=0.02, rtol=0.0)
        checked.add(mirrored)
    assert checked == {True, False}


def test_mirroring_twice_gives_the_labels_that_were_drawn(
    folder: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace]
) -> None:
    batch = opened(folder, model, relief).batch(0)
    for row, name in enumerate(batch["name"]):
        sample = faces[number_of(name)].sample
        points68, points478 = batch["landmarks68_px"][row].numpy(), batch["landmarks478_px"][row].numpy()
        camera = batch["intrinsics_px"][row].numpy().copy()
        if is_mirrored(batch, row, faces[number_of(name)]):
            points68 = points68[IBUG68_MIRROR] * (-1.0, 1.0, 1.0) + (SIZE, 0.0, 0.0)
            points478 = points478[MEDIAPIPE478_MIRROR] * (-1.0, 1.0) + (SIZE, 0.0)
            camera[0, 2] = SIZE - camera[0, 2]
        np.testing.assert_allclose(points68, sample["landmarks68_px"], atol=1e-3)
        np.testing.assert_allclose(points478, sample["landmarks478_px"], atol=1e-3)
        np.testing.assert_allclose(camera, sample["intrinsics_px"], rtol=1e-5, atol=1e-3)


def test_a_batch_is_the_same_whenever_it_is_asked_for(folder: Path, model: MorphableModel, relief: Relief) -> None:
    bank = opened(folder, model, relief, AugmentConfig(), size=3)
    first = [bank.batch(number) for number in range(4)]
    again = opened(folder, model, relief, AugmentConfig(), size=3)
    for number in (3, 0, 2):
        for key, value in again.batch(number).items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(value, first[number][key], rtol=0.0, atol=0.0, msg=key)
            else:
                assert value == first[number][key]
    other = opened(folder, model, relief, AugmentConfig(), size=3, seed=4).batch(0)
    assert not torch.equal(other["image_srgb"], first[0]["image_srgb"])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_every_head_comes_once_a_pass_and_each_time_in_another_order(
    folder: Path, model: MorphableModel, relief: Relief, size: int
) -> None:
    bank = opened(folder, model, relief, size=size)
    names = [name for number in range(3 * HEADS // size) for name in bank.batch(number)["name"]]
    passes = [tuple(names[start : start + HEADS]) for start in range(0, 3 * HEADS, HEADS)]
    assert all(len(set(one)) == HEADS for one in passes)
    assert len(set(passes)) == 3


def test_a_head_looks_different_each_time(folder: Path, model: MorphableModel, relief: Relief) -> None:
    bank = opened(folder, model, relief, dataclasses.replace(NOTHING, noise=1.0, grey=0.5))
    pictures: dict[str, list[torch.Tensor]] = {}
    for number in range(2):
        batch = bank.batch(number)
        for row, name in enumerate(batch["name"]):
            pictures.setdefault(name, []).append(batch["image_srgb"][row])
            grey = batch["image_srgb"][row]
            assert bool(batch["color"][row]) or float((grey.amax(0) - grey.amin(0)).max()) == 0.0
    assert all(not torch.equal(*twice) for twice in pictures.values())


def test_training_takes_its_heads_from_a_bank(folder: Path, model: MorphableModel, relief: Relief) -> None:
    config = SyntheticGeometryConfig(batch_size=3, bank=folder, augment=NOTHING, seed=3)
    heads = SyntheticGeometry(config, model, toy_hierarchy(), SIZE, head_sha256=(SHA,))
    batch, expected = heads.batch(1), opened(folder, model, relief, size=3).batch(1)
    assert batch["name"] == expected["name"]
    torch.testing.assert_close(batch[VERTICES_KEY], expected[VERTICES_KEY])
    assert PARAMETERS_KEY not in batch
    # A resumed run goes on with the heads that would have come.
    resumed = SyntheticGeometry(config, model, toy_hierarchy(), SIZE, head_sha256=(SHA,), first=1)
    assert next(iter(resumed))["name"] == expected["name"]
    with pytest.raises(ValueError, match="another head model"):
        SyntheticGeometry(config, model, toy_hierarchy(), SIZE, head_sha256=("b" * 64,))


def test_a_missing_or_empty_folder_says_how_to_draw(tmp_path: Path, model: MorphableModel, relief: Relief) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=r"tools\.draw_heads"):
            opened(folder, model, relief)


def test_a_bank_of_another_head_is_refused_by_file(
    tmp_path: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace]
) -> None:
    write_bank_file(tmp_path / "heads-00000.safetensors", faces[:1], SHA)
    write_bank_file(tmp_path / "heads-00001.safetensors", faces[1:2], "b" * 64)
    with pytest.raises(ValueError, match=r"heads-00001\.safetensors: was drawn with another head model"):
        opened(tmp_path, model, relief)


@pytest.mark.parametrize("content", [b"", b"no heads", None])
def test_a_broken_file_is_refused_by_name(
    tmp_path: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace], content: bytes | None
) -> None:
    path = tmp_path / "heads-00000.safetensors"
    write_bank_file(path, faces[:1], SHA)
    # None stands for one that breaks off.
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ValueError, match=r"heads-00000\.safetensors: not a safetensors file .* draw it again"):
        opened(tmp_path, model, relief)


def test_another_format_is_refused(
    tmp_path: Path, model: MorphableModel, relief: Relief, faces: list[SyntheticFace]
) -> None:
    path = tmp_path / "heads-00000.safetensors"
    write_bank_file(path, faces[:1], SHA)
    save_file(load_file(path), path, metadata={"format": "likeness-skins-1", "head_sha256": SHA})
    with pytest.raises(ValueError, match=rf"format is 'likeness-skins-1', expected '{BANK_FORMAT}'"):
        opened(tmp_path, model, relief)
