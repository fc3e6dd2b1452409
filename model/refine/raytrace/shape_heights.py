"""Shape from shading on a head: heights along the vertex normals that explain what the light makes of the skin.

The light that arrives is linear in the normal while visibility stays (`visibility.normal_table`), so that the rendering
of a bent surface costs one product per sample:

    radiance = albedo * texture * (arriving + (n - n0) . slope) + glossy
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from model.face.morphable_model import MorphableModel
from model.geometry.mesh import uniform_laplacian, vertex_normals
from model.refine.raster.offsets import LargeSteps
from model.refine.raster.unknowns import moved_vertices
from model.refine.raytrace import priors
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.raytraced_face import RaytracedState
from model.refine.raytrace.reflectance import TextureVariable, texture_side
from model.refine.raytrace.shape_config import ShapeConfig
from model.refine.raytrace.visibility import normal_table, trace_visibility

_WEIGHTS_ARE_FOR_PX = 256
_LEAST_IRRADIANCE = 1e-3


class FoundLight:
    """The light that was found as a basis of three functions, its colour channels."""

    count = 3
    nonnegative = True

    def __init__(self, state: RaytracedState) -> None:
        """Take the light.

        Raises:
            ValueError: If it has lamps.
        """
        self._setup, self._light = state.setup, state.light.detach().cpu()

    def radiance(self, directions: Float[Tensor, "direction 3"]) -> Float[Tensor, "direction light"]:
        """Radiance of each channel."""
        return self._setup.radiance(directions, self._light).clamp(min=0.0)

    def starting_light(self, lighting: Float[Tensor, "9 3"]) -> Float[Tensor, "light 3"]:
        """Itself."""
        return torch.eye(3).to(lighting)


def irradiance_slope(
    state: RaytracedState, rays: RayQueries | None, direction_count: int
) -> Float[Tensor, "sample 3 3"]:
    """What arrives per channel for each component of the normal, where nothing is in the way."""
    points = state.surface.points
    visibility = trace_visibility(points, rays, direction_count)
    return normal_table(points, visibility, FoundLight(state)).to(state.arriving)


class Heights:
    """The search for the heights of one face."""

    def __init__(
        self,
        morphable_model: MorphableModel,
        state: RaytracedState,
        slope: Float[Tensor, "sample 3 3"],
        config: ShapeConfig,
    ) -> None:
        """Start with no height and no texture.

        Args:
            morphable_model: The head.
            state: Light and skin; its surface has the shape that is moved, in camera space.
            slope: From `irradiance_slope`.
            config: Steps and weights.
        """
        self._state, self._slope, self._config = state, slope, config
        geometry, device = state.surface.geometry, state.arriving.device
        self._faces = geometry.faces.to(device)
        self._vertices_mm = geometry.vertices_mm.detach().float().to(device)
        self.vertex_normals = vertex_normals(self._vertices_mm[None], self._faces)[0]
        self._corners = self._faces.long()[state.surface.face_index.long().to(device)]
        self._barycentric = state.surface.barycentric.to(device)[..., None]
        self._start_normals = self._sample_normals(self.vertex_normals)
        moved = moved_vertices(morphable_model).to(device)
        self._moved = moved
        self._mirror = morphable_model.mirror.long().to(device)
        self._smooth = LargeSteps(morphable_model, moved, config.stiffness)
        self._laplacian = uniform_laplacian(self._faces, len(moved))
        self.raw = self._vertices_mm.new_zeros(self._smooth.moved_count, 1).requires_grad_()
        side = texture_side(state.surface.size_px, _WEIGHTS_ARE_FOR_PX)
        self._texture = TextureVariable(state.problem, side)

    def height_mm(self) -> Float[Tensor, "vertex 1"]:
        """Displacement of every vertex along its normal; differentiable in `raw`."""
        return self._smooth(self.raw)

    def radiance(self, height_mm: Float[Tensor, "vertex 1"]) -> Float[Tensor, "sample 3"]:
        """What the camera sees of the moved surface."""
        state = self._state
        vertices_mm = self._vertices_mm + height_mm * self.vertex_normals
        normals = vertex_normals(vertices_mm[None], self._faces)[0]
        bent = self._sample_normals(normals) - self._start_normals
        arriving = state.arriving + torch.einsum("pca,pa->pc", self._slope, bent)
        albedo = state.albedo_linear * self._texture(state.problem.uv)
        return albedo * arriving.clamp(min=_LEAST_IRRADIANCE) + state.glossy

    def terms(self) -> dict[str, Tensor]:
        """The objective, weighted."""
        config, texture = self._config, self._texture
        height_mm = self.height_mm()
        sides_mm = (height_mm - height_mm[self._mirror])[self._moved]
        bend_mm = (self._laplacian @ height_mm)[self._moved]
        of_texture = config.texture_smoothness * len(texture.raw) / _WEIGHTS_ARE_FOR_PX
        return {
            "distance": self._state.problem.distance(self.radiance(height_mm)),
            "size": 0.5 * config.size * (height_mm[self._moved] / config.height_sd_mm).square().mean(),
            "smoothness": 0.5 * config.smoothness * (bend_mm / config.bend_sd_mm).square().mean(),
            "symmetry": 0.5 * config.symmetry * (sides_mm / config.height_sd_mm).square().mean(),
            "texture_smoothness": of_texture * priors.smoothness(texture.raw, texture.seen),
            "texture_size": config.texture_size * texture.raw[texture.seen].square().mean(),
        }

    def run(self, history: History) -> Float[Tensor, "vertex 1"]:
        """Descend; the heights that were found."""
        config = self._config
        rates = ((self.raw, config.height_rate), (self._texture.raw, config.texture_rate))
        descend(self.terms, rates, config.steps, history, "shape")
        with torch.no_grad():
            return self.height_mm()

    def _sample_normals(self, normals: Float[Tensor, "vertex 3"]) -> Float[Tensor, "sample 3"]:
        return normalize((normals[self._corners] * self._barycentric).sum(1), dim=-1)
