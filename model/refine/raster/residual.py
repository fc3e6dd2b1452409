"""The skin that the statistical albedo does not explain, per vertex: linear under a known light, hence solved."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_array, coo_matrix, csr_array, diags
from scipy.sparse.linalg import splu
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.mesh import uniform_laplacian
from model.refine.raster.levels import Level, View
from model.refine.raster.unknowns import moved_vertices
from model.render.color import luminance, srgb_to_linear

_DARKEST = 0.005
_NOISE_SRGB = 0.05
"""Standard deviation of what a pixel of a picture of 256 px says of the residual."""
_RESIDUAL_SD = 0.1
"""Standard deviation of the residual, linear RGB."""
_SMOOTHNESS, _SYMMETRY = 1.0, 0.2
"""Weight of the residual's Laplacian and of its difference to its mirror image, over that of itself."""


@torch.no_grad()
def solve_residual(
    model: MorphableModel,
    view: View,
    level: Level,
    lighting: Float[Tensor, "1 9 3"],
    weight: Float[Tensor, "1 size size"],
    albedo_linear: Float[Tensor, "1 vertex 3"],
    *,
    color: bool,
) -> Float[Tensor, "1 vertex 3"]:
    """Least squares with priors: small, smooth, and alike on both sides.

    It holds whatever the light cannot explain, cast shadows too: a stage that knows shadows should start without it.

    Args:
        model: The head.
        view: The head with its statistical albedo.
        level: The photograph.
        lighting: The light.
        weight: Trust in each pixel.
        albedo_linear: The statistical albedo, which the sum must not leave [0, 1] with.
        color: False for grey photographs: the residual is then grey, too.
    """
    moved = moved_vertices(model)
    index = moved.nonzero()[:, 0].cpu().numpy()
    count = len(model.mean_mm)
    pixel, vertex, share = _incidence(model, view, weight)
    target = srgb_to_linear(level.image_srgb.permute(0, 2, 3, 1)).flatten(0, 2)
    drawn, shading = view.image_linear(lighting).flatten(0, 2), view.shading(lighting).flatten(0, 2)
    trust = weight.flatten().double().cpu().numpy()
    # In sRGB units, as everywhere: by the slope of the transfer function.
    slope = luminance(target).clamp(min=0.02).pow(1.0 / 2.2 - 1.0) / 2.2
    trust = trust * slope.square().double().cpu().numpy()
    smooth = _laplacian(model)
    mirror = model.mirror.cpu().numpy().astype(np.int64)
    swap = coo_matrix((np.ones(count), (np.arange(count), mirror)), shape=(count, count)).tocsr()
    asymmetry = diags(np.ones(count)) - swap
    # A pixel counts as one observation of that standard deviation, whatever the picture's size.
    noise = _NOISE_SRGB * level.size_px / 256.0
    prior = (
        diags(np.full(count, _RESIDUAL_SD**-2))
        + _SMOOTHNESS / _RESIDUAL_SD**2 * smooth.T @ smooth
        + _SYMMETRY / _RESIDUAL_SD**2 * asymmetry.T @ asymmetry
    ).tocsr()
    solved = np.zeros((count, 3))
    channels = [None] if not color else [0, 1, 2]
    for channel in channels:
        light = _channel(shading, channel)
        missing = _channel(target, channel) - _channel(drawn, channel)
        entries = share * light[pixel] * np.sqrt(trust[pixel]) / noise
        rows = coo_matrix((entries, (pixel, vertex)), shape=(len(trust), count)).tocsr()
        system = (rows.T @ rows + prior)[index][:, index]
        right = (rows.T @ (missing * np.sqrt(trust) / noise))[index]
        answer = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right)
        solved[index, slice(None) if channel is None else channel] = answer[:, None] if channel is None else answer
    residual = torch.from_numpy(solved).to(albedo_linear)[None]
    return (albedo_linear + residual).clamp(_DARKEST, 1.0).where(residual != 0.0, albedo_linear) - albedo_linear


def _incidence(model: MorphableModel, view: View, weight: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which vertices a pixel shows and how much of each."""
    seen = (weight.flatten() > 0.0).nonzero()[:, 0]
    corners = model.faces.long()[view.fragments.face_index.flatten()[seen].long()]
    shares = view.fragments.barycentric.flatten(0, 2)[seen]
    pixel = seen[:, None].expand_as(corners)
    return (
        pixel.flatten().cpu().numpy(),
        corners.flatten().cpu().numpy(),
        shares.flatten().double().cpu().numpy(),
    )


def _laplacian(model: MorphableModel) -> csr_array:
    laplacian = uniform_laplacian(model.faces, len(model.mean_mm)).cpu()
    indices = laplacian.indices().numpy()
    return coo_array((laplacian.values().double().numpy(), tuple(indices)), shape=tuple(laplacian.shape)).tocsr()


def _channel(values: Float[Tensor, "pixel 3"], channel: int | None) -> np.ndarray:
    chosen = luminance(values) if channel is None else values[:, channel]
    return chosen.double().cpu().numpy()
