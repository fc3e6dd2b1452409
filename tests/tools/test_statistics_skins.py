from pathlib import Path

import numpy as np
import pytest
import torch

from model.face.skins import load_skins
from model.render.lighting import spherical_harmonics
from tests.small_world import toy_head
from tools.statistics.albedo_learning import AlbedoLearner, Sides
from tools.statistics.light import Separation
from tools.statistics.photograph_colors import ColorSamples
from tools.statistics.skins import save_skins, seen_skins
from tools.statistics.weighted_pca import LinearModel

pytestmark = pytest.mark.slow


def test_skins_come_back_to_about_a_255th_of_their_roots(tmp_path: Path) -> None:
    skins = np.random.default_rng(0).random((3, 20, 3)).astype(np.float32)
    skins[0, 0], skins[0, 1] = 0.0, 1.0
    save_skins(tmp_path / "skins.safetensors", skins)
    loaded = load_skins(tmp_path / "skins.safetensors", 20).numpy()
    np.testing.assert_allclose(loaded / 255.0, np.sqrt(skins), atol=0.5 / 255.0 + 1e-6)
    assert loaded[0, 0].tolist() == [0, 0, 0]
    assert loaded[0, 1].tolist() == [255, 255, 255]


def test_what_is_no_albedo_is_clipped(tmp_path: Path) -> None:
    save_skins(tmp_path / "skins.safetensors", np.array([[[-0.2, 0.25, 1.7]]], np.float32))
    assert load_skins(tmp_path / "skins.safetensors", 1).tolist() == [[[0, 128, 255]]]


LIGHTING = torch.zeros(9, 3)
LIGHTING[0] = 0.8


def learner_of(colours: np.ndarray, trust: np.ndarray) -> tuple[AlbedoLearner, np.ndarray]:
    """A learner whose model is the toy head's mean albedo, with photographs of the whole head.

    Args:
        colours: Albedo that each photograph shows.
        trust: Of each vertex in each.
    """
    head = toy_head()
    half = np.flatnonzero(np.arange(len(head.mirror)) <= head.mirror)
    normals = np.zeros((*trust.shape, 3), np.float32)
    normals[..., 2] = 1.0
    shading = (spherical_harmonics(torch.from_numpy(normals)) @ LIGHTING).numpy()
    rows = np.arange(len(trust))
    samples = ColorSamples(
        (colours * shading).astype(np.float16), trust.astype(np.float16), normals.astype(np.float16),
        np.ones(len(trust), np.float32), rows,
    )  # fmt: skip
    first, second = torch.from_numpy(half.astype(np.int64)), torch.from_numpy(head.mirror[half].astype(np.int64))
    core = torch.from_numpy(head.regions["face"][half])
    places, size = torch.arange(len(half)).repeat(2, 1), (len(half), len(half))
    unmoved = torch.sparse_coo_tensor(places, torch.ones(len(half)), size, check_invariants=True).coalesce()
    learner = AlbedoLearner(samples, Sides(first, second, core, torch.zeros_like(core), unmoved))
    learner.model = LinearModel(torch.from_numpy(head.albedo_mean[half]), torch.zeros(1, len(half), 3))
    count = len(trust)
    learner.state = Separation(LIGHTING.repeat(count, 1, 1), torch.zeros(count, 1), torch.zeros(count, 1, 1))
    return learner, half


def test_a_skin_is_the_photographs_where_it_is_seen_and_the_models_elsewhere() -> None:
    head = toy_head()
    left = head.vertices_mm[:, 0] > 1.0
    colours = np.tile(head.albedo_mean, (1, 1, 1)) * np.float32(1.3)
    trust = np.where(left & head.regions["face"], 1.0, 0.0)[None]
    skin = seen_skins(head, *learner_of(colours, trust), count=1)[0]
    # Half the trust that is full counts half; full trust counts four fifths.
    seen = left & head.regions["face"]
    ratio = skin / head.albedo_mean
    np.testing.assert_allclose(ratio[seen], 1.0 + 0.3 * 0.8, atol=0.01)
    # The unseen half of a face is its mirror image.
    np.testing.assert_array_equal(skin, skin[head.mirror])
    np.testing.assert_allclose(ratio[~seen & ~seen[head.mirror]], 1.0, atol=0.01)


def test_hair_and_glare_are_kept_within_bounds_of_skin() -> None:
    head = toy_head()
    ones = np.ones((2, len(head.mirror)))
    colours = np.stack((np.zeros_like(head.albedo_mean), np.ones_like(head.albedo_mean)))
    dark, light = sorted(seen_skins(head, *learner_of(colours, ones), count=2), key=lambda skin: float(skin.mean()))
    assert (dark > 0.25 * head.albedo_mean).all()
    assert (light < 1.6 * head.albedo_mean + 0.03).all()


def test_the_photographs_that_show_most_are_taken() -> None:
    head = toy_head()
    colours = np.stack([head.albedo_mean * np.float32(gain) for gain in (0.8, 1.0, 1.2)])
    trust = np.stack([np.full(len(head.mirror), level) for level in (0.4, 0.1, 0.9)])
    skins = seen_skins(head, *learner_of(colours, trust), count=2)
    assert skins.shape == (2, *head.vertices_mm.shape)
    tone = [float((skin / head.albedo_mean).mean()) for skin in skins]
    assert tone[0] > 1.05
    assert tone[1] < 0.95


def test_no_skins_are_none() -> None:
    """As `tools.learn_albedo` asks for where it is not told `--skins`."""
    head = toy_head()
    skins = seen_skins(head, *learner_of(head.albedo_mean[None], np.ones((1, len(head.mirror)))), count=0)
    assert skins.shape == (0, *head.vertices_mm.shape)
