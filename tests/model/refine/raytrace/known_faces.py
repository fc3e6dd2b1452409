"""Problems with known light and skin and no ray tracer: a half ball with a nose, its transport written down."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from model.refine.raytrace.light_basis import fibonacci_directions
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import TransportTables, shade
from model.render.color import luminance

LEVELS = (0.2, 0.45, 0.8)
COMPONENTS = 40
_NOSE_RADIUS = 0.15
_SHADOW_LENGTH = 0.3


@dataclass(frozen=True)
class KnownFace:
    """A problem whose photograph is exact, and what it was made with."""

    problem: SkinProblem
    light: Tensor
    coefficients: Tensor
    f0: Tensor
    roughness: Tensor

    @property
    def reflection(self) -> Tensor:
        """Glossy transport of the true materials, sample x light."""
        identity = torch.eye(len(self.light), dtype=self.light.dtype)
        nothing = torch.zeros(len(self.f0), 3)
        columns = [
            shade(self.problem.tables, identity[:, k, None].expand(-1, 3), nothing, self.f0, self.roughness)[:, 0]
            for k in range(len(identity))
        ]
        return torch.stack(columns, dim=1)

    def radiance(self, light: Tensor, albedo_linear: Tensor) -> Tensor:
        return shade(self.problem.tables, light, albedo_linear, self.f0, self.roughness)


def known_face(
    side: int = 20,
    lights: int = 10,
    *,
    color: bool = True,
    f0: float = 0.04,
    roughness: float = 0.45,
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
    texture: Tensor | None = None,
) -> KnownFace:
    """Draw one: side x side samples on a grid over the texture space, row by row, v up; strongly uneven light.

    Args:
        side: Samples per row.
        lights: Basis lights.
        color: False for a grey photograph of the same face.
        f0: Reflectance of all samples.
        roughness: Of all samples.
        tint: Colour of the light.
        texture: Factor on the albedo, sample x 3, that no coefficient explains.
    """
    generator = torch.Generator().manual_seed(3)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    uv = torch.stack(((column.flatten() + 0.5) / side, 1.0 - (row.flatten() + 0.5) / side), dim=1)
    across, up = (1.7 * (uv - 0.5)).unbind(1)
    normals = normalize(torch.stack((across, up, (1.0 - across**2 - up**2).clamp(min=0.05).sqrt()), dim=1), dim=1)
    strength = 0.05 + 2.5 * (torch.rand(lights, generator=generator) > 0.6) * torch.rand(lights, generator=generator)
    light = strength[:, None] * torch.tensor(tint)
    coefficients = torch.zeros(COMPONENTS)
    coefficients[:2] = torch.tensor([1.0, -0.7])
    count = len(uv)
    left, top = (2.0 * uv - 1.0).unbind(1)
    basis = torch.zeros(COMPONENTS, count, 3)
    # Redder to the left, lighter to the top; what the others change is not seen.
    basis[0] = left[:, None] * torch.tensor([0.12, 0.0, -0.06])
    basis[1] = top[:, None] * torch.full((3,), 0.12)
    problem = SkinProblem(
        observed_linear=torch.zeros(count, 3),
        saturated=torch.zeros(count, 3, dtype=torch.bool),
        weight=torch.ones(count),
        color=color,
        uv=uv,
        albedo_mean=torch.tensor([0.5, 0.32, 0.25]).repeat(count, 1),
        albedo_basis=basis,
        regions=torch.nn.functional.one_hot((uv[:, 0] > 0.5).long(), 5).float(),
        tables=_tables(normals, uv, lights),
    )
    face = KnownFace(problem, light, coefficients, torch.full((count,), f0), torch.full((count,), roughness))
    albedo = problem.albedo_linear(coefficients) * (1.0 if texture is None else texture)
    seen = face.radiance(light, albedo)
    if not color:
        seen = luminance(seen)[:, None].repeat(1, 3)
    # Nothing is brighter than white: all of it is what the camera saw.
    scale = 0.9 / float(seen.max())
    return replace(face, problem=replace(problem, observed_linear=seen * scale), light=light * scale)


def _tables(normals: Tensor, uv: Tensor, lights: int) -> TransportTables:
    toward = fibonacci_directions(2 * lights)
    toward = toward[toward[:, 2].argsort(descending=True)[:lights]]
    # The nose throws its shadow away from the light.
    middle = uv[:, None] - 0.5 + _SHADOW_LENGTH * toward[None, :, :2]
    visible = middle.norm(dim=-1) > _NOSE_RADIUS
    diffuse = (normals @ toward.T).clamp(min=0.0) * visible * (2.0 / lights)
    mirrored = 2.0 * normals[:, 2:] * normals - torch.tensor([0.0, 0.0, 1.0])
    lobes = []
    for roughness in LEVELS:
        sharpness = 2.0 / roughness**4
        lobe = torch.exp(min(sharpness, 200.0) * (mirrored @ toward.T - 1.0)) * (1.0 + min(sharpness, 200.0)) / 40.0
        lobes.append(lobe * visible)
    specular = torch.stack(lobes, dim=1)
    glancing = specular * (1.0 - normals[:, 2]).clamp(min=0.0).pow(5)[:, None, None]
    return TransportTables(diffuse, None, specular, glancing, torch.tensor(LEVELS))
