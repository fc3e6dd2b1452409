"""Layers on a mesh's graph: Chebyshev convolutions, and the ways between a hierarchy's levels.

Features are vertex-major, (vertex, batch, channel): a sparse matrix then works on the whole batch at once.
"""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from model.autograd import once_differentiable
from model.face.hierarchy import HierarchyLevel


class _SparseProduct(torch.autograd.Function):
    """`matrix @ features` with both the matrix and its transpose at hand, so that the way back is as fast."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        return ctx.transpose @ gradient.contiguous(), None, None


class SparseOperator(nn.Module):
    """A fixed sparse matrix that maps values of M vertices to values of N.

    Attributes:
        neighbours: Columns of each row's entries, every row filled up to the longest one (N, K).
        weights: The entries, 0 where a row is filled up (N, K).
    """

    neighbours: Int[Tensor, "fine entry"]
    weights: Float[Tensor, "fine entry"]

    def __init__(
        self, rows: Int[np.ndarray, " entry"], columns: Int[np.ndarray, " entry"], values: np.ndarray, size: tuple
    ) -> None:
        """Take its entries; those at the same place add up."""
        super().__init__()
        indices = torch.from_numpy(np.stack([rows, columns]).astype(np.int64))
        entries = torch.from_numpy(values.astype(np.float32))
        matrix = torch.sparse_coo_tensor(indices, entries, size, check_invariants=True).coalesce()
        # As plain dense buffers, for modules are moved, cast and copied, and sparse ones do not survive all of it.
        for name, one in (("forward", matrix), ("backward", matrix.t().coalesce())):
            with warnings.catch_warnings():
                # torch calls its CSR tensors a beta, once; nothing more than this product is asked of them.
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                csr = one.to_sparse_csr()
            # Copies: what torch hands out are views of the sparse tensor, which exporting a module stumbles over.
            self.register_buffer(f"{name}_rows", csr.crow_indices().clone(), persistent=False)
            self.register_buffer(f"{name}_columns", csr.col_indices().clone(), persistent=False)
            self.register_buffer(f"{name}_values", csr.values().clone(), persistent=False)
        table = _padded(matrix)
        for name, one in zip(("neighbours", "weights"), table, strict=True):
            self.register_buffer(name, one, persistent=False)
        self.size = size

    def forward(self, features: Float[Tensor, "coarse batch channel"]) -> Float[Tensor, "fine batch channel"]:
        """Apply it to each channel of each batch element, in its own precision whatever autocast says."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.weights.dtype)
            if torch.compiler.is_compiling():
                # A graph that is compiled or exported holds no sparse tensors: the same sums, by a table.
                return (features[self.neighbours] * self.weights[:, :, None, None]).sum(1)
            product = _SparseProduct.apply(features.flatten(1), self._matrix("forward"), self._matrix("backward"))
        return product.unflatten(1, features.shape[1:])  # pyright: ignore[reportAttributeAccessIssue]

    def _matrix(self, name: str) -> Tensor:
        size = self.size if name == "forward" else self.size[::-1]
        parts = (self.get_buffer(f"{name}_{part}") for part in ("rows", "columns", "values"))
        return torch.sparse_csr_tensor(*parts, size=size, check_invariants=False)


def _padded(matrix: Tensor) -> tuple[Int[Tensor, "fine entry"], Float[Tensor, "fine entry"]]:
    """Columns and values of a sparse matrix row by row, as two dense tables."""
    rows, columns = matrix.indices()
    counts = torch.bincount(rows, minlength=matrix.shape[0])
    # Coalesced entries come row by row: each one's place in its row.
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
    longest = int(counts.max()) if len(rows) else 0
    neighbours = torch.zeros(matrix.shape[0], longest, dtype=torch.int64)
    weights = torch.zeros(matrix.shape[0], longest)
    neighbours[rows, place], weights[rows, place] = columns, matrix.values()
    return neighbours, weights


def adjacency(edges: Int[np.ndarray, "edge 2"], count: int) -> SparseOperator:
    """The symmetrically normalised adjacency D^-1/2 A D^-1/2 of a graph.

    It is minus the scaled Laplacian of Defferrard et al. (NeurIPS 2016) for the largest eigenvalue 2, so that its own
    Chebyshev polynomials span the same filters.
    """
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    degree = np.bincount(rows, minlength=count).clip(1)
    return SparseOperator(rows, columns, 1.0 / np.sqrt(degree[rows] * degree[columns]), (count, count))


def upsampling(level: HierarchyLevel) -> SparseOperator:
    """Coarse to fine: each vertex the weighted mean of its parents."""
    fine, parents = level.parents.shape
    rows = np.repeat(np.arange(fine), parents)
    return SparseOperator(rows, level.parents.ravel(), level.weights.ravel(), (fine, len(level.vertices)))


def downsampling(level: HierarchyLevel) -> SparseOperator:
    """Fine to coarse: each coarse vertex the mean of those it is a parent of, by their weights."""
    fine, parents = level.parents.shape
    children, values = np.repeat(np.arange(fine), parents), level.weights.ravel()
    total = np.bincount(level.parents.ravel(), values, minlength=len(level.vertices)).clip(1e-6)
    return SparseOperator(
        level.parents.ravel(), children, values / total[level.parents.ravel()], (len(level.vertices), fine)
    )


class ChebyshevConvolution(nn.Module):
    """Chebyshev graph convolution (Defferrard et al., NeurIPS 2016; for faces Ranjan et al., ECCV 2018)."""

    def __init__(self, graph: SparseOperator, channels_in: int, channels_out: int, order: int) -> None:
        """Make it for a graph.

        Args:
            graph: Its normalised adjacency, see `adjacency`; shared between layers.
            channels_in: Features in.
            channels_out: Features out.
            order: How many polynomials; a vertex sees neighbours `order - 1` edges away.

        Raises:
            ValueError: If the order is less than 1.
        """
        super().__init__()
        if order < 1:
            raise ValueError(f"order {order}: a Chebyshev convolution needs at least 1")
        self._graph = [graph]  # in a list: the operator belongs to the decoder, not to each of its layers
        self.mix = nn.ModuleList(nn.Linear(channels_in, channels_out, bias=k == 0) for k in range(order))

    def forward(self, features: Float[Tensor, "vertex batch channel"]) -> Float[Tensor, "vertex batch out"]:
        """Filter a level's features: the sum over k of T_k(graph) features W_k, by Clenshaw's recurrence."""
        (graph,) = self._graph
        # Weights act on channels and the graph on vertices, so either may come first. Mixing first means that the
        # graph, which is bound by memory, works on as many channels as come out, and no polynomial is stored.
        next_one, next_two = None, None
        for mix in reversed(self.mix[1:]):
            current = mix(features)
            if next_one is not None:
                current = current + 2.0 * graph(next_one)
            if next_two is not None:
                current = current - next_two
            next_one, next_two = current, next_one
        filtered = self.mix[0](features)
        if next_one is not None:
            filtered = filtered + graph(next_one)
        return filtered if next_two is None else filtered - next_two
