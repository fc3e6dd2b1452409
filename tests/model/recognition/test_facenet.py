from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from facenet_pytorch.models import inception_resnet_v1
from safetensors.torch import save_file

from model.recognition.facenet import FaceNet


def faces() -> torch.Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """The tensors of a network with random weights, and with statistics that let the picture through to the end."""
    torch.manual_seed(0)
    network = InceptionResnetV1(pretrained=None, dropout_prob=0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        network.train()((255.0 * faces() - 127.5) / 128.0)
    return network.state_dict()


@pytest.fixture(scope="module")
def published(tensors: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one, which has the classifier of 8,631 people too."""
    path = tmp_path_factory.mktemp("facenet") / "published.pt"
    torch.save(tensors | {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}, path)
    return path


@torch.no_grad()
def expected(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    network = InceptionResnetV1(pretrained=None).eval()
    network.load_state_dict(tensors)
    return network((255.0 * faces() - 127.5) / 128.0)


@pytest.mark.slow
def test_a_named_file_is_loaded_and_never_trained(
    tensors: dict[str, torch.Tensor], published: Path, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "weights.safetensors")
    for path in (published, tmp_path / "weights.safetensors"):
        # What contains it sets all its parts to training; dropout and batch statistics would then make it another.
        network = FaceNet(path).train()
        torch.testing.assert_close(network.embed(faces()), expected(tensors))
    assert network.similarity(*network.embed(faces())[:, None]) < 0.9
    picture = faces().requires_grad_()
    network.embed(picture).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_similarity_is_the_cosine() -> None:
    first, second = torch.zeros(2, 3, 512)
    first[:, :2] = torch.tensor([[1.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    second[:, :2] = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, -4.0]])
    network = FaceNet.__new__(FaceNet)
    torch.testing.assert_close(FaceNet.similarity(network, first, second), torch.tensor([1.0, 0.0, -1.0]))


@pytest.mark.slow
def test_without_a_file_facenet_pytorch_downloads_once(
    tensors: dict[str, torch.Tensor], published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(url: str, place: str) -> None:
        asked.append(url)
        Path(place).symlink_to(published)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception_resnet_v1, "download_url_to_file", download)
    torch.testing.assert_close(FaceNet().embed(faces()), expected(tensors))
    FaceNet()
    assert len(asked) == 1
    assert asked[0].endswith("vggface2.pt")


def test_a_failed_download_says_what_else_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, place: str) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception_resnet_v1, "download_url_to_file", fail)
    with pytest.raises(RuntimeError, match=r"no route to host.*https://\S+vggface2\.pt.*dlib"):
        FaceNet()


def test_missing_foreign_and_dangerous_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pt.*https://"):
        FaceNet(tmp_path / "absent.pt")
    save_file({"other": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors"):
        FaceNet(tmp_path / "foreign.safetensors")
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_bytes(b"text")
        with pytest.raises(ValueError, match=name):
            FaceNet(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list\.pt"):
        FaceNet(tmp_path / "list.pt")


class _Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_of_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"x": _Trap(tmp_path / "trapped")}, tmp_path / "code.pt")
    with pytest.raises(ValueError, match=r"code\.pt"):
        FaceNet(tmp_path / "code.pt")
    assert not (tmp_path / "trapped").exists()
