"""How well the shape of drawn heads is found, whose truth is known, and how sure the model rightly is of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from model.geometry.procrustes import align_similarity
from model.reconstructor import Reconstructor
from training.synthetic_geometry import VERTICES_KEY, geometry_weight


@dataclass(frozen=True)
class ShapeResult:
    """All heads together; errors are mean distances in mm over the face, after the best similarity.

    Attributes:
        heads: How many.
        mean_mm: The mean head.
        linear_mm: The model without its refinement.
        refined_mm: The model; equal to the former where it has no refinement.
        within_sigma: Share of the coordinates whose error is below the standard deviation that the model answered:
            0.68 for one that knows itself. None without a refinement.
        mean_sigma_mm: Mean of these deviations, None likewise.
    """

    heads: int
    mean_mm: float
    linear_mm: float
    refined_mm: float
    within_sigma: float | None
    mean_sigma_mm: float | None


@torch.inference_mode()
def evaluate_shapes(batches: Iterable[Mapping[str, Any]], reconstructor: Reconstructor) -> ShapeResult:
    """Reconstruct drawn heads and compare their shapes.

    Args:
        batches: Of `training.synthetic_geometry`.
        reconstructor: The model.

    Raises:
        ValueError: If there is no batch.
    """
    model = reconstructor.morphable_model
    weight = geometry_weight(model)
    judged = weight >= 1.0
    sums = torch.zeros(3, dtype=torch.float64)
    heads, within, sigma_mm, refined = 0, 0.0, 0.0, False
    for batch in batches:
        truth_mm = batch[VERTICES_KEY].to(weight)
        answer = reconstructor(batch["image_srgb"].to(weight), batch["intrinsics_px"].to(weight))
        linear_mm = reconstructor.linear_mesh(answer.parameters).vertices_mm
        mean_mm = model.mean_mm.expand_as(truth_mm)
        errors = [
            align_similarity(points, truth_mm, weight) - truth_mm
            for points in (mean_mm, linear_mm, answer.mesh.vertices_mm)
        ]
        sums += torch.stack([_distance_mm(error, judged) for error in errors]).cpu()
        heads += len(truth_mm)
        if answer.refinement is not None:
            refined = True
            sigma = answer.refinement.sigma_mm[:, judged, None]
            within += float((errors[2][:, judged].abs() < sigma).double().mean((1, 2)).sum())
            sigma_mm += float(sigma.double().mean((1, 2)).sum())
    if heads == 0:
        raise ValueError("no drawn heads to compare with")
    mean_mm, linear_mm, refined_mm = (sums / heads).tolist()
    shares = (within / heads, sigma_mm / heads) if refined else (None, None)
    return ShapeResult(heads, mean_mm, linear_mm, refined_mm, *shares)


def _distance_mm(error_mm: Float[Tensor, "batch vertex 3"], judged: Tensor) -> Float[Tensor, ""]:
    """Sum over heads of the mean distance."""
    return error_mm[:, judged].double().norm(dim=-1).mean(1).sum()


def format_shapes(result: ShapeResult) -> str:
    """The comparison as text."""
    lines = [f"shape of {result.heads} drawn heads, mean distance over the face after the best similarity, mm"]
    rows = [("mean head", result.mean_mm), ("model without its refinement", result.linear_mm)]
    if result.within_sigma is not None:
        rows.append(("model", result.refined_mm))
    lines += [f"{name:<52}{value:>8.2f}" for name, value in rows]
    if result.within_sigma is not None:
        gain = 100.0 * (1.0 - result.refined_mm / max(result.linear_mm, 1e-9))
        lines.append(f"{'error taken off by the refinement':<52}{gain:>8.1f} %")
        lines.append(f"{'coordinates within one answered sigma':<52}{100.0 * result.within_sigma:>8.1f} %")
        lines.append(f"{'mean answered sigma':<52}{result.mean_sigma_mm:>8.2f} mm")
    return "\n".join(lines)
