import pytest
import torch

from data.blendshapes import BLENDSHAPE_NAMES
from model.losses import blendshapes
from model.losses.blendshapes import labelled_blendshapes, opposites
from model.losses.loss_tables import LossTables
from tests.small_world import toy_reconstructor

ALPHABET = torch.arange(52)
NONE = torch.zeros(0, dtype=torch.long)


def weights(batch: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, 52, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def only(*names: str) -> torch.Tensor:
    face = torch.zeros(1, 52, dtype=torch.float64)
    face[0, [BLENDSHAPE_NAMES.index(name) for name in names]] = 1.0
    return face


def test_the_names_are_those_of_the_labels() -> None:
    assert blendshapes._NAMES == BLENDSHAPE_NAMES


def test_equal_weights_cost_nothing_and_a_difference_of_one_about_one() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    assert labelled_blendshapes(weights(), ALPHABET, weights(), ones) == 0.0
    full, nothing = torch.ones(3, 52, dtype=torch.float64), torch.zeros(3, 52, dtype=torch.float64)
    # Huber's distance: half of what is below the square's end is given away.
    assert labelled_blendshapes(full, ALPHABET, nothing, ones).item() == pytest.approx(0.9)
    assert labelled_blendshapes(0.1 * full, ALPHABET, nothing, ones).item() == pytest.approx(0.1**2 / 2 / 0.2)


def test_a_heads_own_order_does_not_matter() -> None:
    order = torch.randperm(52, generator=torch.Generator().manual_seed(1))
    shuffled = torch.empty_like(weights())
    shuffled[:, order] = weights()
    ones = torch.ones(3, dtype=torch.float64)
    expected = labelled_blendshapes(weights(), ALPHABET, weights(seed=1), ones)
    torch.testing.assert_close(labelled_blendshapes(shuffled, order, weights(seed=1), ones), expected)
    torch.testing.assert_close(opposites(shuffled, order), opposites(weights(), ALPHABET))


def test_samples_count_by_their_weight() -> None:
    answer, labels = weights(2), weights(2, seed=1)
    each = [
        labelled_blendshapes(answer[i : i + 1], ALPHABET, labels[i : i + 1], torch.ones(1).double()) for i in (0, 1)
    ]
    mixed = labelled_blendshapes(answer, ALPHABET, labels, torch.tensor([1.0, 0.25]).double())
    torch.testing.assert_close(mixed, (each[0] + 0.25 * each[1]) / 1.25)
    only_first = labelled_blendshapes(answer, ALPHABET, labels, torch.tensor([0.5, 0.0]).double())
    torch.testing.assert_close(only_first, each[0])
    assert labelled_blendshapes(answer, ALPHABET, labels, torch.zeros(2).double()) == 0.0


@pytest.mark.parametrize(("trusted", "doubted"), [("eyeBlinkLeft", "eyeSquintLeft"), ("jawOpen", "tongueOut")])
def test_labels_that_are_mostly_right_count_more(trusted: str, doubted: str) -> None:
    nothing, one = torch.zeros(1, 52, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    costs = [labelled_blendshapes(only(name), ALPHABET, nothing, one) for name in (trusted, doubted)]
    assert costs[0] > 2.0 * costs[1] > 0.0


def test_gradients() -> None:
    labels, trust = weights(seed=1), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    answer = weights().requires_grad_()
    assert torch.autograd.gradcheck(lambda e: labelled_blendshapes(e, ALPHABET, labels, trust), (answer,))
    assert torch.autograd.gradcheck(lambda e: opposites(e, ALPHABET), (answer,))


@pytest.mark.parametrize("loss", ["labels", "opposites"])
def test_a_head_of_other_shapes_pays_nothing_and_still_has_a_gradient(loss: str) -> None:
    expression = torch.rand(2, 7, requires_grad=True)
    if loss == "labels":
        value = labelled_blendshapes(expression, NONE, torch.rand(2, 52), torch.ones(2))
    else:
        value = opposites(expression, NONE)
    assert value == 0.0
    value.backward()
    assert expression.grad is not None
    assert not expression.grad.any()


@pytest.mark.parametrize(
    ("first", "second", "excluded"),
    [
        ("eyeBlinkLeft", "eyeWideLeft", True),
        ("eyeLookInRight", "eyeLookOutRight", True),
        ("mouthSmileRight", "mouthPucker", True),
        ("jawLeft", "jawRight", True),
        ("mouthLeft", "mouthRight", True),
        ("eyeBlinkLeft", "mouthSmileLeft", False),
        ("eyeBlinkLeft", "eyeWideRight", False),
        ("eyeLookInLeft", "eyeLookOutRight", False),
        ("jawOpen", "mouthSmileLeft", False),
    ],
)
def test_what_excludes_one_another_costs_and_what_does_not_is_free(first: str, second: str, excluded: bool) -> None:
    assert (opposites(only(first, second), ALPHABET) > 0.0) == excluded
    assert opposites(only(first), ALPHABET) == opposites(only(second), ALPHABET) == 0.0


def test_opposites_are_alike_on_both_sides_and_named_once() -> None:
    pairs = {frozenset(BLENDSHAPE_NAMES[index] for index in pair) for pair in blendshapes._OPPOSITES}
    assert len(pairs) == len(blendshapes._OPPOSITES)
    swapped = {
        frozenset(name.replace("Left", "#").replace("Right", "Left").replace("#", "Right") for name in pair)
        for pair in pairs
    }
    assert swapped == pairs


def test_the_tables_say_where_a_head_has_each_shape() -> None:
    model = toy_reconstructor().morphable_model
    order = LossTables(model).alphabetical
    assert [model.expression_names[index] for index in order] == list(BLENDSHAPE_NAMES)


def test_a_complete_shape_counts_twice() -> None:
    one, rest = torch.ones(1, dtype=torch.float64), only()
    missed = labelled_blendshapes(rest, ALPHABET, only("eyeBlinkLeft"), one)
    invented = labelled_blendshapes(only("eyeBlinkLeft"), ALPHABET, rest, one)
    torch.testing.assert_close(missed, 2.0 * invented)
