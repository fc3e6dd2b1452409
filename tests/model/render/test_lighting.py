import math

import pytest
import torch

from model.render.lighting import directional_lighting, neutral_lighting, shade, spherical_harmonics

LAMBERT = torch.tensor([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5, dtype=torch.float64)


def directions(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=-1)


def quadrature(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions over the sphere and the solid angle of each (midpoint rule in z and azimuth)."""
    z = -1.0 + (torch.arange(count, dtype=torch.float64) + 0.5) * 2.0 / count
    azimuth = (torch.arange(2 * count, dtype=torch.float64) + 0.5) * math.pi / count
    z, azimuth = (grid.reshape(-1) for grid in torch.meshgrid(z, azimuth, indexing="ij"))
    ring = (1.0 - z * z).sqrt()
    points = torch.stack((ring * azimuth.cos(), ring * azimuth.sin(), z), dim=-1)
    return points, torch.full_like(z, 4.0 * math.pi / len(z))


def test_neutral_lighting_shades_one() -> None:
    shading = shade(directions(50).float()[None], neutral_lighting(1))
    assert torch.equal(shading, torch.ones(1, 50, 3))


def test_functions_are_orthogonal_with_documented_lengths() -> None:
    points, solid_angle = quadrature()
    harmonics = spherical_harmonics(points) / LAMBERT
    gram = harmonics.T @ (harmonics * solid_angle[:, None]) / (4.0 * math.pi)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=2e-4, rtol=0.0)


def test_shading_is_the_integral_of_the_clamped_cosine() -> None:
    """For light of three bands the formula is exact: radiance L(w) = sum lighting_k H_k(w) / (A_l / pi)."""
    lighting = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points, solid_angle = quadrature()
    radiance = spherical_harmonics(points) / LAMBERT @ lighting
    normals = directions(20)
    cosine = (normals @ points.T).clamp(min=0.0)
    irradiance = cosine @ (radiance * solid_angle[:, None])
    torch.testing.assert_close(shade(normals[None], lighting[None])[0], irradiance / math.pi, atol=2e-3, rtol=0.0)


def test_one_lamp_is_a_clamped_cosine_to_ten_per_cent() -> None:
    strength = torch.tensor([[1.0, 0.5, 2.0]], dtype=torch.float64)
    lamp = directions(1, seed=3)
    normals = directions(500)
    shading = shade(normals[None], directional_lighting(lamp, strength))[0]
    expected = (normals @ lamp.T).clamp(min=0.0) * strength
    assert ((shading - expected) / strength).abs().max() < 0.1
    facing = shade(lamp[None], directional_lighting(lamp, strength))[0, 0]
    torch.testing.assert_close(facing, 17.0 / 16.0 * strength[0])


@pytest.mark.parametrize(("axis", "odd"), [(0, (3, 4, 7)), (1, (1, 4, 5)), (2, (2, 5, 7))])
def test_mirroring_an_axis_flips_the_odd_functions(axis: int, odd: tuple[int, ...]) -> None:
    normals = directions(30)
    mirrored = normals.clone()
    mirrored[:, axis] *= -1.0
    signs = torch.ones(9, dtype=torch.float64)
    signs[list(odd)] = -1.0
    torch.testing.assert_close(spherical_harmonics(mirrored), spherical_harmonics(normals) * signs)
