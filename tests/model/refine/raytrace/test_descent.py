import pytest
import torch

from model.refine.raytrace.descent import History, descend


def test_the_sum_of_all_terms_is_minimised():
    x, history = torch.zeros(2, requires_grad=True), History()
    terms = lambda: {"near": (x - 1.0).square().sum(), "nearer": (x - 3.0).square().sum()}  # noqa: E731
    descend(terms, ((x, 0.1),), 300, history, "fit")
    torch.testing.assert_close(x.detach(), torch.full((2,), 2.0), atol=0.01, rtol=0)


def test_every_term_of_every_step_is_written_down_and_another_descent_goes_on():
    x, history = torch.zeros((), requires_grad=True), History()
    terms = lambda: {"one": (x - 1.0).square(), "two": 0.0 * x + 5.0}  # noqa: E731
    descend(terms, ((x, 0.1),), 4, history, "fit")
    descend(terms, ((x, 0.1),), 3, history, "fit")
    descend(terms, ((x, 0.1),), 2, history, "other")
    assert {name: len(values) for name, values in history.items()} == {
        "fit.one": 7,
        "fit.two": 7,
        "other.one": 2,
        "other.two": 2,
    }
    assert history["fit.one"][0] == 1.0, "the value before the first step"
    assert history["fit.two"] == [5.0] * 7
    assert history["fit.one"] == sorted(history["fit.one"], reverse=True)


def test_rates_fall_to_a_tenth():
    x, places, steps = torch.zeros((), requires_grad=True), [], 50
    # A slope that never changes: each step of Adam is as long as its rate.
    descend(lambda: {"slope": -x}, ((x, 0.1),), steps, {}, "fit", project=lambda: places.append(float(x.detach())))
    lengths = torch.tensor([0.0, *places]).diff()
    assert len(lengths) == steps
    assert lengths[0] == pytest.approx(0.1, rel=1e-3)
    assert lengths[-1] == pytest.approx(0.01, rel=0.1)
    assert (lengths.diff() < 0.0).all()


def test_each_tensor_has_its_own_rate():
    fast, slow = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    descend(lambda: {"slope": -fast - slow}, ((fast, 0.1), (slow, 0.01)), 5, {}, "fit")
    assert float(fast.detach()) == pytest.approx(10.0 * float(slow.detach()), rel=1e-3)


def test_what_left_its_range_is_put_back_after_every_step():
    x, seen = torch.full((3,), 0.05, requires_grad=True), []

    def terms() -> dict[str, torch.Tensor]:
        seen.append(x.detach().clone())
        return {"low": (x + 1.0).square().sum()}

    def project() -> None:
        x.clamp_(min=0.0)

    descend(terms, ((x, 0.1),), 20, {}, "fit", project)
    assert torch.stack(seen).min() >= 0.0
    assert (x == 0.0).all()


def test_a_tensor_of_no_rate_stays():
    x, y = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    descend(lambda: {"slope": (x + y - 1.0).square()}, ((x, 0.0), (y, 0.2)), 10, {}, "fit")
    assert float(x.detach()) == 0.0
    assert float(y.detach()) > 0.5


@pytest.mark.parametrize(("rate", "steps"), [(0.1, 0), (0.0, 5)])
def test_without_a_step_or_a_rate_nothing_happens(rate: float, steps: int):
    x, history = torch.zeros((), requires_grad=True), History()
    descend(lambda: {"slope": -x}, ((x, rate),), steps, history, "fit")
    assert float(x.detach()) == 0.0
    assert not history


def test_gradients_from_before_do_not_count():
    x = torch.zeros((), requires_grad=True)
    x.grad = torch.tensor(1e6)
    descend(lambda: {"slope": -x}, ((x, 0.1),), 1, {}, "fit")
    assert float(x.detach()) == pytest.approx(0.1, rel=1e-3)
