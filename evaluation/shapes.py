"""How well the shape of drawn heads is found, whose truth is known, and how sure the model rightly is of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.landmarks import yaw_from_landmarks
from model.geometry.procrustes import align_similarity
from model.reconstructor import Reconstructor
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY
from training.synthetic_geometry import geometry_weight

FRONT_DEGREES, SIDE_DEGREES = 30.0, 60.0
"""Up to the first yaw a head counts as seen from the front, from the second on as seen from the side."""


@dataclass(frozen=True)
class PeopleResult:
    """How the answered neutral heads differ from one another beside how the true ones do.

    Attributes:
        heads: How many.
        variance: Sum of the answers' squared deviations from their mean over that of the truth's from theirs; 0 for
            one face for all.
        correlation: Of the two sets of deviations, all vertices and coordinates of the face together.
    """

    heads: int
    variance: float
    correlation: float


@dataclass(frozen=True)
class ShapeResult:
    """All heads together; errors are mean distances in mm over the face, after the best similarity.

    Attributes:
        heads: How many.
        mean_mm: The mean head.
        linear_mm: The model without its detail.
        detailed_mm: The model; equal to the former where it has no detail.
        within_sigma: Share of the coordinates whose error is below the standard deviation that the model answered:
            0.68 for one that knows itself. None without detail.
        mean_sigma_mm: Mean of these deviations, None likewise.
        front: How people differ, of the heads seen from the front; None with fewer than three.
        side: The same of those seen from the side.
    """

    heads: int
    mean_mm: float
    linear_mm: float
    detailed_mm: float
    within_sigma: float | None
    mean_sigma_mm: float | None
    front: PeopleResult | None
    side: PeopleResult | None


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
    heads, within, sigma_mm, detailed = 0, 0.0, 0.0, False
    people: list[tuple[Tensor, Tensor, Tensor]] = []
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
        identity = answer.parameters.identity
        neutral = (model.neutral_mm(identity), batch[NEUTRAL_KEY].to(weight))
        answered, true = (align_similarity(points, mean_mm, weight)[:, judged].cpu() for points in neutral)
        people.append((_true_yaw_degrees(batch), answered, true))
        if answer.detail is not None:
            detailed = True
            sigma = answer.detail.sigma_mm[:, judged, None]
            within += float((errors[2][:, judged].abs() < sigma).double().mean((1, 2)).sum())
            sigma_mm += float(sigma.double().mean((1, 2)).sum())
    if heads == 0:
        raise ValueError("no drawn heads to compare with")
    mean_mm, linear_mm, detailed_mm = (sums / heads).tolist()
    shares = (within / heads, sigma_mm / heads) if detailed else (None, None)
    yaw, answered, true = (torch.cat(part) for part in zip(*people, strict=True))
    views = (yaw <= FRONT_DEGREES, yaw > SIDE_DEGREES)
    front, side = (_people(answered[seen], true[seen]) for seen in views)
    return ShapeResult(heads, mean_mm, linear_mm, detailed_mm, *shares, front, side)


def _true_yaw_degrees(batch: Mapping[str, Any]) -> Float[Tensor, " batch"]:
    """Turn of the head against the camera's axis, from its labels, as photographs' are."""
    points = batch["landmarks68_px"].cpu().numpy()
    return torch.tensor([abs(math.degrees(yaw_from_landmarks(face))) for face in points])


def _people(
    answered_mm: Float[Tensor, "head vertex 3"], true_mm: Float[Tensor, "head vertex 3"]
) -> PeopleResult | None:
    if len(true_mm) < 3:
        return None
    answered, true = ((shape - shape.mean(0)).double().flatten() for shape in (answered_mm, true_mm))
    variance, total = float(answered @ answered), float(true @ true)
    product = float(answered @ true)
    return PeopleResult(len(true_mm), variance / total, product / max((variance * total) ** 0.5, 1e-12))


def _distance_mm(error_mm: Float[Tensor, "batch vertex 3"], judged: Tensor) -> Float[Tensor, ""]:
    """Sum over heads of the mean distance."""
    return error_mm[:, judged].double().norm(dim=-1).mean(1).sum()


def format_shapes(result: ShapeResult) -> str:
    """The comparison as text."""
    lines = [f"shape of {result.heads} drawn heads, mean distance over the face after the best similarity, mm"]
    rows = [("mean head", result.mean_mm), ("model without its detail", result.linear_mm)]
    if result.within_sigma is not None:
        rows.append(("model", result.detailed_mm))
    lines += [f"{name:<52}{value:>8.2f}" for name, value in rows]
    if result.within_sigma is not None:
        gain = 100.0 * (1.0 - result.detailed_mm / max(result.linear_mm, 1e-9))
        lines.append(f"{'error taken off by the detail':<52}{gain:>8.1f} %")
        lines.append(f"{'coordinates within one answered sigma':<52}{100.0 * result.within_sigma:>8.1f} %")
        lines.append(f"{'mean answered sigma':<52}{result.mean_sigma_mm:>8.2f} mm")
    views = ((f"up to {FRONT_DEGREES:.0f} degrees", result.front), (f"beyond {SIDE_DEGREES:.0f} degrees", result.side))
    lines += ["", "neutral heads after a similarity: how people differ"]
    for name, people in views:
        if people is not None:
            title = f"seen {name} ({people.heads} heads): variance over the truth's"
            lines.append(f"{title:<66}{people.variance:>8.2f}")
            lines.append(f"{f'seen {name}: correlation with the truth':<66}{people.correlation:>8.2f}")
    return "\n".join(lines)
