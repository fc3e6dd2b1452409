"""How well skin and light are told apart on faces of which everything is known."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from evaluation.inverse_rendering.faces import BenchmarkFace
from evaluation.inverse_rendering.metrics import SkinFigures, masked_psnr_db, skin_figures
from evaluation.inverse_rendering.truth import TEXEL_GRID
from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas, build_atlas
from model.refine.face import FaceCrop, FittedFace
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer


@dataclass(frozen=True)
class FoundSkin:
    """What a fit answers.

    Attributes:
        diffuse_linear: Its albedo map, row 0 at v = 1.
        rendered_linear: The face as it makes it look, in the photograph's pixels.
        drawn: Pixels that it says anything about.
        reason: What the fit says of it.
    """

    diffuse_linear: Float[np.ndarray, "texture texture 3"]
    rendered_linear: Float[np.ndarray, "size size 3"]
    drawn: Bool[np.ndarray, "size size"]
    reason: str


Fit = Callable[[FaceCrop, FittedFace], FoundSkin | None]
"""A fit with its settings; None where it keeps its start."""

Start = Callable[[BenchmarkFace], tuple[FaceCrop, FittedFace]]
"""The photograph as a fit is given it, and the answer that it begins with."""


@dataclass(frozen=True)
class FitResult:
    """One answer about one face.

    Attributes:
        face: The face.
        method: Which answer.
        figures: What it is worth.
        accepted: Whether a fit kept its own answer.
        seconds: What it took.
    """

    face: BenchmarkFace
    method: str
    figures: SkinFigures
    accepted: bool
    seconds: float


START, COMPONENTS = "start", "start, components only"


def evaluate_inverse_rendering(
    faces: Sequence[BenchmarkFace], model: MorphableModel, renderer: Renderer, start: Start, fits: dict[str, Fit]
) -> Iterator[FitResult]:
    """Run every fit on every face.

    Args:
        faces: The benchmark.
        model: The head.
        renderer: Draws the starts.
        start: What the fits begin with.
        fits: By the names that the table shows.

    Yields:
        For each face what its start is worth, with and without its detail, then each fit.
    """
    atlas = build_atlas(model, TEXEL_GRID)
    for face in faces:
        began = time.perf_counter()
        crop, beginning = start(face)
        seconds = time.perf_counter() - began
        of_start = _start_figures(face, model, renderer, atlas, beginning)
        yield FitResult(face, START, of_start, True, seconds)
        yield FitResult(face, COMPONENTS, _start_figures(face, model, renderer, atlas, beginning, False), True, seconds)
        for name, fit in fits.items():
            began = time.perf_counter()
            found = fit(crop, beginning)
            seconds = time.perf_counter() - began
            if found is None:
                yield FitResult(face, name, of_start, False, seconds)
                continue
            picture = linear_to_srgb(torch.from_numpy(found.rendered_linear).clamp(0.0, 1.0)).numpy()
            quality = masked_psnr_db(picture, unit_srgb(face), face.seen_face & found.drawn)
            yield FitResult(face, name, skin_figures(found.diffuse_linear, quality, face.texels), True, seconds)


@torch.no_grad()
def _start_figures(
    face: BenchmarkFace,
    model: MorphableModel,
    renderer: Renderer,
    atlas: Atlas,
    start: FittedFace,
    detailed: bool = True,
) -> SkinFigures:
    size = len(face.photograph_srgb)
    mesh = start.mesh(model)
    albedo_linear = mesh.albedo_linear if detailed else model.albedo_linear(start.parameters.albedo)
    albedo_linear = albedo_linear.clamp(0.005, 1.0)
    drawn = replace(mesh, albedo_linear=albedo_linear)
    lighting, camera = start.parameters.lighting, start.intrinsics_px[None]
    picture = renderer.render_mesh(drawn, lighting, model.faces, camera, size).image_linear[0]
    quality = masked_psnr_db(linear_to_srgb(picture.clamp(0.0, 1.0)).numpy(), unit_srgb(face), face.seen_face)
    texture = atlas.sample(albedo_linear[0].numpy())[atlas.nearest].astype(np.float32)
    return skin_figures(texture, quality, face.texels)


def unit_srgb(face: BenchmarkFace) -> Float[np.ndarray, "size size 3"]:
    """The photograph in [0, 1]."""
    return (face.photograph_srgb / 255.0).astype(np.float32)
