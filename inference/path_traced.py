"""`path_traced.png`: the refined head in its own light, by Mitsuba where it can be used."""

import sys
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from inference.options import CommandLineError
from inference.pictures import as_bytes, over_background, to_srgb
from inference.refine_options import PictureConfig
from inference.refine_request import PathTrace
from inference.refined import RefinedFace
from inference.relit import head_geometry
from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics
from model.refine.mitsuba.scene import render
from model.refine.mitsuba.variant import why_unavailable

PathTracer = Callable[[RefinedFace], UInt8[np.ndarray, "size size 3"] | None]


def choose_path_tracer(asked: PathTrace, config: PictureConfig, morphable_model: MorphableModel) -> PathTracer | None:
    """What draws the pictures, None if nothing shall; says in one line why `auto` draws none.

    Raises:
        CommandLineError: If they are insisted on and cannot be drawn.
    """
    if asked == "no":
        return None
    reason = why_unavailable()
    if reason is None:
        return lambda refined: _picture(refined, config, morphable_model)
    if asked == "yes":
        raise CommandLineError(f"--path-trace yes: {reason}")
    print(f"no path-traced pictures: {reason}", file=sys.stderr)
    return None


def _picture(
    refined: RefinedFace, config: PictureConfig, morphable_model: MorphableModel
) -> UInt8[np.ndarray, "size size 3"] | None:
    if refined.raytraced is None:
        return None
    size_px = config.path_traced_px
    camera = crop_intrinsics(refined.fitted.intrinsics_px.cpu(), 0.0, 0.0, size_px / refined.crop.size_px)
    traced = render(
        head_geometry(refined, morphable_model),
        refined.raytraced.appearance,
        camera,
        size_px,
        samples=config.path_traced_samples,
    )
    mask = traced.coverage[..., None]
    # The edge's pixels are weighted with their coverage already.
    whole = traced.image_linear / mask.clamp(min=1.0 / config.path_traced_samples)
    return as_bytes(over_background(to_srgb(whole), mask))
