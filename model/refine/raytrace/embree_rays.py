"""Ray queries on the CPU by Intel's Embree (Wald et al., SIGGRAPH 2014), through the wheel `embreex`.

The one place that imports it. On a CPU only: the tables made with it can be moved to any device.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Int

from model.refine.raytrace.ray_queries import Hits

_RAYS_PER_CALL = 1 << 18
"""Bounds what the answers of one call weigh: 40 bytes a ray."""


class EmbreeRays:
    """A triangle mesh in Embree's hierarchy; an implementation of `RayQueries`."""

    def __init__(
        self,
        vertices_mm: Float[np.ndarray, "vertex 3"],
        faces: Int[np.ndarray, "face 3"],
        threads: int | None = None,
    ) -> None:
        """Build the hierarchy (10 ms for 20,000 triangles).

        Args:
            vertices_mm: Vertices, camera space.
            faces: Triangles.
            threads: Among how many threads the rays are divided; the number of processors, 4 at most, if None.

        Raises:
            ImportError: If `embreex` is not installed; the message says how to get it.
            ValueError: If vertices are not finite.
        """
        scene_type, mesh_type = _embree()
        if not np.isfinite(vertices_mm).all():
            raise ValueError("vertices_mm holds values that are not finite; no rays can be sent at such a mesh")
        # Robust: no ray slips through the edge between two triangles.
        self._scene = scene_type(robust=True)
        # Kept alive: Embree refers to it.
        self._mesh = mesh_type(
            self._scene, np.ascontiguousarray(vertices_mm, np.float32), np.ascontiguousarray(faces, np.int32)
        )
        # The first query commits the scene, which must not happen in two threads at once.
        self._scene.run(np.zeros((1, 3), np.float32), np.array([[0.0, 0.0, 1.0]], np.float32), query="OCCLUDED")
        threads = min(os.cpu_count() or 1, 4) if threads is None else threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._threads = threads

    def occluded(
        self,
        origins_mm: Float[np.ndarray, "ray 3"],
        directions: Float[np.ndarray, "ray 3"],
        max_distance_mm: Float[np.ndarray, " ray"] | None = None,
    ) -> Bool[np.ndarray, " ray"]:
        """Whether anything lies on each ray; see `RayQueries`."""
        origins_mm, directions = _rays(origins_mm, directions)
        answer = np.empty(len(origins_mm), bool)
        ends_mm = None if max_distance_mm is None else np.ascontiguousarray(max_distance_mm, np.float32)

        def ask(rays: slice) -> None:
            distances_mm = None if ends_mm is None else ends_mm[rays]
            found = self._scene.run(origins_mm[rays], directions[rays], dists=distances_mm, query="OCCLUDED")
            answer[rays] = found >= 0

        self._divide(len(origins_mm), ask)
        return answer

    def first_hit(self, origins_mm: Float[np.ndarray, "ray 3"], directions: Float[np.ndarray, "ray 3"]) -> Hits:
        """The nearest triangle on each ray; see `RayQueries`."""
        origins_mm, directions = _rays(origins_mm, directions)
        count = len(origins_mm)
        hits = Hits(np.empty(count, np.int32), np.empty((count, 3), np.float32), np.empty(count, np.float32))

        def ask(rays: slice) -> None:
            found = self._scene.run(origins_mm[rays], directions[rays], output=True)
            met, u, v = found["primID"] >= 0, found["u"], found["v"]
            hits.face_index[rays] = found["primID"]
            hits.barycentric[rays] = np.stack((1.0 - u - v, u, v), axis=1) * met[:, None]
            hits.distance_mm[rays] = np.where(met, found["tfar"], np.inf)

        self._divide(count, ask)
        return hits

    def _divide(self, count: int, ask: Callable[[slice], None]) -> None:
        step = max(1, min(_RAYS_PER_CALL, -(-count // self._threads)))
        parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
        if self._pool is None or len(parts) == 1:
            for part in parts:
                ask(part)
        else:
            # Embree works outside Python's lock.
            list(self._pool.map(ask, parts))


def _embree() -> tuple[type, type]:
    # Imported late: whoever does not trace rays needs no ray tracer.
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise ImportError(
            "rays need the package embreex, which is not installed: pip install 'embreex==4.4.0.post1'"
        ) from error
    return EmbreeScene, TriangleMesh


def _rays(origins_mm: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(origins_mm, np.float32), np.ascontiguousarray(directions, np.float32)
