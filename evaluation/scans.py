"""How near answered heads come to scans: the NoW benchmark's protocol, the profile, and how far its features stand out.

Everything is measured in the scan's own millimetres; `evaluation.scan_alignment` says how heads are laid onto scans,
`evaluation.profile_curve` how profiles are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from evaluation.profile_curve import (
    FeatureDepths,
    cut_at_middle,
    distances_to_curve,
    feature_depths,
    polyline,
)
from evaluation.scan_alignment import ScanDistances, align_to_scan, scan_to_mesh
from evaluation.scans_data import AnsweredHead, ScannedHead, ScanPicture
from inference.likeness import Likeness
from model.face.morphable_model import MorphableModel
from model.geometry.similarity import Similarity, align_landmarks
from model.geometry.surface_distance import Surface

_SAME_HEAD_MM = 0.5
"""A registered head whose vertices lie further from where its coefficients put them is of another head model."""

Answer = Callable[[ScanPicture], AnsweredHead | None]
"""Who is measured; None where no face was found."""


@dataclass(frozen=True)
class ScanErrors:
    """How far a head is from a scan, mm.

    Attributes:
        neutral: NoW's protocol: scan to the mesh of the identity alone.
        neutral_metrical: The same without a free scale.
        posed: Scan to the mesh as answered, with expression and offsets.
        posed_metrical: The same without a free scale.
        profile_mm: Mean distance from the true profile to that of the posed mesh, where `posed` has laid it.
        depths: Errors of the profile's features there; positive stands too far out.
    """

    neutral: ScanDistances
    neutral_metrical: ScanDistances
    posed: ScanDistances
    posed_metrical: ScanDistances
    profile_mm: float
    depths: FeatureDepths


@dataclass(frozen=True)
class PictureErrors:
    """A picture's result.

    Attributes:
        name: The picture, `HEAD_YAW`.
        errors: None where no face was found.
    """

    name: str
    errors: ScanErrors | None


@dataclass(frozen=True)
class Yardstick:
    """What stands beside the pictures.

    Attributes:
        head: Which scan.
        mean_head: The mean head on it.
        best_fit: The registered head model on it; None if it is not the same head model.
    """

    head: str
    mean_head: ScanErrors
    best_fit: ScanErrors | None


def measure(answer: AnsweredHead, head: ScannedHead) -> ScanErrors:
    """Lay a head onto a scan, in four ways, and measure what is left.

    Raises:
        ValueError: If the head lies so that its skin does not meet the scan's plane x = 0.
    """
    neutral = Surface(answer.neutral_mm, answer.faces)
    posed = Surface(answer.posed_mm, answer.faces)
    start7, posed7 = answer.neutral_landmarks7_mm, answer.posed_landmarks7_mm
    place = place_on_scan(posed, posed7, head, scaled=True)
    curve_mm = cut_at_middle(place.apply(answer.posed_mm), answer.faces, answer.skin)
    true_depths = feature_depths(polyline(head.profile_mm), head.landmarks7_mm)
    return ScanErrors(
        neutral=_distances(neutral, start7, head, scaled=True),
        neutral_metrical=_distances(neutral, start7, head, scaled=False),
        posed=ScanDistances.of(scan_to_mesh(posed, place, head.points_mm)),
        posed_metrical=_distances(posed, posed7, head, scaled=False),
        profile_mm=float(distances_to_curve(head.profile_mm, curve_mm).mean()),
        depths=feature_depths(curve_mm, place.apply(posed7)) - true_depths,
    )


def place_on_scan(
    surface: Surface, landmarks7_mm: Float[np.ndarray, "7 3"], head: ScannedHead, *, scaled: bool
) -> Similarity:
    """Where a mesh lies on a scan: by its seven landmarks, then by its surface.

    Args:
        surface: The mesh.
        landmarks7_mm: Its landmarks.
        head: The scan.
        scaled: Whether the scale is free; without it, the metrical variant.
    """
    start = align_landmarks(landmarks7_mm, head.landmarks7_mm, scaled=scaled)
    return align_to_scan(surface, start, head.points_mm, scaled=scaled)


def _distances(
    surface: Surface, landmarks7_mm: Float[np.ndarray, "7 3"], head: ScannedHead, *, scaled: bool
) -> ScanDistances:
    place = place_on_scan(surface, landmarks7_mm, head, scaled=scaled)
    return ScanDistances.of(scan_to_mesh(surface, place, head.points_mm))


def evaluate_pictures(pictures: Sequence[ScanPicture], answer: Answer) -> Iterator[PictureErrors]:
    """Measure what is answered about pictures, one after the other.

    Args:
        pictures: The pictures.
        answer: Who is measured.

    Yields:
        One result for each picture.
    """
    for picture in pictures:
        answered = answer(picture)
        yield PictureErrors(picture.name, None if answered is None else measure(answered, picture.head))


def evaluate_yardsticks(heads: Sequence[ScannedHead], model: MorphableModel) -> list[Yardstick]:
    """Measure the mean head and the registered one on each scan.

    Args:
        heads: The scans.
        model: The head model, on the CPU.
    """
    mean_mm = model.mean_mm.numpy()
    mean_head = AnsweredHead.of_model(model, mean_mm, mean_mm)
    fits = [_best_fit(head, model) for head in heads]
    return [
        Yardstick(head.name, measure(mean_head, head), None if fit is None else measure(fit, head))
        for head, fit in zip(heads, fits, strict=True)
    ]


def _best_fit(head: ScannedHead, model: MorphableModel) -> AnsweredHead | None:
    """The registered head, None if this model does not make it from its coefficients: it is of another one then."""
    coefficients = [torch.from_numpy(values).float()[None] for values in (head.fit_identity, head.fit_expression)]
    counts = [len(head.fit_vertices_mm), *(values.shape[1] for values in coefficients)]
    if counts != [len(model.mean_mm), model.identity_count, model.expression_count]:
        return None
    made_mm = model.vertices_mm(*coefficients)[0].double().numpy()
    place = align_landmarks(made_mm, head.fit_vertices_mm, scaled=True)
    if np.abs(place.apply(made_mm) - head.fit_vertices_mm).max() > _SAME_HEAD_MM:
        return None
    return AnsweredHead.of_model(model, head.fit_vertices_mm, model.neutral_mm(coefficients[0])[0].numpy())


class Reconstructing:
    """Answers as `infer.py` does: the largest face of the picture, its camera assumed."""

    def __init__(self, likeness: Likeness, model: MorphableModel) -> None:
        """Take who reconstructs, and the head model once more, on the CPU."""
        self._likeness = likeness
        self._model = model

    def __call__(self, picture: ScanPicture) -> AnsweredHead | None:
        """The head of a picture, None where no face is found.

        Raises:
            UnreadableImageError: If the picture cannot be read.
        """
        for head in self._likeness.reconstruct(picture.path, largest_face=True):
            neutral_mm = self._model.neutral_mm(head.parameters.identity)[0].numpy()
            return AnsweredHead.of_model(self._model, head.mesh.vertices_mm[0].numpy(), neutral_mm)
        return None
