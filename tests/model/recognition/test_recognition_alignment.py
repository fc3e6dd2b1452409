import cv2
import numpy as np
import pytest
import torch

from model.recognition.alignment import align_faces, five_points, similarity
from tests.model.recognition.faces import face_points, smooth_pictures

TEMPLATE_PX = torch.tensor([(51.6, 58.0), (98.4, 58.0), (75.0, 85.0), (57.0, 108.0), (93.0, 108.0)])


def reference_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama's equations 38 to 42 as they stand there, by singular values."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    left, values, right = np.linalg.svd(covariance)
    signs = np.diag([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ signs @ right
    scale = np.trace(np.diag(values) @ signs) / ((source - source_mean) ** 2).sum(1).mean()
    return np.column_stack((scale * rotation, target_mean - scale * rotation @ source_mean))


def reference_alignment(picture: torch.Tensor, landmarks_px: torch.Tensor, size: int) -> np.ndarray:
    """OpenCV's warp, whose coordinates count from the first pixel's centre."""
    points = five_points(landmarks_px[None])[0].double().numpy()
    matrix = reference_similarity(points, TEMPLATE_PX.double().numpy())
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
    return cv2.warpAffine(picture.permute(1, 2, 0).numpy(), matrix, (size, size), flags=cv2.INTER_LINEAR)


def test_similarity_recovers_a_turn_a_scale_and_a_shift() -> None:
    points = torch.randn(3, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    angle = torch.tensor([0.3, -2.0, 3.1], dtype=torch.float64)
    turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), dim=1).reshape(3, 2, 2) * 2.5
    shift = torch.tensor([[4.0, -7.0], [0.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    found, found_shift = similarity(points, points @ turn.transpose(1, 2) + shift[:, None])
    torch.testing.assert_close(found, turn)
    torch.testing.assert_close(found_shift, shift)


def test_similarity_of_points_that_do_not_fit_is_umeyamas() -> None:
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(2, 4, 5, 2, dtype=torch.float64, generator=generator)
    matrix, shift = similarity(source, target)
    for i in range(4):
        # Where a mirror image would fit better, it still must not be one.
        expected = reference_similarity(source[i].numpy(), target[i].numpy())
        np.testing.assert_allclose(np.column_stack((matrix[i], shift[i])), expected, atol=1e-9)


@pytest.mark.parametrize(("turn_rad", "size_px"), [(0.0, 30.0), (0.4, 20.0), (-1.2, 45.0)])
def test_pictures_are_cut_as_opencv_cuts_them(turn_rad: float, size_px: float) -> None:
    pictures = smooth_pictures()
    points = torch.stack((face_points((50.0, 40.0), turn_rad, size_px), face_points((60.0, 50.0), -turn_rad, size_px)))
    aligned = align_faces(pictures, points, TEMPLATE_PX, 150)
    for i in range(2):
        expected = reference_alignment(pictures[i], points[i], 150)
        # OpenCV rounds places to 1/32 px; at the picture's border that matters.
        difference = np.abs(aligned[i].permute(1, 2, 0).numpy() - expected)
        assert difference.mean() < 2e-3
        assert np.quantile(difference, 0.98) < 0.01


def test_a_dot_at_the_nose_comes_to_the_templates_nose() -> None:
    points = 2.0 * (TEMPLATE_PX - torch.tensor([75.0, 85.0])) + torch.tensor([90.0, 110.0])
    landmarks = torch.full((1, 68, 2), 100.0)
    for places, point in zip((slice(36, 42), slice(42, 48), 30, 48, 54), points, strict=True):
        landmarks[0, places] = point
    y, x = torch.meshgrid(torch.arange(220) + 0.5, torch.arange(200) + 0.5, indexing="ij")
    dot = torch.exp(-0.5 * ((x - 90.0) ** 2 + (y - 110.0) ** 2) / 5.0**2).expand(1, 3, 220, 200)
    aligned = align_faces(dot, landmarks, TEMPLATE_PX, 150)[0, 0]
    y, x = torch.meshgrid(torch.arange(150) + 0.5, torch.arange(150) + 0.5, indexing="ij")
    assert float((aligned * x).sum() / aligned.sum()) == pytest.approx(75.0, abs=0.01)
    assert float((aligned * y).sum() / aligned.sum()) == pytest.approx(85.0, abs=0.01)


def test_gradients_are_those_of_small_changes() -> None:
    picture = smooth_pictures(1, 24, 26).double().requires_grad_()
    points = face_points((13.2, 12.3), 0.2, 8.0)[None].double().requires_grad_()
    template_px = TEMPLATE_PX.double() * 12.0 / 150.0
    generator = torch.Generator().manual_seed(0)

    def cut(picture: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        return align_faces(picture, points, template_px, 12)

    aligned = cut(picture, points)
    direction = torch.randn(aligned.shape, dtype=torch.float64, generator=generator)
    gradients = torch.autograd.grad((aligned * direction).sum(), (picture, points))
    for index, (value, gradient) in enumerate(zip((picture, points), gradients, strict=True)):
        assert gradient.abs().max() > 0
        change = torch.randn(value.shape, dtype=torch.float64, generator=generator)
        step = 1e-6
        moved = []
        for sign in (1.0, -1.0):
            arguments = [picture.detach(), points.detach()]
            arguments[index] = arguments[index] + sign * step * change
            moved.append((cut(*arguments) * direction).sum())
        slope = (moved[0] - moved[1]) / (2 * step)
        torch.testing.assert_close((gradient * change).sum(), slope, rtol=1e-5, atol=1e-7)


def test_faces_without_points_give_no_nan() -> None:
    points = torch.zeros(2, 68, 2, requires_grad=True)
    aligned = align_faces(smooth_pictures(), points, TEMPLATE_PX, 150)
    aligned.sum().backward()
    assert torch.isfinite(aligned).all()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()


def test_places_keep_their_precision_under_autocast() -> None:
    points = face_points()[None]
    exact = align_faces(smooth_pictures(1), points, TEMPLATE_PX, 150)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(align_faces(smooth_pictures(1), points, TEMPLATE_PX, 150), exact)
