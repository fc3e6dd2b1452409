"""Caricatures: what makes a person differ from the mean person, made more (or less) of.

Brennan, "Caricature Generator", Leonardo 18 (1985), in three dimensions: every vertex moves on along its difference
from the mean face, put onto the person by a similarity, since size and place are nobody's features.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region, facial_skin, triangles_of
from model.geometry.procrustes import align_similarity
from model.geometry.self_intersection import intersecting_pairs

REGIONS = {
    "nose": ("nose",),
    "mouth": ("lips", "mouth_inner", "teeth", "tongue"),
    "eyes": ("eyelids", "eyes", "eye_sockets"),
    "ears": ("ears",),
    "skull": ("scalp",),
    "neck": ("neck",),
}
"""What may have a factor of its own, and the regions of the head model that it is made of."""
LEAST_FACTOR, LARGEST_FACTOR = 0.0, 3.0
"""0 is the mean person's face, 1 the person's own."""

_FADE_MM = 14.0
_GIVE_WAY_MM, _GIVE_WAY = 12.0, 0.4
"""Where triangles would cut one another, the exaggeration within about so many mm is lessened by this share, again and
again."""
_ROUNDS = 24


@dataclass(frozen=True)
class Caricature:
    """An exaggerated head at rest.

    Attributes:
        rest_mm: Its vertices, model space.
        factors: By what the difference of each vertex was multiplied.
        asked: By what it was to be multiplied.
    """

    rest_mm: Float[np.ndarray, "vertex 3"]
    factors: Float[np.ndarray, " vertex"]
    asked: Float[np.ndarray, " vertex"]

    @property
    def held_back(self) -> float:
        """Share of the vertices whose factor is off by more than 0.05, since triangles would cut one another."""
        return float((np.abs(self.factors - self.asked) > 0.05).mean())


def region_weights(model: MorphableModel) -> dict[str, Float[np.ndarray, " vertex"]]:
    """How far each vertex belongs to each of the `REGIONS` that the head has, fading out over a centimetre, [0, 1]."""
    mean, weights = model.mean_mm.cpu().numpy(), {}
    for name, parts in REGIONS.items():
        inside = any_region(model, *parts).cpu().numpy()
        if inside.any():
            distance = KDTree(mean[inside]).query(mean)[0]
            weights[name] = np.exp(-((distance / _FADE_MM) ** 2)).astype(np.float32)
    return weights


def mean_person_mm(rest_mm: Float[np.ndarray, "vertex 3"], model: MorphableModel) -> Float[np.ndarray, "vertex 3"]:
    """The mean person's head put onto a head at rest by the similarity that fits their facial skin best."""
    mean = model.neutral_mm(model.identity_center[None]).cpu()
    weight = facial_skin(model).float().cpu()
    return align_similarity(mean, torch.from_numpy(rest_mm).float()[None], weight)[0].numpy()


def mean_placement(rest_mm: Float[np.ndarray, "vertex 3"], model: MorphableModel) -> Float[np.ndarray, "4 3"]:
    """What puts the mean person's vertices, each with a 1 behind it, where `mean_person_mm` has them: a matrix."""
    mean = model.neutral_mm(model.identity_center[None])[0].cpu().numpy().astype(np.float64)
    with_one = np.concatenate((mean, np.ones((len(mean), 1))), axis=1)
    return np.linalg.lstsq(with_one, mean_person_mm(rest_mm, model).astype(np.float64), rcond=None)[0]


def exaggerated(
    rest_mm: Float[np.ndarray, "vertex 3"],
    model: MorphableModel,
    factor: float,
    regions: Mapping[str, float] | None = None,
) -> Caricature:
    """Exaggerate a head as far as asked, and where its surface would cut itself, as far as it does not.

    Args:
        rest_mm: The head at rest: identity and detail, no expression.
        model: Its head model.
        factor: Of the difference from the mean person.
        regions: Factors of their own, by the names of `REGIONS`.

    Raises:
        ValueError: If a factor is out of its range, or the head has no such region.
    """
    weights = region_weights(model)
    for name, value in {"factor": factor, **(regions or {})}.items():
        if not LEAST_FACTOR <= value <= LARGEST_FACTOR:
            raise ValueError(f"{name} {value:g}: expected {LEAST_FACTOR:g} (mean) to {LARGEST_FACTOR:g}")
        if name != "factor" and name not in weights:
            raise ValueError(f"region {name!r}: expected one of {', '.join(weights)}")
    asked = _factors(factor, regions or {}, weights, len(rest_mm))
    for eyeball in ("left_eye", "right_eye"):
        inside = any_region(model, eyeball).cpu().numpy()
        if inside.any():
            # An eyeball stays round.
            asked[inside] = asked[inside].mean()
    difference = rest_mm - mean_person_mm(rest_mm, model)
    lips = any_region(model, "lips").cpu().numpy()
    factors = _without_cuts(rest_mm, difference, asked, skin_triangles(model), lips)
    moved = rest_mm + (factors - 1.0)[:, None] * difference
    return Caricature(moved.astype(np.float32), factors.astype(np.float32), asked.astype(np.float32))


def skin_triangles(model: MorphableModel) -> Int[np.ndarray, "face 3"]:
    """The surface that must not cut itself. Inside, teeth stand in gums and eyeballs in sockets from the start."""
    outside = ~any_region(model, *NO_SKIN)
    return model.faces[triangles_of(model, outside)].cpu().numpy()


def _factors(
    factor: float,
    regions: Mapping[str, float],
    weights: Mapping[str, Float[np.ndarray, " vertex"]],
    count: int,
) -> Float[np.ndarray, " vertex"]:
    """The factor of each vertex: where regions overlap, a mean of theirs."""
    total = np.zeros(count)
    own = np.zeros(count)
    for name, value in regions.items():
        total += weights[name]
        own += weights[name] * (value - factor)
    return factor + own / np.maximum(total, 1.0)


def _without_cuts(
    rest_mm: Float[np.ndarray, "vertex 3"],
    difference_mm: Float[np.ndarray, "vertex 3"],
    asked: Float[np.ndarray, " vertex"],
    faces: Int[np.ndarray, "face 3"],
    lips: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """The factors, lessened about places where triangles would cut one another that do not at rest.

    Lips that press on each other at rest may go on doing so: their contact is the head model's, not the caricature's.
    """
    before = {tuple(pair) for pair in intersecting_pairs(rest_mm, faces).tolist()}
    of_lips = np.any(lips[faces], axis=1)
    pressed = any(of_lips[list(pair)].all() for pair in before)
    beyond = asked - 1.0
    for number in range(_ROUNDS):
        pairs = intersecting_pairs(rest_mm + beyond[:, None] * difference_mm, faces)
        new = [pair for pair in pairs.tolist() if tuple(pair) not in before and not (pressed and of_lips[pair].all())]
        if not new:
            return 1.0 + beyond
        places = rest_mm[np.unique(faces[np.unique(new)])]
        # What does not give way in one place by the last rounds is lessened everywhere.
        reach = _GIVE_WAY_MM * 2.0 ** max(0, number - _ROUNDS // 2)
        beyond = beyond * (1.0 - _GIVE_WAY * np.exp(-((KDTree(places).query(rest_mm)[0] / reach) ** 2)))
    return np.ones_like(asked)
