"""Whose face the renderings show: a face-recognition network on photographs and on the heads drawn from them.

A model may tell people apart in its coefficients and still draw faces in which nobody knows them again, and the other
way round. The network sees each drawn head alone, over black: hair and clothes of the photograph would tell it who it
is.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluation.metrics import area_under_roc, same_person_area
from model.losses.recognition import composite_srgb
from model.observation import Observation
from model.recognition import RecognitionNetwork, embed_faces
from model.render.renderer import Rendering


@dataclass(frozen=True)
class RenderingRecognition:
    """How well people are known again in renderings.

    Attributes:
        photograph_area: Area under the ROC curve of pairs of photographs, same person or not: what is possible.
        rendering_area: The same of pairs of renderings.
        crossed_area: The same of a rendering and another photograph.
        own_cosine: Mean cosine of a rendering and its photograph.
        stranger_cosine: Mean cosine of a rendering and a photograph of someone else.
    """

    photograph_area: float
    rendering_area: float
    crossed_area: float
    own_cosine: float
    stranger_cosine: float


def embed_both(
    network: RecognitionNetwork,
    observation: Observation,
    rendering: Rendering,
    landmarks68_px: Float[Tensor, "batch 68 2"],
) -> tuple[Float[np.ndarray, "batch feature"], Float[np.ndarray, "batch feature"]]:
    """The network's vectors of photographs, aligned by their labels, and of the heads drawn from them.

    Args:
        network: What embeds.
        observation: Photographs.
        rendering: Heads over black; drawn grey where the photograph is.
        landmarks68_px: The model's own points, which align the drawn heads.
    """
    black, everywhere = torch.zeros_like(observation.image_srgb), torch.ones_like(rendering.mask)
    heads_srgb = composite_srgb(rendering, black, everywhere, observation.color)
    photographs = embed_faces(network, observation.image_srgb, observation.landmarks68_px[..., :2])
    return photographs.cpu().numpy(), embed_faces(network, heads_srgb, landmarks68_px).cpu().numpy()


def rendering_recognition(
    photographs: Float[np.ndarray, "face feature"],
    renderings: Float[np.ndarray, "face feature"],
    people: Int[np.ndarray, " face"],
) -> RenderingRecognition:
    """Compare vectors of photographs and renderings of known people.

    Args:
        photographs: The network's vectors of photographs.
        renderings: Those of what was drawn from them.
        people: Who they are.

    Raises:
        ValueError: If nobody is there twice, or only one person is.
    """
    photographs, renderings = photographs.astype(np.float64), renderings.astype(np.float64)
    same = people[:, None] == people[None, :]
    cosine = _unit(renderings) @ _unit(photographs).T
    distance = (renderings**2).sum(1)[:, None] + (photographs**2).sum(1)[None] - 2.0 * renderings @ photographs.T
    # A rendering knows its own photograph by its pose and light, too.
    others = ~np.eye(len(people), dtype=bool)
    return RenderingRecognition(
        photograph_area=same_person_area(photographs, people),
        rendering_area=same_person_area(renderings, people),
        crossed_area=area_under_roc(-distance[others], same[others]),
        own_cosine=float(np.diag(cosine).mean()),
        stranger_cosine=float(cosine[~same].mean()),
    )


def format_rendering_recognition(result: RenderingRecognition) -> list[str]:
    """Its lines in the table of `evaluate.py photographs`."""
    return [
        "same person or not by a face-recognition network, area under the ROC curve",
        f"{'on the photographs (what is possible)':<52}{result.photograph_area:>8.3f}",
        f"{'on the drawn heads':<52}{result.rendering_area:>8.3f}",
        f"{'a drawn head and another photograph':<52}{result.crossed_area:>8.3f}",
        f"{'mean cosine, a drawn head and its photograph':<52}{result.own_cosine:>8.3f}",
        f"{'mean cosine, a drawn head and a stranger':<52}{result.stranger_cosine:>8.3f}",
    ]


def _unit(vectors: Float[np.ndarray, "face feature"]) -> Float[np.ndarray, "face feature"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
