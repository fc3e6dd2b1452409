"""Path-traced pictures of a head by Mitsuba 3 (Jakob et al., 2022).

They are final pictures, the check of the transport tables and ground truth; the fit itself needs none of it.

With `skin.py` the only place that imports Mitsuba, and only when it is called: without Mitsuba or a suitable LLVM
everything else works, and `why_unavailable` says in a line what is missing.
"""

import math
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.geometry.mesh import vertex_normals
from model.look.appearance import Appearance, Lamp
from model.refine.mitsuba.variant import LEAST_LLVM, LLVM_VARIABLE, MitsubaUnavailableError, find_llvm, why_unavailable
from model.refine.raytrace.pixel_surface import HeadGeometry

_SAMPLES_PER_PASS = 64
_ALBEDO = "vertex_albedo"
_NO_SKIN = {"f0": 0.04, "roughness": 0.3}
"""Of eyes, teeth and the inside of the mouth in these pictures."""


@dataclass(frozen=True)
class PathTraced:
    """A picture of a head before nothing.

    Attributes:
        image_linear: Linear RGB, 0 where the head is not; pixels of its edge are weighted with `coverage` already.
        coverage: Share of each pixel that the head covers.
    """

    image_linear: Float[Tensor, "size size 3"]
    coverage: Float[Tensor, "size size"]


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


def render(
    geometry: HeadGeometry,
    appearance: Appearance,
    intrinsics_px: Float[Tensor, "3 3"],
    size_px: int,
    *,
    vertex_albedo_linear: Float[Tensor, "vertex 3"] | None = None,
    samples: int = 256,
    max_depth: int = 3,
    seed: int = 0,
) -> PathTraced:
    """Trace a picture of a head in its light.

    The environment and the lamps are traced one after the other and added: lamps are light, not things that stand in
    the way of the environment. Normal maps are not drawn.

    Args:
        geometry: The head.
        appearance: Maps and light, both in the conventions of `model.look.appearance`; lamps face the middle of the
            head.
        intrinsics_px: Camera of the picture; square pixels.
        size_px: Side of the picture.
        vertex_albedo_linear: Albedo of the parts that the maps do not cover, which are the skin's; grey if None.
        samples: Paths per pixel, for each of the two kinds of light.
        max_depth: Longest path: 2 is light that the head reflects once, 3 adds light from face to face, and so on.
        seed: Of the paths; the same seed gives the same picture on the same machine.

    Raises:
        MitsubaUnavailableError: If Mitsuba or an LLVM for it is missing.
        ValueError: If the camera's pixels are not square, or a setting is out of its range.
    """
    if samples < 1 or max_depth < 2:
        raise ValueError(f"samples must be 1 or more and max_depth 2 or more, not {samples} and {max_depth}")
    mi = start_mitsuba()
    heads = _head(mi, geometry, appearance, vertex_albedo_linear)
    sensor = _sensor(intrinsics_px, size_px)
    centre_mm = geometry.vertices_mm.detach().float().mean(0).tolist()
    lights = (_environment(mi, appearance.environment_linear), _discs(mi, appearance.lamps, centre_mm))
    pixels = np.zeros((size_px, size_px, 4))
    traced = [light for light in lights if light]
    for number, light in enumerate(traced or [{}]):
        # hide_emitters: the background stays empty, and the camera looks through lamps.
        integrator = {"type": "path", "max_depth": max_depth, "rr_depth": 100, "hide_emitters": True}
        scene = mi.load_dict({"type": "scene", "integrator": integrator, "sensor": sensor, **heads, **light})
        traced_pixels = _accumulate(mi, scene, samples, (2 * seed + number) * 4096)
        pixels[..., :3] += traced_pixels[..., :3]
        pixels[..., 3] = traced_pixels[..., 3]
    answer = torch.from_numpy(pixels).float()
    return PathTraced(answer[..., :3].contiguous(), answer[..., 3].clamp(0.0, 1.0))


