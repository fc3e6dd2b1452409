from pathlib import Path

import pytest
import torch

from common.paths import DEFAULT_MASK
from model.person.network import PersonNetwork, PersonNetworkConfig, load_person_network, save_person_network


def test_it_answers_with_four_scores_for_each_pixel_and_its_file_gives_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PersonNetwork(PersonNetworkConfig(widths=(16, 12, 8, 8), image_size=64)).eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        scores = network(pictures)
        assert scores.shape == (2, 4, 64, 64)
        save_person_network(network, tmp_path / "network.safetensors", "nothing")
        again = load_person_network(tmp_path / "network.safetensors")
        assert again.config == network.config
        # Half precision.
        torch.testing.assert_close(again(pictures), scores, atol=0.05, rtol=0.05)


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"none.safetensors"):
        load_person_network(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match=r"missing.safetensors"):
        load_person_network(tmp_path / "missing.safetensors")


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size"):
        PersonNetworkConfig(image_size=100)
    with pytest.raises(ValueError, match="widths"):
        PersonNetworkConfig(widths=(8, 8))


def test_the_released_network_is_small() -> None:
    assert DEFAULT_MASK.stat().st_size < 4e6
