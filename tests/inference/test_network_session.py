import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from common.paths import DEFAULT_BLAZEFACE, DEFAULT_CHECKPOINT, REPOSITORY
from data.alignment import CropWindow
from inference.faces import FaceReconstructor, FaceRequest
from inference.likeness import Likeness, encoding
from inference.network_file import LARGEST_MM, LARGEST_OTHER, LARGEST_PX, compare
from inference.network_outputs import example_inputs
from inference.network_session import SESSION_FILE, NetworkSession
from inference.options import CommandLineError
from inference.setup import load_likeness
from model.checkpoint import load_reconstructor
from tests.inference.small_network import lively_checkpoint
from tests.small_world import IMAGE_SIZE, crop_camera

PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


@pytest.mark.slow
def test_faces_are_the_same_as_pytorchs(exported: Path) -> None:
    reconstructor, cpu = load_reconstructor(exported), torch.device("cpu")
    windows = [CropWindow(50.0, 40.0, 160.0), CropWindow(220.0, 130.0, 90.0)]
    requests = [FaceRequest.in_photograph(PHOTOGRAPH, window) for window in windows]
    expected = FaceReconstructor(reconstructor, cpu, 1).reconstruct(requests)
    session = NetworkSession.of_checkpoint(exported)
    given = FaceReconstructor(reconstructor, cpu, 1, encode=session.look_at).reconstruct(requests)
    for one, other in zip(expected, given, strict=True):
        torch.testing.assert_close(
            other.landmarks68_image[..., :2], one.landmarks68_image[..., :2], rtol=0.0, atol=1e-3
        )
        torch.testing.assert_close(other.mesh.vertices_camera_mm, one.mesh.vertices_camera_mm, rtol=0.0, atol=1e-3)


@pytest.mark.slow
def test_it_refuses_crops_that_pytorch_refuses(exported: Path) -> None:
    session = NetworkSession.of_checkpoint(exported)
    crops = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE)
    with pytest.raises(ValueError, match="expected sRGB in"):
        session.look_at(255.0 * crops, crop_camera(2))
    with pytest.raises(ValueError, match="expected \\(2, 3, 3\\)"):
        session.look_at(crops, crop_camera(1))
    with pytest.raises(ValueError, match="this model takes"):
        session.look_at(crops[..., 1:, 1:], crop_camera(2))


@pytest.mark.slow
def test_the_backend_is_asked_for_by_name(exported: Path) -> None:
    for likeness in (Likeness.load(exported, backend="onnx"), load_likeness(exported, "auto", backend="onnx")):
        assert likeness.device.type == "cpu"
        # No network of PyTorch may be needed any more.
        likeness.faces.reconstructor.backbone.network.forward_intermediates = None  # pyright: ignore[reportAttributeAccessIssue]
        (answer,) = likeness.faces.reconstruct([FaceRequest.in_photograph(PHOTOGRAPH, CropWindow(50.0, 40.0, 160.0))])
        assert torch.isfinite(answer.mesh.vertices_camera_mm).all()


@pytest.mark.slow
def test_a_file_of_other_weights_is_refused(exported: Path, tmp_path: Path) -> None:
    # A copy: the same network written again need not be the same bytes.
    shutil.copytree(exported.parent, tmp_path, dirs_exist_ok=True)
    other = tmp_path / exported.name
    (other / SESSION_FILE).unlink()
    with pytest.raises(FileNotFoundError, match="the backend onnx needs this file; `likeness export --format onnx"):
        NetworkSession.of_checkpoint(other)
    with pytest.raises(CommandLineError, match="--backend onnx: .*needs this file"):
        load_likeness(other, "cpu", backend="onnx")
    (other / SESSION_FILE).write_bytes((exported / SESSION_FILE).read_bytes())
    NetworkSession.of_checkpoint(other)
    weights = other / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="made of another network than the one beside it"):
        NetworkSession.of_checkpoint(other)
    with pytest.warns(UserWarning, match="made of another network .* until then PyTorch runs the network"):
        assert encoding("auto", other, torch.device("cpu")) is None


@pytest.mark.slow
def test_onnxruntime_is_taken_by_default_where_it_can_be(exported: Path, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    answering = encoding("auto", exported, cpu)
    assert answering is not None
    assert isinstance(getattr(answering, "__self__", None), NetworkSession)
    assert encoding("auto", exported, torch.device("cuda")) is None
    assert encoding("auto", lively_checkpoint(tmp_path), cpu) is None


def test_the_released_file_answers_as_the_released_network_does() -> None:
    # Whoever trains the network anew, or changes how it answers, writes the file anew: docs/export.md says how.
    session = NetworkSession.of_checkpoint(DEFAULT_CHECKPOINT)
    reconstructor = load_reconstructor(DEFAULT_CHECKPOINT)
    difference = compare(reconstructor, session.outputs, [example_inputs(session.image_size, 3, seed=11)])
    assert difference.px < LARGEST_PX
    assert difference.mm < LARGEST_MM
    assert difference.other < LARGEST_OTHER
    assert (DEFAULT_CHECKPOINT / SESSION_FILE).stat().st_size < 14e6


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        NetworkSession(tmp_path / "nowhere.onnx")
    with pytest.raises(ValueError, match="onnxruntime cannot load it"):
        NetworkSession(REPOSITORY / "README.md")
    with pytest.raises(ValueError, match="no network that `likeness export` wrote"):
        NetworkSession(DEFAULT_BLAZEFACE)


def test_other_backends_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected auto, torch, onnx"):
        encoding("tensorrt", tmp_path, torch.device("cpu"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="for the CPU"):
        encoding("onnx", tmp_path, torch.device("cuda"))
    assert encoding("torch", tmp_path, torch.device("cuda")) is None