def surface_buffers(geometry: HeadGeometry, intrinsics_px: Float[Tensor, "3 3"], size_px: int) -> SurfaceBuffers:
    """What the camera sees, to compare with our own rasterizer and ray tracer.

    Raises:
        MitsubaUnavailableError: If Mitsuba or an LLVM for it is missing.
        ValueError: If the camera's pixels are not square.
    """
    mi = start_mitsuba()
    scene = mi.load_dict(
        {
            "type": "scene",
            "sensor": _sensor(intrinsics_px, size_px),
            "head": _mesh(mi, geometry, {"type": "diffuse"}),
        }
    )
    row, column = np.meshgrid(np.arange(size_px), np.arange(size_px), indexing="ij")
    centres = ((np.stack((column.ravel(), row.ravel())) + 0.5) / size_px).astype(np.float32)
    rays, _ = scene.sensors()[0].sample_ray(0.0, 0.5, mi.Point2f(centres), mi.Point2f(0.5, 0.5))
    found = scene.ray_intersect(rays)
    hit = torch.from_numpy(np.array(found.is_valid())).view(size_px, size_px)

    def picture(values: Any) -> Float[Tensor, "size size channel"]:
        pixels = torch.from_numpy(np.array(values).T.copy()).float().view(size_px, size_px, -1)
        return torch.where(hit[..., None], pixels, 0.0)

    uv = picture(found.uv)
    uv[..., 1] = torch.where(hit, 1.0 - uv[..., 1], 0.0)
    return SurfaceBuffers(hit, picture(found.p), picture(found.sh_frame.n), uv)


@cache
def start_mitsuba() -> Any:
    """Mitsuba's module with a variant set: CUDA where torch finds a device and OptiX starts, else LLVM.

    Raises:
        MitsubaUnavailableError: If it cannot be started.
    """
    reason = why_unavailable()
    if reason is not None:
        raise MitsubaUnavailableError(reason)
    # Read when Dr.Jit first looks for LLVM; without it it takes whichever version it finds.
    os.environ[LLVM_VARIABLE] = str(find_llvm())
    import drjit as dr
    import mitsuba as mi

    variants = ["llvm_ad_rgb"]
    if torch.cuda.is_available():
        variants.insert(0, "cuda_ad_rgb")
    try:
        mi.set_variant(*variants)
    except ImportError as error:
        raise MitsubaUnavailableError(f"Mitsuba does not start: {' '.join(str(error).split())}") from error
    if mi.variant() == "llvm_ad_rgb" and dr.detail.llvm_version()[0] < LEAST_LLVM:
        # Something in this process had loaded another LLVM before; nothing has been compiled with it yet.
        raise MitsubaUnavailableError(
            f"Dr.Jit was started with LLVM {dr.detail.llvm_version()[0]} before; set {LLVM_VARIABLE} to {find_llvm()}"
        )
    from model.refine.mitsuba.skin import register_skin

    register_skin(mi.variant())
    return mi


def _accumulate(mi: Any, scene: Any, samples: int, seed: int) -> Float[np.ndarray, "size size 4"]:
    """The mean of several passes, so that memory does not grow with the number of paths."""
    total, left = 0.0, samples
    while left > 0:
        count = min(left, _SAMPLES_PER_PASS)
        total = total + count * np.array(mi.render(scene, spp=count, seed=seed), np.float64)
        left, seed = left - count, seed + 1
    return np.asarray(total / samples)


def _sensor(intrinsics_px: Float[Tensor, "3 3"], size_px: int) -> dict[str, Any]:
    """Mitsuba's camera; it turns about the vertical so that it looks along -z with +x to the right."""
    import mitsuba as mi

    fx, fy = float(intrinsics_px[0, 0]), float(intrinsics_px[1, 1])
    if abs(fx / fy - 1.0) > 1e-3:
        raise ValueError(f"the camera has focal lengths of {fx} and {fy} px; Mitsuba's has square pixels")
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": math.degrees(2.0 * math.atan(0.5 * size_px / fx)),
        # Shares of the picture; where the principal point lies from the centre.
        "principal_point_offset_x": 0.5 - float(intrinsics_px[0, 2]) / size_px,
        "principal_point_offset_y": 0.5 - float(intrinsics_px[1, 2]) / size_px,
        "near_clip": 1.0,
        "far_clip": 1e6,
        "to_world": mi.ScalarTransform4f().look_at([0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]),
        "film": {
            "type": "hdrfilm",
            "width": size_px,
            "height": size_px,
            "pixel_format": "rgba",
            "component_format": "float32",
            "rfilter": {"type": "box"},
        },
        "sampler": {"type": "independent"},
    }


def _head(
    mi: Any, geometry: HeadGeometry, appearance: Appearance, vertex_albedo_linear: Float[Tensor, "vertex 3"] | None
) -> dict[str, Any]:
    """The skin under its maps, and what is no skin in its vertices' colours."""
    from model.refine.mitsuba.skin import SKIN

    maps = {
        "diffuse": appearance.diffuse_linear,
        "f0": appearance.specular_f0[..., None],
        "roughness": appearance.roughness[..., None],
    }
    skin = {"type": SKIN, **{name: _texture(mi, values) for name, values in maps.items()}}
    on_skin = geometry.uv.cpu()[geometry.uv_faces.cpu().long()][..., 0].amax(1) <= 1.0
    meshes = {"head": _mesh(mi, geometry, skin, keep=on_skin)}
    if not on_skin.all():
        glossy = {name: {"type": "uniform", "value": value} for name, value in _NO_SKIN.items()}
        other = {"type": SKIN, "diffuse": {"type": "mesh_attribute", "name": _ALBEDO}, **glossy}
        colors = torch.full_like(geometry.vertices_mm, 0.5) if vertex_albedo_linear is None else vertex_albedo_linear
        meshes["inside"] = _mesh(mi, geometry, other, keep=~on_skin, colors=colors)
    return meshes


