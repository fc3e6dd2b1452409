"""How well held-out photographs are explained: the re-rendered face, and whose face it is.

The baseline is the mean face in the pose the model found, with the light that fits the photograph best: what remains
to be explained is the face itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.psnr import psnr_db
from common.tensor_groups import map_tensors
from evaluation.rendering_recognition import embed_both
from evaluation.skin_tone import typology_angle_degrees
from model.losses.photometric import residual_srgb
from model.observation import Observation
from model.recognition import RecognitionNetwork
from model.reconstructor import Reconstruction, Reconstructor
from model.render.color import luminance, srgb_to_linear
from model.render.lighting import spherical_harmonics
from model.render.renderer import Renderer, Rendering

_LEAST_PIXELS = 50
# In units of the squared shading, over all pixels: keeps the light of a flat patch from running away.
_LIGHT_RIDGE = 1e-4


@dataclass(frozen=True)
class PhotographResult:
    """One photograph.

    Attributes:
        psnr_db: Rendering against photograph on the skin that both show.
        linear_psnr_db: The same without the detail; equal for a model that has none.
        relit_psnr_db: The same under the light that fits the photograph best.
        baseline_psnr_db: The mean face in the same pose under the light that fits best, on the same pixels.
        baseline_own_light_psnr_db: The mean face under the light that the model answered.
        nme_percent: Landmark error, over the size of the face.
        tone_degrees: Apparent skin tone (`evaluation.skin_tone`), None for grey photographs.
        identity: Identity coefficients.
        person: Number of the person, -1 where unknown.
        yardstick: What a face-recognition network says of the photograph, None without one.
        rendering_yardstick: What it says of the head drawn alone.
    """

    psnr_db: float
    linear_psnr_db: float
    relit_psnr_db: float
    baseline_psnr_db: float
    baseline_own_light_psnr_db: float
    nme_percent: float
    tone_degrees: float | None
    identity: Float[np.ndarray, " component"]
    person: int
    yardstick: Float[np.ndarray, " feature"] | None = None
    rendering_yardstick: Float[np.ndarray, " feature"] | None = None


@torch.inference_mode()
def evaluate_photographs(
    observations: Iterable[Observation],
    reconstructor: Reconstructor,
    renderer: Renderer,
    network: RecognitionNetwork | None = None,
) -> list[PhotographResult]:
    """Reconstruct crops, draw them again, and compare.

    Args:
        observations: Batches of held-out crops.
        reconstructor: The model.
        renderer: Draws it.
        network: Asked about each photograph and its rendering beside the model.

    Returns:
        One result a photograph; those that show fewer than 50 comparable pixels are left out.
    """
    results: list[PhotographResult] = []
    for observation in observations:
        reconstruction = reconstructor(observation.image_srgb, observation.intrinsics_px)
        parameters = reconstruction.parameters
        own = _render(reconstructor, renderer, reconstruction, observation)
        linear = own
        if reconstruction.detail is not None:
            without_detail = reconstructor.decode(parameters, observation.intrinsics_px)
            linear = _render(reconstructor, renderer, without_detail, observation)
        nothing = {name: torch.zeros_like(getattr(parameters, name)) for name in ("identity", "expression", "albedo")}
        mean_parameters = replace(parameters, **nothing)
        mean_head = reconstructor.decode(mean_parameters, observation.intrinsics_px)
        mean = _render(reconstructor, renderer, mean_head, observation)
        mask = (observation.skin_mask > 0.5) & (mean.face_index >= 0)
        for drawn in (own, linear):
            mask = mask & (drawn.face_index >= 0)
        compared = (
            own.image_linear,
            linear.image_linear,
            best_light(own, observation, mask),
            best_light(mean, observation, mask),
            mean.image_linear,
        )
        errors = [_squared_error(image, observation, mask) for image in compared]
        points_px = reconstructor.landmarks_image(parameters, observation.intrinsics_px, "ibug68")[..., :2]
        nme = 100.0 * (points_px - observation.landmarks68_px[..., :2]).norm(dim=-1).mean(1) / observation.box_px
        seen = None if network is None else embed_both(network, observation, own, points_px)
        for i in range(len(mask)):
            if int(mask[i].sum()) >= _LEAST_PIXELS:
                results.append(
                    PhotographResult(
                        *(psnr_db(float(error[i])) for error in errors),
                        nme_percent=float(nme[i]),
                        tone_degrees=_tone(observation, mask, i),
                        identity=parameters.identity[i].cpu().numpy(),
                        person=int(observation.person[i]),
                        yardstick=None if seen is None else seen[0][i],
                        rendering_yardstick=None if seen is None else seen[1][i],
                    )
                )
    return results


def observation_on(batch: Mapping[str, Any], device: torch.device) -> Observation:
    """A batch of the loader on a device."""
    return map_tensors(Observation.from_dict(batch), lambda values: values.to(device))


def _tone(observation: Observation, mask: Tensor, index: int) -> float | None:
    if not bool(observation.color[index]):
        return None
    return typology_angle_degrees(observation.image_srgb[index].permute(1, 2, 0)[mask[index]].cpu().numpy())


def _render(
    reconstructor: Reconstructor, renderer: Renderer, reconstruction: Reconstruction, observation: Observation
) -> Rendering:
    faces, size = reconstructor.morphable_model.faces, observation.image_srgb.shape[-1]
    lighting = reconstruction.parameters.lighting
    return renderer.render_mesh(reconstruction.mesh, lighting, faces, observation.intrinsics_px, size)


def best_light(rendering: Rendering, observation: Observation, mask: Tensor) -> Float[Tensor, "batch height width 3"]:
    """The rendering under the light that fits each photograph best, by least squares in linear light.

    A grey photograph says nothing of the light's colour: its light is white.
    """
    harmonics = spherical_harmonics(rendering.normals)
    target = srgb_to_linear(observation.image_srgb.permute(0, 2, 3, 1))
    lit = torch.zeros_like(rendering.albedo_linear)
    for i in range(len(mask)):
        basis = harmonics[i][mask[i]]
        albedo, wanted = rendering.albedo_linear[i][mask[i]], target[i][mask[i]]
        if not bool(observation.color[i]):
            albedo, wanted = luminance(albedo)[:, None], luminance(wanted)[:, None]
        light = torch.stack([_ridge(basis * albedo[:, c : c + 1], wanted[:, c]) for c in range(albedo.shape[1])], dim=1)
        lit[i] = rendering.albedo_linear[i] * (harmonics[i] @ light)
    return lit


def _ridge(matrix: Float[Tensor, "pixel 9"], target: Float[Tensor, " pixel"]) -> Float[Tensor, "9"]:
    matrix, target = matrix.double(), target.double()
    weight = _LIGHT_RIDGE * max(len(matrix), 1)
    normal = matrix.T @ matrix + weight * torch.eye(9, dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve(normal, matrix.T @ target).float()


def _squared_error(
    image_linear: Float[Tensor, "batch height width 3"], observation: Observation, mask: Tensor
) -> Float[Tensor, " batch"]:
    """Mean squared error per channel in sRGB over the mask, of the luminance where the photograph is grey."""
    image_linear = image_linear.clamp(0.0, 1.0)
    squared = residual_srgb(image_linear, observation.image_srgb, observation.color).square() / 3.0
    return (squared * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
