import numpy as np
import pytest
import torch

from model.encoder.mesh_convolution import ChebyshevConvolution, SparseOperator, adjacency, downsampling, upsampling
from tests.small_world import toy_hierarchy

EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])


def dense(operator: SparseOperator) -> torch.Tensor:
    return operator(torch.eye(operator.size[1])[:, None])[:, 0]


def test_the_adjacency_is_that_of_the_graph_and_its_eigenvalues_reach_from_minus_one_to_one() -> None:
    matrix = dense(adjacency(EDGES, 4))
    torch.testing.assert_close(matrix, matrix.T)
    assert (matrix > 0).sum() == 2 * len(EDGES)
    values = torch.linalg.eigvalsh(matrix)
    assert values.max() == pytest.approx(1.0, abs=1e-5)
    assert values.min() >= -1.0 - 1e-5


def test_products_carry_gradients_to_the_features() -> None:
    operator = adjacency(EDGES, 4)
    features = torch.randn(4, 2, 3, requires_grad=True)
    wanted = torch.randn(4, 2, 3)
    (operator(features) * wanted).sum().backward()
    expected = torch.einsum("ij,ibc->jbc", dense(operator), wanted)
    torch.testing.assert_close(features.grad, expected)


def test_the_dense_tables_of_compiled_graphs_hold_the_same_matrix() -> None:
    levels = toy_hierarchy().levels
    operators = [adjacency(EDGES, 5), upsampling(levels[0]), downsampling(levels[0]), downsampling(levels[1])]
    for operator in operators:
        features = torch.randn(operator.size[1], 2, 3)
        by_table = (features[operator.neighbours] * operator.weights[:, :, None, None]).sum(1)
        torch.testing.assert_close(by_table, operator(features), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_recurrence_is_the_sum_of_chebyshev_polynomials(order: int) -> None:
    torch.manual_seed(0)
    operator = adjacency(EDGES, 4)
    layer = ChebyshevConvolution(operator, 3, 5, order)
    features = torch.randn(4, 2, 3)
    graph, expected = dense(operator), torch.zeros(4, 2, 5)
    for k, mix in enumerate(layer.mix):
        # T_k of a matrix by its eigenvalues: cos(k arccos(x)).
        values, vectors = torch.linalg.eigh(graph.double())
        polynomial = (vectors * torch.cos(k * torch.arccos(values.clamp(-1, 1)))) @ vectors.T
        expected = expected + mix(torch.einsum("ij,jbc->ibc", polynomial.float(), features))
    torch.testing.assert_close(layer(features), expected, atol=1e-4, rtol=1e-4)


def test_a_vertex_sees_as_far_as_the_order_says() -> None:
    chain = np.stack((np.arange(9), np.arange(1, 10)), axis=1)
    layer = ChebyshevConvolution(adjacency(chain, 10), 1, 1, order=3)
    features = torch.zeros(10, 1, 1, requires_grad=True)
    layer(features)[5].sum().backward()
    assert features.grad is not None
    assert features.grad[:, 0, 0].nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="order 0"):
        ChebyshevConvolution(adjacency(EDGES, 4), 1, 1, 0)


def test_constants_pass_up_and_down_unchanged() -> None:
    for level in toy_hierarchy().levels:
        fine, coarse = torch.ones(len(level.parents), 2, 3), torch.ones(len(level.vertices), 2, 3)
        torch.testing.assert_close(upsampling(level)(coarse), fine)
        torch.testing.assert_close(downsampling(level)(fine), coarse)


def test_under_autocast_products_stay_in_single_precision() -> None:
    features = torch.rand(4, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        product = adjacency(EDGES, 4)(features.bfloat16())
    assert product.dtype == torch.float32