def _texture(mi: Any, values: Float[np.ndarray, "texture texture channel"]) -> dict[str, Any]:
    pixels = mi.TensorXf(np.ascontiguousarray(values, np.float32))
    return {"type": "bitmap", "data": pixels, "raw": True, "wrap_mode": "clamp"}


def _mesh(
    mi: Any,
    geometry: HeadGeometry,
    material: dict[str, Any],
    *,
    keep: Bool[Tensor, " face"] | None = None,
    colors: Float[Tensor, "vertex 3"] | None = None,
) -> Any:
    """Triangles of the head split at its texture seams, with the normals of the whole so that no seam shows."""
    vertices_mm = geometry.vertices_mm.detach().float().cpu()
    kept = np.ones(len(geometry.faces), bool) if keep is None else keep.numpy()
    faces = geometry.faces.cpu().numpy().astype(np.int64)[kept]
    corners = np.stack((faces, geometry.uv_faces.cpu().numpy().astype(np.int64)[kept]), -1).reshape(-1, 2)
    pairs, split = np.unique(corners, axis=0, return_inverse=True)
    normals = vertex_normals(vertices_mm[None], geometry.faces.cpu())[0].numpy()
    uv = geometry.uv.detach().float().cpu().numpy()[pairs[:, 1]]
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(material)
    mesh = mi.Mesh("head", len(pairs), len(faces), properties, True, True)
    if colors is not None:
        mesh.add_attribute(_ALBEDO, 3, colors.float().cpu().numpy()[pairs[:, 0]].ravel())
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = vertices_mm.numpy()[pairs[:, 0]].ravel()
    parameters["vertex_normals"] = normals[pairs[:, 0]].ravel()
    # Mitsuba's v = 0 is the first row of an array.
    parameters["vertex_texcoords"] = np.stack((uv[:, 0], 1.0 - uv[:, 1]), -1).ravel()
    parameters["faces"] = split.reshape(-1).astype(np.uint32)
    parameters.update()
    return mesh


def _environment(mi: Any, radiance_linear: Float[np.ndarray, "rows columns 3"]) -> dict[str, Any]:
    """Our latitude-longitude picture as Mitsuba's: its columns begin at -z, and its rows lie on the rims of ours."""
    rows, columns, _ = radiance_linear.shape
    if rows == 0 or not radiance_linear.max() > 0.0:
        return {}
    # Finer, so that what is between our pixels does not depend on where Mitsuba's lie.
    fine = torch.from_numpy(np.ascontiguousarray(radiance_linear, np.float32)).clamp(min=0.0).permute(2, 0, 1)
    fine = torch.cat((fine[..., -1:], fine, fine[..., :1]), -1)[None]
    polar = torch.linspace(-1.0, 1.0, 2 * rows + 1)
    across = (torch.arange(2 * columns) + 0.5) / (2 * columns) * 2.0 - 1.0
    grid = torch.stack(torch.meshgrid(polar, across * columns / (columns + 2), indexing="ij")[::-1], -1)
    fine = torch.nn.functional.grid_sample(fine, grid[None], "bilinear", "border", align_corners=False)[0]
    for pole in (0, -1):
        fine[:, pole] = fine[:, pole].mean(-1, keepdim=True)
    picture = fine.roll(columns, -1).permute(1, 2, 0).contiguous().numpy()
    return {"environment": {"type": "envmap", "bitmap": mi.Bitmap(picture)}}


def _discs(mi: Any, lamps: tuple[Lamp, ...], target_mm: list[float]) -> dict[str, Any]:
    discs = {}
    for number, lamp in enumerate(lamps):
        if not lamp.radiance_linear.max() > 0.0:
            continue
        place = [float(value) for value in lamp.position_mm]
        # Any axis across the line of sight does for a disc.
        aside = [abs(t - p) for t, p in zip(target_mm, place, strict=True)]
        up = [float(axis == aside.index(min(aside))) for axis in range(3)]
        turned = mi.ScalarTransform4f().look_at(place, target_mm, up)
        colour = [float(value) for value in lamp.radiance_linear]
        discs[f"lamp{number}"] = {
            "type": "disk",
            "to_world": turned @ mi.ScalarTransform4f().scale(lamp.radius_mm),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": colour}},
        }
    return discs
