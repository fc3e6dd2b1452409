import importlib.util
import logging

import pytest
import torch

from model.render import device_rasterizer
from model.render.backends import build_rasterizer
from model.render.device_rasterizer import best_rasterizer
from tests.model.render.render_scenes import random_triangles


@pytest.mark.parametrize(
    ("device", "installed", "expected"),
    [
        ("cpu", True, "cpu"),
        ("cuda:1", True, "nvdiffrast"),
        ("cuda:1", False, "torch"),
        ("xpu", True, "torch"),
    ],
)
def test_choice_by_device(device: str, installed: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    assert best_rasterizer(torch.device(device)) == expected


def test_auto_draws_on_a_cpu_as_cpu_does_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    vertices, faces = random_triangles(6, 10, seed=1)
    pictures = []
    with caplog.at_level(logging.INFO, device_rasterizer.__name__):
        for rasterizer in (build_rasterizer("auto"), build_rasterizer("cpu")):
            leaf = vertices.clone().requires_grad_()
            fragments = rasterizer.rasterize(leaf, faces, 10, 10)
            image = rasterizer.interpolate(leaf, fragments, faces)
            rasterizer.antialias(image, fragments, leaf, faces).sum().backward()
            pictures.append((fragments.face_index, image.detach(), leaf.grad))
    for ours, expected in zip(*pictures, strict=True):
        assert torch.equal(ours, expected)
    assert [record.getMessage() for record in caplog.records] == ["drawing on cpu with the rasterizer 'cpu'"]
