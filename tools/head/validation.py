"""How well the finished head reproduces the source: random faces and expressions, its best fit to each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from model.face.assets import HeadAssets
from model.face.readers.ict import MM_PER_CM
from tools.head.assemble import SampledHead

_SHAPES_AT_ONCE = 8
"""Expressions at work in a random face."""


@dataclass(frozen=True)
class ResamplingError:
    """Distances between source faces at our vertices and our head's best fit.

    Attributes:
        mean_mm: Mean over vertices and faces.
        worst_face_mm: The largest mean of one face.
        worst_vertex_mm: The largest distance of one vertex of one face.
    """

    mean_mm: float
    worst_face_mm: float
    worst_vertex_mm: float


def resampling_error(
    head: HeadAssets,
    sampled: SampledHead,
    neutral_mm: Float[np.ndarray, "source 3"],
    identity_mm: Float[np.ndarray, "identity source 3"],
    expression_mm: Float[np.ndarray, "shape source 3"],
    count: int = 1000,
    seed: int = 0,
) -> ResamplingError:
    """Draw source faces, sample them at our vertices, fit our head to each by least squares.

    Args:
        head: The finished head, as read back from its file.
        sampled: Where its vertices lie on the source.
        neutral_mm: The source's mean.
        identity_mm: The source's components.
        expression_mm: The source's own expressions, split as it splits them.
        count: Faces.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    truth_basis = sampled.sample(np.concatenate([identity_mm, expression_mm])).reshape(
        len(identity_mm) + len(expression_mm), -1
    )
    # Eyeballs that turn and the tongue are ours alone; they can only explain what is not in the source.
    basis = np.concatenate([head.identity_basis, head.expression_basis])
    basis = basis.reshape(len(basis), -1).astype(np.float64)
    offset = (sampled.sample(neutral_mm) - head.vertices_mm).ravel()
    gram = basis @ basis.T + 1e-6 * np.eye(len(basis))
    means, worst = [], 0.0
    for _ in range(count):
        weights = np.zeros(len(expression_mm))
        active = random.choice(len(expression_mm), _SHAPES_AT_ONCE, replace=False)
        weights[active] = random.uniform(0.0, 1.0, _SHAPES_AT_ONCE)
        target = offset + np.concatenate([random.standard_normal(len(identity_mm)), weights]) @ truth_basis
        residual = target - np.linalg.solve(gram, basis @ target) @ basis
        distance = np.linalg.norm(residual.reshape(-1, 3), axis=1)
        means.append(distance.mean())
        worst = max(worst, float(distance.max()))
    return ResamplingError(float(np.mean(means)), float(np.max(means)), worst)


def source_expressions_mm(path: Path, count: int) -> Float[np.ndarray, "shape source 3"]:
    """The source's expressions as its file has them, in mm."""
    with np.load(path, allow_pickle=False) as archive:
        return MM_PER_CM * archive["expression"][:, :count].astype(np.float32)
