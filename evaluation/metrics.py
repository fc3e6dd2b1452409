"""The numbers of the tables: landmark error, overlap of boxes, separability of people, picture error."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def landmark_box(points_px: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "4"]:
    """Smallest box around points: (left, top, right, bottom)."""
    return np.concatenate((points_px.min(0), points_px.max(0)))


def nme_percent(predicted_px: Float[np.ndarray, "point 2"], truth_px: Float[np.ndarray, "point 2"]) -> float:
    """Normalised mean error of AFLW2000-3D (Zhu et al., "Face Alignment Across Large Poses", CVPR 2016, section 5).

    Args:
        predicted_px: Points found.
        truth_px: True points.

    Returns:
        Mean distance over the square root of the area of the true points' box, in percent.
    """
    left, top, right, bottom = landmark_box(truth_px)
    distances = np.linalg.norm(predicted_px - truth_px, axis=1)
    return float(100.0 * distances.mean() / np.sqrt((right - left) * (bottom - top)))


def intersection_over_union(box: Float[np.ndarray, "4"], other: Float[np.ndarray, "4"]) -> float:
    """Shared area of two boxes (left, top, right, bottom) over the area of both, in [0, 1]."""
    size = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    shared = float(np.prod(np.clip(size, 0.0, None)))
    both = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / both if both > 0.0 else 0.0


def area_under_roc(scores: Float[np.ndarray, " pair"], positive: Bool[np.ndarray, " pair"]) -> float:
    """Probability that a positive scores higher than a negative, ties counted half (Mann & Whitney 1947).

    Raises:
        ValueError: If there are no positives or no negatives.
    """
    count = int(positive.sum())
    if count == 0 or count == len(positive):
        raise ValueError("the area under the ROC curve needs positives and negatives")
    rank_sum = float(rankdata(scores)[positive].sum())
    return (rank_sum - count * (count + 1) / 2) / (count * (len(positive) - count))


def same_person_area(vectors: Float[np.ndarray, "face feature"], people: np.ndarray, *, cosine: bool = False) -> float:
    """How well the distance of feature vectors tells whether two faces are of one person.

    Args:
        vectors: One row a face.
        people: Name or number of the person of each face.
        cosine: Compare directions instead of places.

    Returns:
        Area under the ROC curve over all pairs, 0.5 for vectors that say nothing.
    """
    if cosine:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    squared = (vectors**2).sum(1)
    distances = squared[:, None] + squared[None] - 2.0 * vectors @ vectors.T
    first, second = np.triu_indices(len(vectors), 1)
    return area_under_roc(-distances[first, second], people[first] == people[second])
