"""What Mitsuba's camera sees, to compare with our own rasterizer and ray tracer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.refine.mitsuba import scene
from model.refine.raytrace.pixel_surface import HeadGeometry


@dataclass(frozen=True)
class SurfaceBuffers:
    """What Mitsuba's camera sees at the centres of the pixels; 0 where it sees nothing.

    Attributes:
        hit: Where the head is.
        position_mm: Camera space.
        normal: Shading normal.
        uv: Texture coordinates, v up.
    """

    hit: Bool[Tensor, "size size"]
    position_mm: Float[Tensor, "size size 3"]
    normal: Float[Tensor, "size size 3"]
    uv: Float[Tensor, "size size 2"]


def surface_buffers(geometry: HeadGeometry, intrinsics_px: Float[Tensor, "3 3"], size_px: int) -> SurfaceBuffers:
    """What the camera sees, to compare with our own rasterizer and ray tracer.

    Raises:
        MitsubaUnavailableError: If Mitsuba or an LLVM for it is missing.
        ValueError: If the camera's pixels are not square.
    """
    mi = scene.start_mitsuba()
    traced = mi.load_dict(
        {
            "type": "scene",
            "sensor": scene._sensor(intrinsics_px, size_px),
            "head": scene._mesh(mi, geometry, {"type": "diffuse"}),
        }
    )
    row, column = np.meshgrid(np.arange(size_px), np.arange(size_px), indexing="ij")
    centres = ((np.stack((column.ravel(), row.ravel())) + 0.5) / size_px).astype(np.float32)
    rays, _ = traced.sensors()[0].sample_ray(0.0, 0.5, mi.Point2f(centres), mi.Point2f(0.5, 0.5))
    found = traced.ray_intersect(rays)
    hit = torch.from_numpy(np.array(found.is_valid())).view(size_px, size_px)

    def picture(values: Any) -> Float[Tensor, "size size channel"]:
        pixels = torch.from_numpy(np.array(values).T.copy()).float().view(size_px, size_px, -1)
        return torch.where(hit[..., None], pixels, 0.0)

    uv = picture(found.uv)
    uv[..., 1] = torch.where(hit, 1.0 - uv[..., 1], 0.0)
    return SurfaceBuffers(hit, picture(found.p), picture(found.sh_frame.n), uv)
