import pytest
import torch

from common.psnr import psnr_db


@pytest.mark.parametrize("error", [0.01, torch.tensor(0.01)])
def test_differences_of_a_tenth_are_twenty_decibels(error: float | torch.Tensor) -> None:
    assert psnr_db(error) == pytest.approx(20.0)


def test_equal_pictures_have_a_hundred() -> None:
    assert psnr_db(0.0) == psnr_db(torch.zeros(())) == pytest.approx(100.0)
