import torch
from torch import Tensor

from model.losses.recognition_teacher import recognition_distillation, recognition_teacher, shape_consistency


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(size: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(gaussian(size, size, seed=seed)).Q


def ones(batch: int) -> Tensor:
    return torch.ones(batch, dtype=torch.float64)


class TestRecognitionTeacher:
    def test_it_is_the_mean_squared_difference_of_cosines(self) -> None:
        identity, embedding, weight = gaussian(4, 3), gaussian(4, 5, seed=1), gaussian(4, seed=2).abs()
        cosines = []
        for vectors in (identity, embedding):
            centred = vectors - (weight[:, None] * vectors).sum(0) / weight.sum()
            cosines.append([[torch.cosine_similarity(a, b, dim=0) for b in centred] for a in centred])
        top, bottom = torch.zeros(2, dtype=torch.float64)
        for i in range(4):
            for j in range(4):
                if i != j:
                    top += weight[i] * weight[j] * (cosines[0][i][j] - cosines[1][i][j]) ** 2
                    bottom += weight[i] * weight[j]
        torch.testing.assert_close(recognition_teacher(identity, embedding, weight), top / bottom)

    def test_coefficients_that_turn_with_the_embeddings_are_best(self) -> None:
        identity = gaussian(8, 5)
        # A turn, a scale and a shift into more dimensions keep every angle around the mean.
        embedding = 0.01 * identity @ rotation(9)[:5] + gaussian(9, seed=2)
        assert recognition_teacher(identity, embedding, ones(8)) < 1e-12
        assert recognition_teacher(identity[torch.randperm(8)], embedding, ones(8)) > 0.1

    def test_neither_scale_nor_shift_nor_turn_of_the_coefficients_matters(self) -> None:
        identity, embedding = gaussian(6, 4), gaussian(6, 7, seed=1)
        loss = recognition_teacher(identity, embedding, ones(6))
        changed = 3.0 * identity @ rotation(4) + gaussian(4, seed=3)
        torch.testing.assert_close(recognition_teacher(changed, embedding, ones(6)), loss)

    def test_descent_brings_alike_people_together(self) -> None:
        embedding = gaussian(4, 6, seed=1)
        embedding[1] = embedding[0] + 0.01 * gaussian(6, seed=2)
        identity = gaussian(4, 5).requires_grad_()
        before = torch.cosine_similarity(identity[0], identity[1], dim=0).item()
        (gradient,) = torch.autograd.grad(recognition_teacher(identity, embedding, ones(4)), identity)
        moved = identity.detach() - 0.5 * gradient
        assert torch.cosine_similarity(moved[0], moved[1], dim=0) > before
        assert recognition_teacher(moved, embedding, ones(4)) < recognition_teacher(identity, embedding, ones(4))

    def test_samples_without_weight_are_not_there(self) -> None:
        identity, embedding = gaussian(6, 4), gaussian(6, 7, seed=1)
        weight = torch.tensor([1.0, 0.5, 0.0, 1.0, 0.0, 0.2]).double()
        kept = weight > 0
        identity[2] = 1e3
        embedding[4] = -1e3
        identity.requires_grad_()
        loss = recognition_teacher(identity, embedding, weight)
        torch.testing.assert_close(loss, recognition_teacher(identity[kept], embedding[kept], weight[kept]))
        (gradient,) = torch.autograd.grad(loss, identity)
        assert not gradient[~kept].any()

    def test_two_samples_and_an_untrained_model_say_nothing(self) -> None:
        identity = gaussian(4, 3).requires_grad_()
        two = recognition_teacher(identity, gaussian(4, 7, seed=1), torch.tensor([1.0, 0.0, 0.0, 1.0]).double())
        two.backward()
        assert two == 0.0
        assert identity.grad is not None
        assert not identity.grad.any()
        untrained = torch.zeros(4, 3, requires_grad=True)
        recognition_teacher(untrained, torch.randn(4, 7), torch.ones(4)).backward()
        assert untrained.grad is not None
        assert torch.isfinite(untrained.grad).all()
        # Of hardly any length, they are not torn about.
        small = (1e-6 * torch.randn(4, 3)).requires_grad_()
        recognition_teacher(small, torch.randn(4, 7), torch.ones(4)).backward()
        assert small.grad is not None
        assert small.grad.abs().max() < 10.0

    def test_gradients_are_those_of_small_changes_and_none_reach_the_teacher(self) -> None:
        embedding = gaussian(5, 7, seed=1).requires_grad_()
        weight = torch.tensor([1.0, 0.5, 0.0, 1.0, 0.3]).double()
        identity = gaussian(5, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: recognition_teacher(x, embedding.detach(), weight), (identity,))
        recognition_teacher(identity, embedding, weight).backward()
        assert embedding.grad is None


class TestRecognitionDistillation:
    def test_it_is_one_less_the_mean_cosine_around_the_means(self) -> None:
        answer, embedding, weight = gaussian(4, 5), gaussian(4, 5, seed=1), gaussian(4, seed=2).abs()
        first, second = (v - (weight[:, None] * v).sum(0) / weight.sum() for v in (answer, embedding))
        expected = (weight * (1.0 - torch.cosine_similarity(first, second))).sum() / weight.sum()
        torch.testing.assert_close(recognition_distillation(answer, embedding, weight), expected)

    def test_a_common_part_and_the_scale_do_not_matter(self) -> None:
        embedding = gaussian(6, 5)
        assert recognition_distillation(3.0 * embedding + gaussian(5, seed=1), embedding, ones(6)) < 1e-12

    def test_samples_without_weight_are_not_there_and_two_say_nothing(self) -> None:
        answer, embedding, weight = gaussian(5, 4), gaussian(5, 4, seed=1), ones(5)
        weight[3] = 0.0
        kept = weight > 0
        torch.testing.assert_close(
            recognition_distillation(answer, embedding, weight),
            recognition_distillation(answer[kept], embedding[kept], ones(4)),
        )
        assert recognition_distillation(answer[:2], embedding[:2], ones(2)) == 0.0


class TestShapeConsistency:
    person = torch.tensor([7, 3, 7, -1, -1, 3, 9])

    def test_it_is_the_distance_within_people_over_that_of_any_two(self) -> None:
        identity = gaussian(7, 4)
        within = torch.stack([(identity[i] - identity[j]).square().sum() for i, j in ((0, 2), (1, 5))]).mean()
        # All pairs, each sample with itself too.
        between = torch.cdist(identity, identity).square().mean()
        torch.testing.assert_close(shape_consistency(identity, self.person), within / between)

    def test_it_prefers_one_shape_a_person(self) -> None:
        identity = gaussian(7, 4)
        agreed = identity.clone()
        agreed[2], agreed[5] = agreed[0], agreed[1]
        assert shape_consistency(agreed, self.person) == 0.0
        # Unknown people (-1) may differ, though they have the same number.
        assert (agreed[3] - agreed[4]).norm() > 0.1
        assert shape_consistency(identity, self.person) > 0.1

    def test_neither_growing_nor_spreading_out_is_rewarded(self) -> None:
        identity = gaussian(7, 4).requires_grad_()
        loss = shape_consistency(identity, self.person)
        torch.testing.assert_close(shape_consistency(5.0 * identity, self.person), loss)
        (gradient,) = torch.autograd.grad(loss, identity)
        # Along the way to larger coefficients the loss it descends rises, and strangers are left where they are.
        assert (gradient * identity).sum() > 0
        assert not gradient[[3, 4, 6]].any()

    def test_gradients_are_those_of_small_changes_but_for_the_spread(self) -> None:
        identity = gaussian(7, 4).requires_grad_()
        (gradient,) = torch.autograd.grad(shape_consistency(identity, self.person), identity)
        with torch.no_grad():
            spread = torch.cdist(identity, identity).square().mean()
        within = identity.detach().clone().requires_grad_()
        pairs = ((within[0] - within[2]).square().sum() + (within[1] - within[5]).square().sum()) / 2.0
        (expected,) = torch.autograd.grad(pairs / spread, within)
        torch.testing.assert_close(gradient, expected)

    def test_without_pairs_it_is_zero_with_a_gradient(self) -> None:
        identity = torch.zeros(3, 4, requires_grad=True)
        loss = shape_consistency(identity, torch.tensor([-1, -1, 2]))
        loss.backward()
        assert loss == 0.0
        assert identity.grad is not None
        assert not identity.grad.any()
