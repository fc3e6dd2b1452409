import pytest
import torch

from model.face.morphable_model import MorphableModel
from model.losses.loss_tables import LossTables
from model.losses.reflectance import reflectance_variance
from tests.small_world import toy_head

SKIN = torch.tensor([True, True, True, True, False])


def albedo(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_skin_of_one_colour_is_free_whatever_the_colour_of_each_face() -> None:
    even = albedo()[:, :1].repeat(1, 5, 1)
    even[:, 4] = 0.0  # an eye
    assert reflectance_variance(even, SKIN) < 1e-12
    assert reflectance_variance(albedo(), SKIN) > 0.01


def test_it_grows_with_the_square_of_the_contrast() -> None:
    mean = albedo()[:, :4].mean(1, keepdim=True)
    faint = mean + 0.5 * (albedo() - mean)
    torch.testing.assert_close(reflectance_variance(faint, SKIN), 0.25 * reflectance_variance(albedo(), SKIN))


def test_a_head_without_skin_is_refused() -> None:
    with pytest.raises(ValueError, match="no vertex of this head is skin"):
        reflectance_variance(albedo(), ~torch.ones(5, dtype=torch.bool))


def test_gradients() -> None:
    assert torch.autograd.gradcheck(lambda a: reflectance_variance(a, SKIN), (albedo().requires_grad_(),))


def test_the_skin_of_a_head_is_its_face_without_eyes_and_lips() -> None:
    model = MorphableModel(toy_head())
    skin = LossTables(model).skin
    assert skin.any()
    assert not (skin & ~model.region("face")).any()
    for name in ("eyes", "lips"):
        assert not (skin & model.region(name)).any(), name
