"""What a checkpoint says of many people at once: whether they differ, whether a face at rest is at rest.

A model may fit each photograph and yet hold one biased head for all people, and pose the rest with expressions. That is
seen only in the statistics of many answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from model.face.morphable_model import MorphableModel
from model.geometry.procrustes import align_similarity
from model.observation import Observation
from model.reconstructor import Reconstructor

ACTIVE = 0.1
"""Weight above which a blendshape counts as active."""

_NEUTRAL_LIMITS = {
    "mouthSmile": 0.12,
    "jawOpen": 0.05,
    "mouthFunnel": 0.1,
    "mouthPucker": 0.3,
    "mouthFrown": 0.1,
    "browInnerUp": 0.15,
    "browDown": 0.2,
    "eyeBlink": 0.3,
    "mouthUpperUp": 0.1,
    "mouthLowerDown": 0.1,
}
"""Labels below which a face is at rest, by the start of the blendshape's name."""

_SMILING = 0.5
CORRELATED = ("jawOpen", "mouthSmile", "eyeBlink", "browInnerUp")
_TRUSTED = 0.99
"""Only labels of near-frontal faces count, where they are trusted fully."""


@dataclass(frozen=True)
class Answers:
    """What a model says of N photographs.

    Attributes:
        identity: Standard deviations.
        expression: Weights in alphabetical order of their names.
        labels: Labelled weights in the same order.
        trusted: Photographs whose labels count.
        person: Number of the person, -1 where unknown.
    """

    identity: Float[np.ndarray, "photograph identity"]
    expression: Float[np.ndarray, "photograph 52"]
    labels: Float[np.ndarray, "photograph 52"]
    trusted: Bool[np.ndarray, " photograph"]
    person: Int[np.ndarray, " photograph"]


@dataclass(frozen=True)
class Population:
    """Statistics of answers.

    Attributes:
        photographs: How many.
        mean_norm: Norm of the mean identity, standard deviations.
        mean_distance: Its distance from the head's mean person (`MorphableModel.identity_center`).
        spread: Standard deviation of each identity component over the photographs.
        neutral_faces: Photographs of faces at rest, by their labels.
        active_on_neutral: Blendshapes above `ACTIVE` on them, mean; NaN without any.
        active_on_all: The same on all photographs with labels.
        correlations: With the labels, by the start of the blendshape's name; both sides are pooled.
        identity_expression: Root mean square correlation between identity components and blendshapes.
        same_person_mm: Mean distance between the neutral heads of a smiling and of a resting photograph of one person,
            after a similarity, over the face.
        strangers_mm: The same between a smiling and a resting photograph of two people.
        pairs: How many pairs of one person.
    """

    photographs: int
    mean_norm: float
    mean_distance: float
    spread: Float[np.ndarray, " identity"]
    neutral_faces: int
    active_on_neutral: float
    active_on_all: float
    correlations: dict[str, float]
    identity_expression: float
    same_person_mm: float
    strangers_mm: float
    pairs: int


