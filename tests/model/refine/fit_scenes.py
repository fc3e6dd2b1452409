"""Drawn toy heads for the tests of the fits: everything about them is known."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.rotation import rotation_from_euler
from model.refine.face import FaceCrop, FittedFace
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb, luminance
from model.render.renderer import Renderer
from tests.small_world import crop_camera, neutral_parameters, toy_head

SIZE_PX = 64
DISTANCE_MM = 900.0


def model() -> MorphableModel:
    """The toy head."""
    return MorphableModel(toy_head())


def drawn_face(head: MorphableModel, seed: int = 0, yaw_rad: float = 0.2) -> FittedFace:
    """A head with every number drawn, lit from a side."""
    generator = torch.Generator().manual_seed(seed)

    def normal(count: int) -> Float[Tensor, "1 count"]:
        return torch.randn(1, count, generator=generator)

    neutral = neutral_parameters(head)
    expression = torch.zeros(1, head.expression_count)
    expression[:, head.expression_names.index("jawOpen")] = 0.6
    lighting = neutral.lighting.clone()
    lighting[:, 0] = 0.9
    lighting[:, 1:4] = torch.tensor([0.1, 0.2, 0.25])[:, None]
    parameters = replace(
        neutral,
        identity=normal(head.identity_count),
        albedo=normal(head.albedo_count),
        expression=expression,
        rotation=rotation_from_euler(torch.tensor([[yaw_rad, 0.1, 0.05]])),
        translation_mm=torch.tensor([[5.0, -3.0, -DISTANCE_MM]]),
        lighting=lighting,
    )
    return FittedFace(parameters, None, crop_camera(1, SIZE_PX, 3.0)[0])


def landmarks_px(head: MorphableModel, face: FittedFace) -> Float[Tensor, "68 2"]:
    """Where its landmarks lie in the picture."""
    points = head.landmarks(face.mesh(head).vertices_camera_mm)
    return project(points, face.intrinsics_px[None])[0, :, :2]


def photograph(head: MorphableModel, face: FittedFace, *, color: bool = True) -> FaceCrop:
    """A picture of it before a blue wall, with its landmarks."""
    mesh, size = face.mesh(head), SIZE_PX
    background = torch.tensor([0.1, 0.2, 0.6]).expand(1, size, size, 3)
    lighting, camera = face.parameters.lighting, face.intrinsics_px[None]
    renderer = Renderer(build_rasterizer("cpu"))
    rendering = renderer.render_mesh(mesh, lighting, head.faces, camera, size, background)
    linear = rendering.image_linear[0].clamp(0.0, 1.0)
    if not color:
        linear = luminance(linear)[..., None].expand_as(linear)
    return FaceCrop(
        image_srgb=linear_to_srgb(linear).permute(2, 0, 1).contiguous(),
        inside=torch.ones(size, size),
        color=color,
        intrinsics_px=face.intrinsics_px,
        landmarks68_px=landmarks_px(head, face),
        landmarks68_weight=torch.ones(68),
    )


def turned(face: FittedFace, yaw_rad: float, shift_mm: float) -> FittedFace:
    """The head a little off, as a network's answer is: also without its person's shape and skin."""
    parameters = face.parameters
    return replace(
        face,
        parameters=replace(
            parameters,
            identity=0.3 * parameters.identity,
            albedo=0.5 * parameters.albedo,
            rotation=rotation_from_euler(torch.tensor([[yaw_rad, 0.0, 0.0]])) @ parameters.rotation,
            translation_mm=parameters.translation_mm + torch.tensor([shift_mm, -shift_mm, 0.0]),
        ),
    )


def angle_rad(first: Float[Tensor, "1 3 3"], second: Float[Tensor, "1 3 3"]) -> float:
    """Angle between two rotations."""
    cosine = 0.5 * (torch.trace(first[0].T @ second[0]) - 1.0)
    return float(torch.acos(cosine.clamp(-1.0, 1.0)))
