from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.recognition.dlib_resnet import SAME_PERSON_DISTANCE, DlibResNet
from tests.model.recognition.faces import random_dlib_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_dlib_weights(tmp_path_factory.mktemp("dlib") / "weights.npz")


def faces(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 150, 150, generator=torch.Generator().manual_seed(0))


def reference(weights: Path, faces_srgb: torch.Tensor) -> torch.Tensor:
    """The forward as the weights' description has it, unfolded."""
    arrays = {name: torch.from_numpy(value.astype(np.float32)) for name, value in np.load(weights).items()}

    def affine(features: torch.Tensor, name: str, **options: int) -> torch.Tensor:
        filters = arrays[f"{name}.conv.filters"].permute(3, 2, 0, 1)
        features = functional.conv2d(features, filters, arrays[f"{name}.conv.bias"], **options)
        scale, bias = (arrays[f"{name}.scale.{part}"][:, None, None] for part in ("weights", "biases"))
        return features * scale + bias

    mean = torch.tensor((122.782, 117.001, 104.298))[:, None, None]
    features = affine((255.0 * faces_srgb - mean) / 256.0, "conv32_down", stride=2).relu()
    features = functional.max_pool2d(features, 3, 2)
    names = "32_1 32_2 32_3 64_down 64_1 64_2 64_3 128_down 128_1 128_2 256_down 256_1 256_2 256_down_out"
    for name in names.split():
        first, second = f"conv{name}.conv1", f"conv{name}.conv2"
        if "down" not in name:
            features = (affine(affine(features, first, padding=1).relu(), second, padding=1) + features).relu()
            continue
        convolved = affine(affine(features, first, stride=2).relu(), second, padding=1)
        pooled = functional.avg_pool2d(features, 2)
        joined = torch.zeros(len(features), convolved.shape[1], *pooled.shape[2:])
        joined[:, : pooled.shape[1]] += pooled
        joined[:, :, : convolved.shape[2], : convolved.shape[3]] += convolved
        features = joined.relu()
    return features.mean((2, 3)) @ arrays["fc"]


@pytest.mark.slow
def test_the_forward_is_dlibs(weights: Path) -> None:
    torch.testing.assert_close(DlibResNet(weights).embed(faces()), reference(weights, faces()), rtol=1e-3, atol=1e-4)


def test_gradients_reach_the_picture_and_nothing_else(weights: Path) -> None:
    network = DlibResNet(weights)
    picture = faces().requires_grad_()
    vectors = network.embed(picture)
    assert vectors.shape == (2, 128)
    vectors.square().sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_similarity_is_one_for_the_same_and_half_where_persons_part(weights: Path) -> None:
    first = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    step = torch.zeros(128)
    step[5] = SAME_PERSON_DISTANCE
    distances = torch.tensor([0.0, 1.0, 2.0])
    found = DlibResNet(weights).similarity(first, first + distances[:, None] * step)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5, -1.0]))


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with pytest.raises(FileNotFoundError, match=r"weights\.npz"):
        DlibResNet(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"weights\.npz"):
        DlibResNet(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"weights\.npz"):
        DlibResNet(path)
