"""Draw what the mesh decoder adds: components alone, with detail, turned, under another light, and the bare shape.

python -m tools.detail_picture --output docs/images/detail.jpg [--photograph examples/astronaut.png]
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from common.atomic import atomic_path
from common.paths import DEFAULT_CHECKPOINT, REPOSITORY
from inference.likeness import Likeness
from model.geometry.mesh import Mesh
from model.geometry.rotation import rotation_from_euler
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.lighting import directional_lighting, neutral_lighting
from model.render.renderer import Renderer
from tools.command import run_tool

EXAMPLE = REPOSITORY / "examples" / "astronaut.png"
_TILE_PX, _BACKGROUND, _CLAY = 320, 0.85, 0.5


def picture(output: Path, photograph: Path = EXAMPLE, checkpoint: Path = DEFAULT_CHECKPOINT) -> None:
    """Write the picture of the first face of a photograph.

    Args:
        output: Where to.
        photograph: An image with a face.
        checkpoint: A checkpoint with a mesh decoder.

    Raises:
        ValueError: If there is no face in the photograph.
    """
    likeness = Likeness.load(checkpoint, "cpu")
    heads = likeness.reconstruct(photograph, largest_face=True)
    if not heads:
        raise ValueError(f"{photograph}: no face found")
    reconstructor = likeness.faces.reconstructor
    linear, detailed = reconstructor.linear_mesh(heads[0].parameters), heads[0].mesh
    faces = reconstructor.morphable_model.faces
    lamp = torch.nn.functional.normalize(torch.tensor([[-0.7, 0.4, 0.6]]), dim=-1)
    even = neutral_lighting(1)
    from_the_side = 0.35 * even + directional_lighting(lamp, torch.tensor([[0.9, 0.85, 0.8]]))
    clay = torch.full_like(detailed.albedo_linear, _CLAY)
    tiles = [
        _draw(linear, linear.albedo_linear, even, 0.0, faces),
        _draw(detailed, detailed.albedo_linear, even, 0.0, faces),
        _draw(detailed, detailed.albedo_linear, even, 0.6, faces),
        _draw(detailed, detailed.albedo_linear, from_the_side, 0.3, faces),
        _draw(detailed, clay, from_the_side, 0.3, faces),
    ]
    with atomic_path(output) as temporary:
        cv2.imwrite(str(temporary), np.concatenate(tiles, axis=1)[..., ::-1])


@torch.inference_mode()
def _draw(
    mesh: Mesh, albedo_linear: Float[Tensor, "1 vertex 3"], lighting: Tensor, yaw_rad: float, faces: Tensor
) -> UInt8[np.ndarray, "size size 3"]:
    """The head by itself, turned, before a camera at 900 mm."""
    rotation = rotation_from_euler(torch.tensor([[yaw_rad, 0.0, 0.0]]))
    vertices_mm = mesh.vertices_mm @ rotation.transpose(1, 2) + torch.tensor([0.0, 5.0, -900.0])
    focal_px, middle_px = 4.0 * _TILE_PX, 0.5 * _TILE_PX
    camera_px = torch.tensor([[[focal_px, 0.0, middle_px], [0.0, focal_px, middle_px], [0.0, 0.0, 1.0]]])
    background = torch.full((1, _TILE_PX, _TILE_PX, 3), _BACKGROUND)
    turned = replace(mesh, vertices_camera_mm=vertices_mm, albedo_linear=albedo_linear)
    renderer = Renderer(build_rasterizer("cpu"))
    rendering = renderer.render_mesh(turned, lighting, faces, camera_px, _TILE_PX, background)
    return np.rint(255.0 * linear_to_srgb(rendering.image_linear[0].clamp(0.0, 1.0)).numpy()).astype(np.uint8)


if __name__ == "__main__":
    run_tool(picture)
