"""What light transport costs and how exact it is: the figures behind the defaults of `TransportConfig`.

    python -m tools.bench_transport [--head FILE] [--sizes 256,512] [--errors false]

Times are those of the processor (all threads together), since the machine may be shared; the rays run in one thread.
Errors are peak signal-to-noise ratios of the frontal face under random light of the basis, against the same with many
more rays, with peak 1, albedo 0.5 and the light of mean radiance 1.
"""

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from model.face.assets import load_head
from model.refine.raytrace.bounce import bounce_table, seen_vertices
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_basis import GaussianLight, HarmonicLight, LightBasis
from model.refine.raytrace.light_stage import LightStage, stage_tables
from model.refine.raytrace.pixel_surface import HeadGeometry, PixelSurface, pixel_surface, points_at_vertices
from model.refine.raytrace.specular import glossy_tables
from model.refine.raytrace.transport import TransportConfig, build_tables
from model.refine.raytrace.visibility import Visibility, diffuse_table, trace_visibility
from tools.command import run_tool
from tools.timing import elapsed_ms

DISTANCE_MM = 800.0
FACE_WIDTH_MM = 240.0
MANY_DIRECTIONS, MANY_GLOSSY, MANY_BOUNCE = 8192, 512, 2048


def bench(
    head: Path = Path("checkpoints/likeness-head/head.safetensors"),
    sizes: Sequence[int] = (256, 512),
    errors: bool = True,
) -> None:
    """Print the tables.

    Args:
        head: The head whose mean is traced.
        sizes: Sides of the window, px.
        errors: Whether to measure errors too, at the first size; takes minutes.
    """
    torch.set_num_threads(1)
    for size_px in sizes:
        surface, rays, albedo = scene(head, size_px)
        print(f"{size_px} px: {len(surface)} samples of the face")
        print_times(surface, rays, albedo)
    if errors:
        print_errors(*scene(head, sizes[0]))


def scene(head: Path, size_px: int) -> tuple[PixelSurface, EmbreeRays, Tensor]:
    """The mean head, seen from the front; the samples of its face; its albedo."""
    assets = load_head(head)
    geometry = HeadGeometry(
        torch.from_numpy(assets.vertices_mm) + torch.tensor([0.0, 0.0, -DISTANCE_MM]),
        torch.from_numpy(assets.faces),
        torch.from_numpy(assets.uv),
        torch.from_numpy(assets.uv_faces),
    )
    focal_px = DISTANCE_MM * size_px / FACE_WIDTH_MM
    camera = torch.tensor([[focal_px, 0.0, size_px / 2], [0.0, focal_px, size_px / 2], [0.0, 0.0, 1.0]])
    rays = EmbreeRays(geometry.vertices_mm.numpy(), assets.faces, threads=1)
    skin = torch.from_numpy(assets.regions["skin"])[geometry.faces.long()].all(1)
    surface = pixel_surface(geometry, rays, camera, size_px, keep_faces=skin, min_cosine=0.2)
    return surface, rays, torch.from_numpy(assets.albedo_mean)


def print_times(surface: PixelSurface, rays: EmbreeRays, albedo: Tensor) -> None:
    """Seconds of each part with the default settings."""
    config, points, basis = TransportConfig(), surface.points, HarmonicLight(5)
    levels = config.roughness_levels
    seen: list[Visibility] = []
    seconds = row("visibility", lambda: seen.append(trace_visibility(points, rays, config.directions)))
    # Half of the directions are below the surface and cost no ray.
    print(f"  {'rays a second':40s} {0.5 * config.directions * len(points) / max(seconds, 1e-9) / 1e6:6.2f} million")
    for name, light in _bases().items():
        row(f"diffuse table, {name}", lambda light=light: diffuse_table(points, seen[0], light))
    row("glossy tables, 5 bands", lambda: glossy_tables(surface, rays, basis, levels, config.glossy_samples))
    row("glossy tables, 9 bands", lambda: glossy_tables(surface, rays, HarmonicLight(9), levels, config.glossy_samples))
    row("bounce: first hits", lambda: seen_vertices(points, surface.geometry, rays, config.bounce_directions))
    stage = LightStage(surface.geometry.middle_mm)
    row("light stage of 24, diffuse", lambda: stage_tables(points, rays, stage))
    row("light stage of 24, all", lambda: stage_tables(points, rays, stage, surface.view, levels))
    row("all tables, 5 bands, with bounce", lambda: build_tables(surface, rays, basis, config, albedo))
    row("all tables, 9 bands, with bounce", lambda: build_tables(surface, rays, HarmonicLight(9), config, albedo))
    print(f"  {'peak memory of the process':40s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:6.2f} GB")


