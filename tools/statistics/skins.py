"""Skins as photographs show them: what the albedo model leaves out, moles and beards, brows and fringes, glasses too.

Drawn heads wear them, so that a network which learns shape from drawings sees faces and not wax
(`training/synthetic_heads.py`).
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from common.tensors import save_tensors
from model.face.assets import HeadAssets
from model.face.skins import SKINS_FORMAT
from tools.statistics.albedo_learning import AlbedoLearner

_LOWEST_SHADING = 0.25
_TRUST_FOR_HALF = 0.25
"""Trust (visibility times facing) at which a photograph's own colour and the model's count alike."""
_SMOOTHING_ROUNDS = 6
_DARKEST_RATIO, _LIGHTEST_RATIO = 0.3, 1.6
"""Bounds of a photographed colour over the model's."""
_COEFFICIENT_RIDGE = 1e-3


@torch.no_grad()
def seen_skins(
    head: HeadAssets, learner: AlbedoLearner, half: Int[np.ndarray, " entry"], count: int
) -> Float[np.ndarray, "skin vertex 3"]:
    """Whole heads in the skins of the photographs that show most of theirs.

    Args:
        head: With the learned albedo.
        learner: What learned it, with its photographs.
        half: Vertex of each of the learner's entries; the other half is its mirror image.
        count: How many skins at most.

    Returns:
        Linear RGB in [0, 1], mirror-symmetric: a photograph's colour over its light where it is seen on one of the two
        sides, the model's albedo elsewhere.
    """
    entries = len(half)
    coverage, residuals, predictions = [], [], []
    for part, color, trust, harmonics in learner.photographs():
        shading = (harmonics @ learner.state.lighting[part]).clamp(min=_LOWEST_SHADING)
        predicted = learner.model.predict(learner.state.means[part])[:, :entries].clamp(min=0.0)
        first, second = trust.split(entries, dim=1)
        left, right = (color / shading).clamp(max=1.0).split(entries, dim=1)
        total = first + second
        merged = (first[..., None] * left + second[..., None] * right) / total.clamp(min=1e-6)[..., None]
        # Hair over a cheek is as dark as it likes; a head that has none there shall not look burnt.
        merged = merged.maximum(_DARKEST_RATIO * predicted).minimum(_LIGHTEST_RATIO * predicted + 0.02)
        share = total / (total + _TRUST_FOR_HALF)
        for _ in range(_SMOOTHING_ROUNDS):
            share = torch.minimum(share, learner.smooth(share))
        coverage.append(share[:, learner.core].mean(1))
        residuals.append((share[..., None] * (merged - predicted)).half())
        predictions.append(predicted.half())
    order = torch.cat(coverage).argsort(descending=True)[:count]
    residual, predicted = torch.cat(residuals)[order].float().numpy(), torch.cat(predictions)[order].float().numpy()
    basis = head.albedo_basis[:, half].reshape(len(head.albedo_basis), -1)
    wanted = (predicted - head.albedo_mean[half]).reshape(len(predicted), 3 * len(half))
    normal = basis @ basis.T + _COEFFICIENT_RIDGE * np.eye(len(basis), dtype=np.float32)
    coefficients = np.linalg.solve(normal, basis @ wanted.T).T
    skins = np.empty((len(predicted), *head.vertices_mm.shape), np.float32)
    for row, values in enumerate(coefficients):
        skins[row] = head.albedo_mean + np.einsum("k,kvx->vx", values, head.albedo_basis)
        skins[row, half] += residual[row]
        skins[row, head.mirror[half]] = skins[row, half]
    return skins.clip(0.0, 1.0)


def save_skins(path: Path, skins: Float[np.ndarray, "skin vertex 3"]) -> None:
    """Write skins, 8 bits a channel of their square roots, which is about what eyes tell apart."""
    coded = np.rint(255.0 * np.sqrt(skins.clip(0.0, 1.0))).astype(np.uint8)
    save_tensors({"skins_sqrt": coded}, path, {"format": SKINS_FORMAT})
