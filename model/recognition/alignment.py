"""Faces turned, scaled and shifted to where a recognition network wants them, differentiably.

Least squares in closed form: Umeyama, "Least-squares estimation of transformation parameters between two point
patterns" (IEEE PAMI 1991). In the plane, without mirroring, a similarity is a complex factor and a complex shift.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from model.recognition.network import RecognitionNetwork, at_least_single

_LEAST_SPREAD = 1e-6


def embed_faces(
    network: RecognitionNetwork,
    image_srgb: Float[Tensor, "batch 3 height width"],
    landmarks68_px: Float[Tensor, "batch 68 2"],
) -> Float[Tensor, "batch feature"]:
    """Align faces and embed them.

    Args:
        network: What embeds.
        image_srgb: Pictures, sRGB in [0, 1].
        landmarks68_px: iBUG's points in them.
    """
    return network.embed(align_faces(image_srgb, landmarks68_px, network.template_px, network.face_size_px))


def align_faces(
    image_srgb: Float[Tensor, "batch 3 height width"],
    landmarks68_px: Float[Tensor, "batch 68 2"],
    template_px: Float[Tensor, "5 2"],
    size: int,
) -> Float[Tensor, "batch 3 {size} {size}"]:
    """Cut faces so that eye centres, nose tip and mouth corners come to lie as near to a template as they can.

    Differentiable in the picture and in the points. Black beyond the picture's border.

    Args:
        image_srgb: Pictures; (0.5, 0.5) is the centre of the first pixel.
        landmarks68_px: iBUG's points in them. Points that all coincide (no label) give a picture of one colour.
        template_px: Where the five points go.
        size: Side of the result in px.
    """
    # Positions in half precision would be off by pixels.
    with torch.autocast(image_srgb.device.type, enabled=False):
        image_srgb = at_least_single(image_srgb)
        points_px, template_px = five_points(landmarks68_px.to(image_srgb)), template_px.to(image_srgb)
        matrix, shift_px = similarity(points_px, template_px.expand_as(points_px))
        # From a place in the result back to one in the picture. A matrix of this kind times its transpose is scale^2.
        scale_squared = matrix[:, :, 0].square().sum(1).clamp(min=_LEAST_SPREAD)
        back = matrix.transpose(1, 2) / scale_squared[:, None, None]
        middle = torch.arange(size, device=points_px.device, dtype=points_px.dtype) + 0.5
        target_px = torch.stack(torch.meshgrid(middle, middle, indexing="xy"), dim=-1).reshape(1, size * size, 2)
        source_px = (target_px - shift_px[:, None]) @ back.transpose(1, 2)
        height, width = image_srgb.shape[-2:]
        # grid_sample counts from -1 at one border of the picture to 1 at the other.
        grid = 2.0 * source_px / source_px.new_tensor((width, height)) - 1.0
        return torch.nn.functional.grid_sample(
            image_srgb, grid.reshape(-1, size, size, 2), mode="bilinear", padding_mode="zeros", align_corners=False
        )


def five_points(landmarks68: Float[Tensor, "batch 68 2"]) -> Float[Tensor, "batch 5 2"]:
    """Eye centres (the subject's right one first), nose tip and mouth corners of iBUG's 68."""
    eyes = landmarks68[:, 36:48].unflatten(1, (2, 6)).mean(2)
    return torch.cat((eyes, landmarks68[:, (30, 48, 54)]), dim=1)


def similarity(
    source: Float[Tensor, "batch point 2"], target: Float[Tensor, "batch point 2"]
) -> tuple[Float[Tensor, "batch 2 2"], Float[Tensor, "batch 2"]]:
    """Least-squares turn and scale (one matrix) and shift: `target ~ source @ matrix.T + shift`, never a mirror."""
    source_mean, target_mean = source.mean(1), target.mean(1)
    x, y = (source - source_mean[:, None]).unbind(-1)
    u, v = (target - target_mean[:, None]).unbind(-1)
    spread = (x.square() + y.square()).sum(1).clamp(min=_LEAST_SPREAD)
    # Scale times cosine and sine of the angle.
    cosine, sine = (x * u + y * v).sum(1) / spread, (x * v - y * u).sum(1) / spread
    matrix = torch.stack((cosine, -sine, sine, cosine), dim=1).unflatten(1, (2, 2))
    return matrix, target_mean - (matrix @ source_mean[..., None])[..., 0]
