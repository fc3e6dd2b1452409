from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from data.augment import AugmentConfig
from data.synthetic import SyntheticConfig, SyntheticFaces
from model.checkpoint import file_sha256
from model.face.assets import save_head
from model.face.hierarchy import save_hierarchy
from model.face.morphable_model import MorphableModel
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import toy_head, toy_hierarchy
from tools import draw_heads as tool
from tools.statistics.skins import save_skins
from training.drawn_bank import DrawnBank
from training.relief import Relief
from training.synthetic_heads import MorphableHeadArtist

SIZE = 24


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the toy head; two heads a file."""
    monkeypatch.setattr(tool, "HEADS_PER_FILE", 2)
    save_head(toy_head(), tmp_path / "head.safetensors", half=False)
    save_hierarchy(toy_hierarchy(), tmp_path / "hierarchy.safetensors")
    yield tmp_path
    tool._faces.cache_clear()


def draw(place: Path, count: int, *more: str) -> Path:
    options = ["--head", str(place / "head.safetensors"), "--hierarchy", str(place / "hierarchy.safetensors")]
    tool.main(["--output", str(place / "drawn"), "--count", str(count), "--size", str(SIZE), *options, *more])
    return place / "drawn"


def test_it_draws_the_heads_of_its_seed_into_a_bank(place: Path) -> None:
    folder = draw(place, 3, "--seed", "5")
    # Whole files.
    assert [path.name for path in sorted(folder.iterdir())] == ["heads-00000.safetensors", "heads-00001.safetensors"]
    model = MorphableModel(toy_head())
    relief = Relief(model, toy_hierarchy())
    bank = DrawnBank(folder, 4, model, relief, (file_sha256(place / "head.safetensors"),), AugmentConfig())
    assert len(bank) == 4
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer()), relief)
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE, seed=5))
    for index in range(4):
        tensors, face = load_file(folder / f"heads-{index // 2:05d}.safetensors"), source.face(index)
        assert tensors["image"][index % 2].shape == (3, SIZE, SIZE)
        np.testing.assert_allclose(tensors["identity"][index % 2], face.scene.identity)
        np.testing.assert_allclose(tensors["landmarks68_px"][index % 2], face.sample["landmarks68_px"], atol=1e-3)
        assert not np.array_equal(face.scene.relief, np.zeros(relief.count))


def test_it_goes_on_where_it_was(place: Path) -> None:
    folder = draw(place, 2)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    draw(place, 6)
    assert len(list(folder.iterdir())) == 3
    for name, (time, content) in before.items():
        assert (folder / name).stat().st_mtime_ns == time
        assert (folder / name).read_bytes() == content
    # What was lost, and only that, is drawn again, as it was.
    lost, kept = folder / "heads-00001.safetensors", folder / "heads-00002.safetensors"
    tensors, time = load_file(lost), kept.stat().st_mtime_ns
    lost.unlink()
    draw(place, 6)
    for name, again in load_file(lost).items():
        np.testing.assert_array_equal(again, tensors[name], err_msg=name)
    assert kept.stat().st_mtime_ns == time


def test_heads_wear_the_skins_that_are_given(place: Path) -> None:
    plain = load_file(draw(place, 2) / "heads-00000.safetensors")
    save_skins(place / "skins.safetensors", np.ones((1, len(toy_head().vertices_mm), 3), np.float32))
    (place / "drawn").rename(place / "plain")
    worn = load_file(draw(place, 2, "--skins", str(place / "skins.safetensors")) / "heads-00000.safetensors")
    np.testing.assert_array_equal(worn["identity"], plain["identity"])
    assert not np.array_equal(worn["image"], plain["image"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--count", "0"], "--count 0"),
        (["--workers", "0"], "--workers 0"),
        (["--head", "none.safetensors"], r"none\.safetensors"),
        (["--hierarchy", "none.safetensors"], r"none\.safetensors"),
        (["--skins", "none.safetensors"], r"none\.safetensors"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(place: Path, more: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=rf"tools\.draw_heads: .*{message}"):
        draw(place, 2, *more)
    assert not list((place / "drawn").glob("heads-*"))