def row(name: str, work: Callable[[], object]) -> float:
    """Print and return the processor seconds of a piece of work."""
    seconds = elapsed_ms(work, time.process_time) / 1000.0
    print(f"  {name:40s} {seconds:6.2f} s")
    return seconds


def print_errors(surface: PixelSurface, rays: EmbreeRays, albedo: Tensor) -> None:
    """How far fewer rays are from many."""
    points = surface.points
    many = trace_visibility(points, rays, MANY_DIRECTIONS)
    fewer = {count: trace_visibility(points, rays, count) for count in (64, 128, 256, 512, 1024, 2048)}
    unshadowed = trace_visibility(points, None, MANY_DIRECTIONS)
    print("directions: error of the diffuse part, dB; last, that of a picture without shadows")
    for name, basis in _bases().items():
        light, truth = random_light(basis), diffuse_table(points, many, basis)
        found = [
            f"{count}: {psnr(diffuse_table(points, seen, basis), truth, light):.1f}" for count, seen in fewer.items()
        ]
        nothing = psnr(diffuse_table(points, unshadowed, basis), truth, light)
        print(f"  {name:16s} {', '.join(found)}; {nothing:.1f}")
    print_glossy_errors(surface, rays)
    print_bounce_errors(surface, rays, albedo)


def print_glossy_errors(surface: PixelSurface, rays: EmbreeRays) -> None:
    """How far few reflected directions are from many, for each roughness level."""
    print("glossy samples: error at f0 0.04 for each roughness level, dB")
    levels, basis = TransportConfig().roughness_levels, HarmonicLight(5)
    light, truth = random_light(basis), glossy_tables(surface, rays, basis, levels, MANY_GLOSSY)
    for count in (8, 16, 32, 64):
        tables = glossy_tables(surface, rays, basis, levels, count)
        # `psnr` halves what it is given, as an albedo would.
        mixed = [(0.04 * some.specular + some.grazing) * 2.0 for some in (tables, truth)]
        errors = [psnr(mixed[0][:, level], mixed[1][:, level], light) for level in range(len(levels))]
        print(f"  {count:4d} {', '.join(f'{error:.1f}' for error in errors)}")


def print_bounce_errors(surface: PixelSurface, rays: EmbreeRays, albedo: Tensor) -> None:
    """How far few directions for bounced light are from many."""
    print("bounce directions: error, dB; last, that of a picture without bounce")
    basis, vertices = HarmonicLight(5), points_at_vertices(surface.geometry)
    light = random_light(basis)

    def bounce(count: int) -> Tensor:
        arriving = diffuse_table(vertices, trace_visibility(vertices, rays, count), basis)
        return bounce_table(seen_vertices(surface.points, surface.geometry, rays, count), albedo, arriving).mean(-1)

    truth = bounce(MANY_BOUNCE)
    found = [f"{count}: {psnr(bounce(count), truth, light):.1f}" for count in (32, 64, 128, 256)]
    print(f"  {', '.join(found)}; {psnr(0.0 * truth, truth, light):.1f}")


def psnr(table: Tensor, truth: Tensor, light: Tensor) -> float:
    """Of pictures of albedo 0.5 with peak 1."""
    return float(-10.0 * torch.log10((0.5 * (table - truth) @ light).square().mean().clamp(min=1e-12)))


def random_light(basis: LightBasis, count: int = 8) -> Tensor:
    """Lights with one strong side each, of mean radiance 1."""
    generator = torch.manual_seed(0)
    if basis.nonnegative:
        light = torch.rand(basis.count, count, generator=generator) ** 8
        return light / light.mean(0)
    # A cosine-power lobe about a random axis falls off like this over the bands.
    axes = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    bands = torch.arange(basis.count).sqrt().floor()
    return basis.radiance(axes).T * torch.exp(-0.15 * bands * (bands + 1.0))[:, None]


def _bases() -> dict[str, LightBasis]:
    return {"5 bands": HarmonicLight(5), "9 bands": HarmonicLight(9), "64 Gaussians": GaussianLight(64)}


if __name__ == "__main__":
    run_tool(bench)
