import numpy as np
import pytest
import torch

from data.alignment import CropWindow, crop_image, window_from_landmarks
from data.detection import Detection
from inference.faces import FaceReconstructor, FaceRequest
from model.reconstructor import Reconstruction
from tests.inference.small_network import lively_reconstructor
from tests.small_world import toy_reconstructor

PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


def detection(center_px: tuple[float, float], side_px: float, roll_degrees: float) -> Detection:
    """A face with the six points of BlazeFace, turned counter-clockwise."""
    angle = np.radians(roll_degrees)
    upright = np.array([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.0], [0.0, 0.2], [-0.4, -0.1], [0.4, -0.1]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points, half = np.asarray(center_px) + side_px * upright @ turn.T, 0.5 * side_px
    box = np.array([center_px[0] - half, center_px[1] - half, center_px[0] + half, center_px[1] + half])
    return Detection(box.astype(np.float32), points.astype(np.float32), 0.9, roll_degrees)


def reconstruct(*windows: CropWindow, looks: int = 1) -> list[Reconstruction]:
    reconstructor = FaceReconstructor(toy_reconstructor(), torch.device("cpu"), looks)
    return reconstructor.reconstruct([FaceRequest.in_photograph(PHOTOGRAPH, window) for window in windows])


def test_answers_stand_in_the_pixels_of_the_photograph() -> None:
    windows = [CropWindow(50.0, 40.0, 160.0), CropWindow(220.0, 130.0, 90.0)]
    for window, answer in zip(windows, reconstruct(*windows), strict=True):
        assert len(answer.landmarks68_image) == 1
        # An untrained model fills the window as training crops are filled.
        found = window_from_landmarks(answer.landmarks68_image[0].numpy())
        np.testing.assert_allclose(found.center_px, window.center_px, atol=0.03 * window.side_px)
        assert found.side_px == pytest.approx(window.side_px, rel=0.1)


def test_a_glance_is_the_first_look_alone() -> None:
    reconstructor = FaceReconstructor(lively_reconstructor(), torch.device("cpu"), 1)
    requests = [
        FaceRequest.of_detection(PHOTOGRAPH, detection(center, 90.0, roll))
        for center, roll in (((120.0, 130.0), 0.0), ((250.0, 160.0), 80.0))
    ]
    for glance, answer, request in zip(
        reconstructor.glances(requests), reconstructor.answers(requests), requests, strict=True
    ):
        assert glance.detection is request.detection
        np.testing.assert_allclose(glance.landmarks68_px, answer.reconstruction.landmarks68_image[0, :, :2], atol=1e-3)
        for name in ("identity", "rotation", "translation_mm", "lighting"):
            expected = getattr(answer.reconstruction.parameters, name)
            torch.testing.assert_close(getattr(glance.parameters, name), expected, rtol=1e-4, atol=1e-3)
    assert reconstructor.glances([]) == []


def test_what_a_mesh_decoder_reads_was_seen_in_the_last_window(monkeypatch: pytest.MonkeyPatch) -> None:
    reconstructor = lively_reconstructor()
    given: list[tuple[torch.Tensor, torch.Tensor]] = []

    def detail(crops: torch.Tensor, cameras: torch.Tensor, parameters: object, pooled: torch.Tensor) -> None:
        given.append((crops, pooled))

    monkeypatch.setattr(reconstructor, "detail", detail)
    for looks in (1, 2):
        windows = [CropWindow(50.0, 40.0, 160.0), CropWindow(220.0, 130.0, 90.0)]
        requests = [FaceRequest.in_photograph(PHOTOGRAPH, window) for window in windows]
        FaceReconstructor(reconstructor, torch.device("cpu"), looks).reconstruct(requests)
        crops, pooled = given[-1]
        with torch.no_grad():
            expected = reconstructor.backbone.split(reconstructor.features(crops)).pooled
        torch.testing.assert_close(pooled, expected)


@pytest.mark.slow
def test_a_batch_gives_what_single_requests_give() -> None:
    windows = [CropWindow(50.0, 40.0, 160.0), CropWindow(-20.0, 130.0, 200.0), CropWindow(220.0, 130.0, 90.0)]
    together = reconstruct(*windows, looks=2)
    for window, answer in zip(windows, together, strict=True):
        (alone,) = reconstruct(window, looks=2)
        torch.testing.assert_close(answer.mesh.vertices_camera_mm, alone.mesh.vertices_camera_mm, rtol=1e-4, atol=1e-2)
    assert reconstruct() == []


def test_the_second_look_is_taken_where_the_first_one_found_the_face(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[CropWindow] = []

    def watched(image: np.ndarray, window: CropWindow, size: int) -> np.ndarray:
        cut.append(window)
        return crop_image(image, window, size)

    monkeypatch.setattr("inference.faces.crop_image", watched)
    window = CropWindow(50.0, 40.0, 160.0)
    (first,) = reconstruct(window)
    cut.clear()
    reconstruct(window, looks=2)
    found = window_from_landmarks(first.landmarks68_image[0].numpy())
    expected = [window, found, found.enlarged(0.9)]
    for got, wanted in zip(cut, expected, strict=True):
        np.testing.assert_allclose(got.center_px, wanted.center_px, atol=1e-3)
        assert got.side_px == pytest.approx(wanted.side_px, abs=1e-3)


def test_a_second_window_that_cannot_be_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    window = CropWindow(50.0, 40.0, 160.0)
    monkeypatch.setattr("inference.faces._CLOSER", 1.0)
    (once,) = reconstruct(window)
    for wrong in (CropWindow(-900.0, 40.0, 160.0), CropWindow(50.0, 40.0, 3000.0), CropWindow(50.0, 40.0, 5.0)):
        monkeypatch.setattr("inference.faces.window_from_landmarks", lambda points, wrong=wrong: wrong)
        (twice,) = reconstruct(window, looks=2)
        # Untrained, an answer depends on the window only, so that the same window gives the same answer.
        torch.testing.assert_close(twice.landmarks68_image, once.landmarks68_image, rtol=1e-4, atol=0.01)
