"""Smoothness of per-vertex values: their Laplacian."""

import torch
from jaxtyping import Float
from torch import Tensor


def laplacian_smoothness(
    values: Float[Tensor, "batch vertex channel"], laplacian: Float[Tensor, "vertex vertex"]
) -> Float[Tensor, ""]:
    """Mean squared distance of each vertex's value from the mean of its neighbours'.

    Of offsets and residuals, not of positions: what the linear model says is as sharp as it likes (the Laplacian
    regulariser of Sorkine et al., "Laplacian Surface Editing", SGP 2004, on displacements).

    Args:
        values: Offsets in mm, or residuals of the albedo.
        laplacian: `model.geometry.mesh.uniform_laplacian` of the mesh, sparse or not.
    """
    # One product for the whole batch. Sparse products have no half precision: autocast stays out.
    with torch.autocast(values.device.type, enabled=False):
        kept = values if values.dtype == torch.float64 else values.float()
        columns = kept.transpose(0, 1).flatten(1)
        return (laplacian.to(kept.dtype) @ columns).square().sum() * (1.0 / (len(values) * values.shape[1]))
