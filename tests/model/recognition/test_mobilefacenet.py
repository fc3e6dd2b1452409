from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.recognition.mobilefacenet import MobileFaceNet
from tests.model.recognition.faces import random_mobilefacenet_file, write_mobilefacenet

FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "identity-network" / "faceplugin_512.npz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mobilefacenet(tmp_path_factory.mktemp("net") / "weights.npz", *random_mobilefacenet_file())


def faces(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def reference(faces_srgb: torch.Tensor) -> torch.Tensor:
    """The small graph, written down."""
    _, arrays = random_mobilefacenet_file()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def convolved(features: torch.Tensor, name: str, **options: int | tuple[int, int]) -> torch.Tensor:
        return functional.conv2d(features, tensors[f"{name}_w"], tensors[f"{name}_b"], **options)

    first = convolved((255.0 * faces_srgb - 127.5) / 128.0, "first", stride=(8, 4), padding=(3, 2))
    bent = torch.where(first < 0.0, tensors["slopes"] * first, first)
    whole = convolved(convolved(bent + convolved(bent, "deep", padding=1, groups=8), "point"), "whole", groups=8)
    answer = convolved(whole, "last")[:, :, 0, 0]
    return answer / answer.square().sum(1, keepdim=True).sqrt()


def test_the_forward_is_the_files_graph(weights: Path) -> None:
    vectors = MobileFaceNet(weights).embed(faces())
    torch.testing.assert_close(vectors, reference(faces()))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_gradients_reach_the_picture_as_finite_differences_say(weights: Path) -> None:
    network = MobileFaceNet(weights).double()
    picture = faces(1).double().requires_grad_()
    goal = torch.randn(512, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (network.embed(picture) @ goal).sum().backward()
    assert picture.grad is not None
    way = torch.randn(picture.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        # Small enough that no PReLU changes its side.
        ahead, behind = (network.embed(picture + step * way) @ goal for step in (1e-7, -1e-7))
    torch.testing.assert_close((picture.grad * way).sum(), (ahead - behind).sum() / 2e-7, rtol=1e-5, atol=1e-7)


def test_what_contains_it_trains_and_it_does_not(weights: Path) -> None:
    network = MobileFaceNet(weights)
    torch.nn.Sequential(network).train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert before
    network.embed(faces())
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0.0, atol=0.0)


def test_no_random_number_is_drawn(weights: Path) -> None:
    # Else a training would go on differently after its first question.
    torch.manual_seed(0)
    MobileFaceNet(weights)
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert drawn == torch.rand(())


def test_similarity_is_the_cosine(weights: Path) -> None:
    first, second = torch.zeros(2, 3, 512)
    first[:, :2] = torch.tensor([[1.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    second[:, :2] = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, -4.0]])
    torch.testing.assert_close(MobileFaceNet(weights).similarity(first, second), torch.tensor([1.0, 0.0, -1.0]))


def test_missing_and_foreign_files_are_named(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    with pytest.raises(FileNotFoundError, match=r"some\.npz"):
        MobileFaceNet(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"some\.npz.*without `ops`"):
        MobileFaceNet(path)
    content = weights.read_bytes()
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 0xFF
    for broken in (b"", b"text", content[: len(content) // 2], bytes(damaged)):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"some\.npz"):
            MobileFaceNet(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"some\.npz.*a single array"):
        MobileFaceNet(path)
    for text in (np.array("no JSON"), np.zeros(3)):
        np.savez(path, ops=text)
        with pytest.raises(ValueError, match=r"some\.npz"):
            MobileFaceNet(path)
    # An array of objects is a pickle, which may hold code.
    np.savez(path, ops=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"some\.npz.*allow_pickle"):
        MobileFaceNet(path)


@pytest.mark.parametrize(
    ("step", "change", "reason"),
    [
        (2, {"op": "Sigmoid"}, "unknown operation 'Sigmoid'"),
        (2, {"op": None}, "unknown operation None"),
        (2, {"in": ["first", "absent"]}, "without the tensor `absent`"),
        (2, {"in": ["first", "first_w"]}, r"`first_w` is float32 of shape \(8, 3, 7, 5\), expected 3 axes"),
        (2, {"in": ["first"]}, "PRelu takes 2 names"),
        (2, {"in": "picture"}, "PRelu takes 2 names"),
        (2, {"in": [1, 2]}, "PRelu takes 2 names"),
        (2, {"in": ["sum", "slopes"]}, r"`bent` is made of what nothing before it makes: \['sum'\]"),
        (2, {"out": "first"}, "called 'first'"),
        (2, {"out": None}, "called None"),
        (1, {"in": ["picture", "deep_w", "first_b"]}, "channels"),
        (1, {"in": ["picture", "first_w", "last_b"]}, "bias"),
        (1, {"strides": [0, 4]}, r"strides 0: expected a whole number from 1"),
        (1, {"strides": [8]}, r"strides \[8\]: expected two numbers"),
        (1, {"pads": [3, -1]}, "pads -1: expected a whole number from 0"),
        (1, {"pads": [3.0, 2]}, "pads 3.0: expected a whole number"),
        (3, {"group": 3}, "groups"),
        (3, {"group": None}, "group None: expected a whole number"),
        (3, {"pads": [0, 1]}, r"Add of shapes \(1, 8, 14, 28\) and \(1, 8, 12, 28\)"),
        (7, {"in": ["whole", "point_w", "point_b"]}, r"it makes \(8,\) of a face, expected \(512,\)"),
        (0, {"input": 3}, "does not begin with the picture's name"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_the_reason(
    step: int, change: dict, reason: str, tmp_path: Path
) -> None:
    operations, tensors = random_mobilefacenet_file()
    operations[step] |= change
    path = write_mobilefacenet(tmp_path / "some.npz", operations, tensors)
    with pytest.raises(ValueError, match=rf"(?s)some\.npz: .*{reason}"):
        MobileFaceNet(path)


@pytest.mark.parametrize("operations", [None, 3, {}, [], ["Conv"], [{"input": "picture"}]])
def test_what_is_no_list_of_operations_is_refused(operations: object, tmp_path: Path) -> None:
    path = write_mobilefacenet(tmp_path / "some.npz", operations, {})
    with pytest.raises(ValueError, match=r"some\.npz: .*`ops`"):
        MobileFaceNet(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    operations, tensors = random_mobilefacenet_file()
    tensors["last_b"][3] = np.nan
    with pytest.raises(ValueError, match=r"some\.npz: .*not finite"):
        MobileFaceNet(write_mobilefacenet(tmp_path / "some.npz", operations, tensors))


@pytest.mark.slow
@pytest.mark.skipif(not FILE.is_file(), reason=f"needs {FILE}")
def test_the_published_network_is_such_a_file() -> None:
    network = MobileFaceNet(FILE)
    pictures = faces(3).requires_grad_()
    vectors = network.embed(pictures)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(network.similarity(vectors, vectors), torch.ones(3))
    torch.testing.assert_close(network.embed(pictures), vectors, rtol=0.0, atol=0.0)
    # One picture's answer does not depend on the others of its batch.
    torch.testing.assert_close(network.embed(pictures[1:2]), vectors[1:2], rtol=1e-4, atol=1e-5)
    vectors[0, 0].backward()
    assert pictures.grad is not None
    assert pictures.grad[0].abs().sum() > 0
    assert pictures.grad[1:].abs().sum() == 0
