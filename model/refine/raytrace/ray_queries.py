"""`RayQueries`: what the transport asks of a ray tracer, whoever answers.

Convention
----------
Camera space in millimetres, numpy float32 in and out, directions of unit length, N rays in one call. Triangles have no
back: a ray meets them from both sides. A ray starts where it is told to: keeping it clear of the surface it leaves is
the caller's part (`model.refine.raytrace.pixel_surface.offset_origins`).
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32


class Hits(NamedTuple):
    """The first thing each ray meets.

    Attributes:
        face_index: Triangle, -1 where there is none.
        barycentric: Weights of the triangle's three corners; 0 where there is none.
        distance_mm: Along the ray; infinite where there is none.
    """

    face_index: Int32[np.ndarray, " ray"]
    barycentric: Float[np.ndarray, "ray 3"]
    distance_mm: Float[np.ndarray, " ray"]


@runtime_checkable
class RayQueries(Protocol):
    """A mesh that rays can be sent at."""

    def occluded(
        self,
        origins_mm: Float[np.ndarray, "ray 3"],
        directions: Float[np.ndarray, "ray 3"],
        max_distance_mm: Float[np.ndarray, " ray"] | None = None,
    ) -> Bool[np.ndarray, " ray"]:
        """Whether anything lies on each ray.

        Args:
            origins_mm: Where the rays start.
            directions: Unit vectors.
            max_distance_mm: Where the rays end; never if None.
        """
        ...

    def first_hit(self, origins_mm: Float[np.ndarray, "ray 3"], directions: Float[np.ndarray, "ray 3"]) -> Hits:
        """The nearest triangle on each ray."""
        ...
