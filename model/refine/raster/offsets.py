"""Smooth steps of per-vertex unknowns: "Large Steps in Inverse Rendering of Geometry", Nicolet et al., TOG 2021."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import splu
from torch import Tensor

from model.face.morphable_model import MorphableModel


class LargeSteps:
    """Solves (I + stiffness * L) x = u with the combinatorial Laplacian L; differentiable, factored once.

    A descent of u moves x smoothly: a step against the gradient of u is one preconditioned twice by the inverse.
    """

    def __init__(self, model: MorphableModel, moved: Bool[Tensor, " vertex"], stiffness: float) -> None:
        """Factor the matrix.

        Args:
            model: Its triangles.
            moved: Which vertices may move; the others stay, and hold those beside them.
            stiffness: Their lambda; 0 for none.
        """
        faces = model.faces.cpu().numpy().astype(np.int64)
        count = len(model.mean_mm)
        edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
        edges = np.unique(np.sort(edges, axis=1), axis=0)
        rows, columns = np.concatenate((edges, edges[:, ::-1])).T
        adjacency = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
        degree = coo_matrix((np.bincount(rows, minlength=count).astype(float), (np.arange(count), np.arange(count))))
        system = (identity(count) + stiffness * (degree - adjacency)).tocsc()
        self._index = moved.nonzero()[:, 0]
        kept = self._index.cpu().numpy()
        self._factor = splu(system[kept][:, kept].tocsc(), permc_spec="MMD_AT_PLUS_A")
        self._count = count

    @property
    def moved_count(self) -> int:
        """Vertices that may move."""
        return len(self._index)

    def __call__(self, values: Float[Tensor, "moved channel"]) -> Float[Tensor, "vertex channel"]:
        """The smooth x of an unknown u, 0 where nothing may move."""
        solved = _Solve.apply(values, self._factor)
        return solved.new_zeros(self._count, values.shape[1]).index_copy(0, self._index, solved)


class _Solve(torch.autograd.Function):
    """The matrix is symmetric: the gradient takes the same way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Any) -> Tensor:
        ctx.factor = factor
        return _solve(values, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _solve(gradient, ctx.factor), None


def _solve(values: Tensor, factor: Any) -> Tensor:
    solved = factor.solve(values.detach().to("cpu", torch.float64).numpy())
    return torch.from_numpy(np.ascontiguousarray(solved)).to(values)
