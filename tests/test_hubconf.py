from pathlib import Path

import torch

from tests.small_checkpoint import toy_checkpoint
from tests.small_world import IMAGE_SIZE, crop_camera


def test_torch_hub_loads_a_reconstructor(tmp_path: Path) -> None:
    repository = str(Path(__file__).resolve().parent.parent)
    model = torch.hub.load(repository, "likeness_s", source="local", checkpoint=str(toy_checkpoint(tmp_path)))
    with torch.no_grad():
        answer = model(torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(1))
    assert answer.landmarks68_image.shape == (1, 68, 3)
