"""The refined head in its own light, by Mitsuba: `path_traced.png`."""

import numpy as np
from jaxtyping import UInt8

from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics
from model.pictures.drawing import as_bytes, over_background, to_srgb
from model.pictures.relit import head_geometry
from model.refine.mitsuba.scene import render
from model.refine.refined import RefinedFace


def draw_path_traced(
    refined: RefinedFace, morphable_model: MorphableModel, size_px: int, samples: int
) -> UInt8[np.ndarray, "size size 3"] | None:
    """Draw the head; None without a ray-traced answer, which knows its light.

    Args:
        refined: The face.
        morphable_model: Its head.
        size_px: Side of the picture.
        samples: Paths per pixel.

    Raises:
        MitsubaUnavailableError: If Mitsuba cannot be used here.
    """
    if refined.raytraced is None:
        return None
    camera = crop_intrinsics(refined.fitted.intrinsics_px.cpu(), 0.0, 0.0, size_px / refined.crop.size_px)
    albedo = refined.fitted.mesh(morphable_model).albedo_linear[0].detach().cpu().clamp(0.0, 1.0)
    geometry, appearance = head_geometry(refined, morphable_model), refined.raytraced.appearance
    traced = render(geometry, appearance, camera, size_px, vertex_albedo_linear=albedo, samples=samples)
    mask = traced.coverage[..., None]
    # The edge's pixels are weighted with their coverage already.
    whole = traced.image_linear / mask.clamp(min=1.0 / samples)
    return as_bytes(over_background(to_srgb(whole), mask))
