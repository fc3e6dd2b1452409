"""Whether the ray-traced stage's answer may be kept."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from model.geometry.mesh import Mesh, vertex_normals
from model.look.appearance import Appearance
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.pixel_surface import PixelSurface
from model.render.lighting import shade

_LEAST_BELIEVED = 0.4
"""Share of the face that must be bare skin. Less was hair over half a face, or a wrong head."""


def what_is_wrong(figures: dict[str, float], appearance: Appearance, config: RaytraceConfig) -> str:
    """Why an answer must not be kept; empty if it may."""
    found = (appearance.diffuse_linear, appearance.environment_linear, np.array(list(figures.values())))
    if not all(np.isfinite(values).all() for values in found):
        return "the answer holds values that are not finite; the earlier answer is kept"
    if figures["believed_share"] < _LEAST_BELIEVED:
        return (
            f"only {100.0 * figures['believed_share']:.0f} % of the face can be told from what is before it; "
            "the earlier answer is kept"
        )
    shadowed_db, plain_db = figures["psnr_statistical_db"], figures["psnr_start_statistical_db"]
    # With a free texture anything can be explained, shadows of a wrong shape too; with the statistical albedo not.
    if shadowed_db < plain_db + config.least_gain_db:
        return (
            f"light with the head's own shadows explains the photograph no better than light without "
            f"({shadowed_db:.1f} dB, {plain_db:.1f} dB before): the shape does not fit; the earlier answer is kept"
        )
    before_db, after_db = figures["psnr_before_db"], figures["psnr_after_db"]
    if after_db < min(before_db - config.most_loss_db, config.enough_db):
        return f"PSNR {after_db:.1f} dB is worse than {before_db:.1f} dB before; the earlier answer is kept"
    return ""


def harmonic_radiance(mesh: Mesh, surface: PixelSurface, lighting: Float[Tensor, "1 9 3"]) -> Float[Tensor, "sample 3"]:
    """The start's own rendering: harmonics of three bands, no shadow."""
    normals = vertex_normals(mesh.vertices_camera_mm, surface.geometry.faces)
    shading = shade(normals, lighting)[0]
    radiance = mesh.albedo_linear[0] * shading
    return surface.interpolate(radiance.cpu()).to(radiance)
