"""The picture of an albedo model: mean and components on the mean head, under light from everywhere."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from model.face.assets import HeadAssets
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.lighting import neutral_lighting
from model.render.renderer import Renderer


def render_albedo(
    head: HeadAssets, albedo_linear: Float[np.ndarray, "vertex 3"], yaw_rad: float = 0.0, size: int = 220
) -> UInt8[np.ndarray, "height width 3"]:
    """The mean head with an albedo under neutral light, sRGB uint8."""
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    rotation = torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]], dtype=torch.float32)
    vertices = torch.from_numpy(head.vertices_mm) @ rotation.T + torch.tensor([0.0, 15.0, -2000.0])
    focal = 2000.0 * size / 240.0
    intrinsics = torch.tensor([[[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]]])
    rendering = Renderer(build_rasterizer("cpu")).render(
        vertices[None],
        torch.from_numpy(albedo_linear.clip(0.0, 1.0).astype(np.float32))[None],
        neutral_lighting(1),
        torch.from_numpy(head.faces.astype(np.int32)),
        intrinsics,
        size,
        size,
        background_linear=torch.ones(1, size, size, 3),
    )
    return (linear_to_srgb(rendering.image_linear[0].clamp(0.0, 1.0)) * 255.0 + 0.5).to(torch.uint8).numpy()


def components_picture(head: HeadAssets) -> UInt8[np.ndarray, "height width 3"]:
    """Mean head from three sides and its double; below, minus and plus two deviations of the first eight components."""
    mean, basis = head.albedo_mean, head.albedo_basis
    rows = [np.hstack([render_albedo(head, mean, yaw) for yaw in (0.0, -0.6, -1.2, np.pi)])]
    for first in (0, 4):
        for sign in (-2.0, 2.0):
            rows.append(np.hstack([render_albedo(head, mean + sign * basis[k]) for k in range(first, first + 4)]))
    return np.vstack(rows)
