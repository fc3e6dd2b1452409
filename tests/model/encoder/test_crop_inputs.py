import pytest
import torch

from model.encoder.crop_inputs import refuse_impossible_cameras, refuse_impossible_crops
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor


def crops(value: float = 0.5) -> torch.Tensor:
    return torch.full((2, 3, IMAGE_SIZE, IMAGE_SIZE), value)


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0005])
def test_pixels_between_black_and_white_pass(value: float) -> None:
    refuse_impossible_crops(crops(value), IMAGE_SIZE)
    refuse_impossible_cameras(crop_camera(2), crops())


@pytest.mark.parametrize("value", [255.0, -1.7, float("nan"), float("inf")])
def test_one_pixel_beyond_is_refused_in_words(value: float) -> None:
    wrong = crops()
    wrong[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=r"expected sRGB in \[0, 1\]"):
        refuse_impossible_crops(wrong, IMAGE_SIZE)


def test_whole_numbers_and_other_shapes_are_refused() -> None:
    with pytest.raises(TypeError, match="divide pixels of 8 bits by 255"):
        refuse_impossible_crops(crops().to(torch.uint8), IMAGE_SIZE)
    with pytest.raises(ValueError, match=r"expected \(batch, 3,"):
        refuse_impossible_crops(crops()[0], IMAGE_SIZE)
    with pytest.raises(ValueError, match="this model takes"):
        refuse_impossible_crops(crops()[..., :-1], IMAGE_SIZE)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((0, 0), 0.0, "positive"),
        ((1, 1), -400.0, "positive"),
        ((0, 2), float("nan"), "not finite"),
        ((0, 2), 1e7, "off its axis"),
        ((0, 1), 3.0, "skew"),
        ((2, 2), 0.0, "last row"),
    ],
)
def test_impossible_cameras_are_refused(place: tuple[int, int], value: float, said: str) -> None:
    cameras = crop_camera(2)
    cameras[1][place] = value
    with pytest.raises(ValueError, match=said):
        refuse_impossible_cameras(cameras, crops())


def test_the_model_refuses_them_but_not_while_it_is_trained() -> None:
    reconstructor = toy_reconstructor()
    with torch.no_grad():
        for ask in (reconstructor, reconstructor.encode):
            with pytest.raises(ValueError, match="pixels of the crops"):
                ask(crops(255.0), crop_camera(2))
        # There nothing may wait for the device; the loaders cut the crops.
        reconstructor.train()(crops(1.2), crop_camera(2))
