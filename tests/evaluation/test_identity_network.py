from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evaluation.identity_network import IdentityNetwork, align_face, similarity

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "identity-network" / "dlib_resnet_v1.npz"


def test_similarity_recovers_a_turn_a_scale_and_a_shift() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    angle = 0.3
    turn = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(points, points @ turn.T + [4.0, -7.0])
    np.testing.assert_allclose(matrix, np.column_stack((turn, [4.0, -7.0])), atol=1e-9)


def test_aligned_landmarks_lie_where_the_network_wants_them() -> None:
    landmarks = np.full((68, 2), 100.0)
    for points, place in (
        (slice(36, 42), (51.6, 58.0)),
        (slice(42, 48), (98.4, 58.0)),
        (30, (75.0, 85.0)),
        (48, (57.0, 108.0)),
        (54, (93.0, 108.0)),
    ):
        landmarks[points] = 2.0 * np.array(place) + 40.0
    image = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(image, (189, 209), 8, (255, 255, 255), -1)  # The nose tip, (190, 210) counted from the corner.
    aligned = align_face(image, landmarks)
    rows, columns = np.nonzero(aligned[..., 0] > 127)
    assert columns.mean() + 0.5 == pytest.approx(75.0, abs=0.5)
    assert rows.mean() + 0.5 == pytest.approx(85.0, abs=0.5)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs shared/data/identity-network")
def test_real_weights_embed_differentiably() -> None:
    network = IdentityNetwork(WEIGHTS)
    faces = torch.rand(2, 3, 150, 150, generator=torch.Generator().manual_seed(0)).requires_grad_()
    vectors = network(faces)
    assert vectors.shape == (2, 128)
    vectors.sum().backward()
    assert faces.grad is not None
    assert faces.grad.abs().sum() > 0


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"weights\.npz"):
        IdentityNetwork(tmp_path / "weights.npz")
    np.savez(tmp_path / "weights.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match=r"weights\.npz"):
        IdentityNetwork(tmp_path / "weights.npz")
    (tmp_path / "weights.npz").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"weights\.npz"):
        IdentityNetwork(tmp_path / "weights.npz")
