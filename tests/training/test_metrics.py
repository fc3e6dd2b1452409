import torch

from training.metrics import WeightedMeans


def test_a_mean_weighs_every_item_alike_however_batches_are_cut() -> None:
    values, weights = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 0.5, 1.0, 0.0])
    means = WeightedMeans(["a", "b"])
    means.add("a", values[:3], weights[:3])
    means.add("a", values[3:], weights[3:])
    assert means.means(torch.device("cpu")) == {"a": torch.tensor(5.0 / 2.5)}


def test_what_has_no_weight_may_be_anything_and_gives_no_mean() -> None:
    means = WeightedMeans(["a", "b"])
    means.add("a", torch.tensor([torch.nan, 2.0]), torch.tensor([False, True]))
    means.add("b", torch.tensor([torch.nan]), torch.tensor([False]))
    assert means.means(torch.device("cpu")) == {"a": torch.tensor(2.0)}


def test_processes_are_summed_before_the_division_even_one_without_a_batch() -> None:
    large, empty = WeightedMeans(["a"]), WeightedMeans(["a"])
    large.add("a", torch.tensor([1.0, 3.0, 8.0]), torch.ones(3))
    assert empty.means(torch.device("cpu")) == {}
    sums: list[torch.Tensor] = []
    large.means(torch.device("cpu"), lambda own: sums.append(own) or own)
    together = empty.means(torch.device("cpu"), lambda own: own + sums[0])
    assert together == {"a": torch.tensor(4.0)}


def test_reset_forgets() -> None:
    means = WeightedMeans(["a"])
    means.add("a", torch.ones(1), torch.ones(1))
    means.reset()
    assert means.means(torch.device("cpu")) == {}