@torch.inference_mode()
def ask(observations: Iterable[Observation], reconstructor: Reconstructor) -> Answers:
    """Encode photographs.

    Args:
        observations: Batches of crops with labels.
        reconstructor: The model; its head must have ARKit's 52 blendshapes.

    Raises:
        ValueError: If there is no photograph, or the head has other expressions.
    """
    names = reconstructor.morphable_model.expression_names
    if len(names) != 52:
        raise ValueError(f"the population of a head with {len(names)} expressions: ARKit's 52 are needed")
    order = np.argsort(np.array(names))
    parts: list[tuple[np.ndarray, ...]] = []
    for observation in observations:
        parameters = reconstructor.encode(observation.image_srgb, observation.intrinsics_px)
        parts.append(
            (
                parameters.identity.cpu().numpy(),
                parameters.expression.cpu().numpy()[:, order],
                observation.blendshapes.cpu().numpy(),
                observation.blendshapes_weight.cpu().numpy() >= _TRUSTED,
                observation.person.cpu().numpy(),
            )
        )
    if not parts:
        raise ValueError("no photographs to ask about")
    return Answers(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def measure_population(answers: Answers, model: MorphableModel, weight: Float[torch.Tensor, " vertex"]) -> Population:
    """The statistics of answers.

    Args:
        answers: Of `ask`.
        model: The head.
        weight: Of each vertex in comparing shapes (`training.synthetic_geometry.geometry_weight`).
    """
    names = sorted(model.expression_names)
    labels, expression = answers.labels, answers.expression
    neutral = answers.trusted.copy()
    for stem, limit in _NEUTRAL_LIMITS.items():
        neutral &= (labels[:, _columns(names, stem)] < limit).all(1)
    smiling = answers.trusted & (labels[:, _columns(names, "mouthSmile")] > _SMILING).all(1)
    active = (expression > ACTIVE).sum(1)
    mean = answers.identity.mean(0)
    same_mm, strangers_mm, pairs = _neutral_agreement(answers, neutral, smiling, model, weight)
    return Population(
        photographs=len(answers.identity),
        mean_norm=float(np.linalg.norm(mean)),
        mean_distance=float(np.linalg.norm(mean - model.identity_center.cpu().numpy())),
        spread=answers.identity.std(0),
        neutral_faces=int(neutral.sum()),
        active_on_neutral=float(active[neutral].mean()) if neutral.any() else float("nan"),
        active_on_all=float(active[answers.trusted].mean()) if answers.trusted.any() else float("nan"),
        correlations={stem: _correlation(answers, _columns(names, stem)) for stem in CORRELATED},
        identity_expression=_cross_correlation(answers.identity, expression),
        same_person_mm=same_mm,
        strangers_mm=strangers_mm,
        pairs=pairs,
    )


def _columns(names: list[str], stem: str) -> list[int]:
    return [index for index, name in enumerate(names) if name.startswith(stem)]


def _correlation(answers: Answers, columns: list[int]) -> float:
    label, answer = (values[answers.trusted][:, columns] for values in (answers.labels, answers.expression))
    if len(label) < 3 or label.std() < 1e-9 or answer.std() < 1e-9:
        return float("nan")
    # The mean of both sides: a smile is one thing, and labels seldom tell its sides apart.
    return float(np.corrcoef(label.mean(1), answer.mean(1))[0, 1])


def _cross_correlation(
    identity: Float[np.ndarray, "photograph identity"], expression: Float[np.ndarray, "photograph 52"]
) -> float:
    moving = expression[:, expression.std(0) > 1e-6]
    if moving.shape[1] == 0 or len(identity) < 3:
        return float("nan")
    first, second = ((v - v.mean(0)) / v.std(0).clip(1e-9) for v in (identity, moving))
    return float(np.sqrt(np.square(first.T @ second / len(first)).mean()))


def _neutral_agreement(
    answers: Answers,
    neutral: Bool[np.ndarray, " photograph"],
    smiling: Bool[np.ndarray, " photograph"],
    model: MorphableModel,
    weight: Float[torch.Tensor, " vertex"],
) -> tuple[float, float, int]:
    known = answers.person >= 0
    resting, laughing = np.flatnonzero(neutral & known), np.flatnonzero(smiling & known)
    if len(resting) == 0 or len(laughing) == 0:
        return float("nan"), float("nan"), 0
    identity = torch.from_numpy(answers.identity[np.concatenate((resting, laughing))]).to(model.mean_mm)
    vertices_mm = model.neutral_mm(identity)
    vertices_mm = align_similarity(vertices_mm, model.mean_mm.expand_as(vertices_mm), weight)
    faces = vertices_mm[:, weight >= 1.0]
    first, second = faces[: len(resting)], faces[len(resting) :]
    # Row by row: all pairs of all vertices at once would not fit into memory.
    distance = np.stack([(second - one).norm(dim=-1).mean(1).cpu().numpy() for one in first])
    same = answers.person[resting][:, None] == answers.person[laughing][None]
    mean = [float(distance[chosen].mean()) if chosen.any() else float("nan") for chosen in (same, ~same)]
    return mean[0], mean[1], int(same.sum())


def format_population(population: Population) -> str:
    """The statistics as text."""
    spread = population.spread
    rows: list[tuple[str, str]] = [
        ("photographs", f"{population.photographs}"),
        ("mean identity: norm, standard deviations", f"{population.mean_norm:.2f}"),
        ("mean identity: distance from the head's mean person", f"{population.mean_distance:.2f}"),
        ("spread of identity components: mean", f"{spread.mean():.2f}"),
        (
            "spread of identity components: least, first ten, largest",
            f"{spread.min():.2f}, {spread[:10].mean():.2f}, {spread.max():.2f}",
        ),
        (
            f"blendshapes above {ACTIVE} on {population.neutral_faces} faces at rest",
            f"{population.active_on_neutral:.1f}",
        ),
        (f"blendshapes above {ACTIVE} on all near-frontal faces", f"{population.active_on_all:.1f}"),
        ("correlation of identity and expression, root mean square", f"{population.identity_expression:.3f}"),
        *((f"correlation with labels: {stem}", f"{value:.2f}") for stem, value in population.correlations.items()),
        (
            f"neutral heads, smiling against resting: one person ({population.pairs} pairs)",
            f"{population.same_person_mm:.2f} mm",
        ),
        ("neutral heads, smiling against resting: strangers", f"{population.strangers_mm:.2f} mm"),
    ]
    return "\n".join(f"{name:<66}{value:>20}" for name, value in rows)
