"""A soft picture and a face's points in it, for the tests of recognition networks."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.small_world import ibug68_layout


def smooth_pictures(batch: int = 2, height: int = 90, width: int = 110) -> Tensor:
    """Pictures of nothing, soft enough that interpolation has little to choose."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    waves = [torch.sin(x / (9.0 + k) + i) + torch.cos(y / (7.0 + k) - i) for i in range(batch) for k in range(3)]
    return (0.5 + 0.2 * torch.stack(waves)).reshape(batch, 3, height, width)


def face_points(center_px: tuple[float, float] = (55.0, 45.0), turn_rad: float = 0.0, size_px: float = 30.0) -> Tensor:
    """iBUG's 68 of a frontal face (68, 2) somewhere in a picture, turned clockwise as seen."""
    points = torch.from_numpy(ibug68_layout() * (1.0, -1.0)).float() * size_px
    cosine, sine = float(np.cos(turn_rad)), float(np.sin(turn_rad))
    turn = torch.tensor([[cosine, -sine], [sine, cosine]])
    return points @ turn.T + torch.tensor(center_px)


def random_dlib_weights(path: Path, seed: int = 0) -> Path:
    """A file in the layout of dlib's network, with random weights."""
    generator = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}

    def add(name: str, side: int, channels_in: int, channels_out: int) -> None:
        spread = (2.0 / (side * side * channels_in)) ** 0.5
        arrays[f"{name}.conv.filters"] = generator.normal(0.0, spread, (side, side, channels_in, channels_out))
        arrays[f"{name}.conv.bias"] = generator.normal(0.0, 0.1, channels_out)
        arrays[f"{name}.scale.weights"] = generator.uniform(0.8, 1.2, channels_out)
        arrays[f"{name}.scale.biases"] = generator.normal(0.0, 0.1, channels_out)

    add("conv32_down", 7, 3, 32)
    channels = 32
    for level, blocks in ((32, "123"), (64, "d123"), (128, "d12"), (256, "d12o")):
        for block in blocks:
            name = f"conv{level}_" + {"d": "down", "o": "down_out"}.get(block, block)
            add(f"{name}.conv1", 3, channels, level)
            add(f"{name}.conv2", 3, level, level)
            channels = level
    arrays["fc"] = generator.normal(0.0, 0.02, (256, 128))
    np.savez(path, allow_pickle=False, **{name: array.astype(np.float16) for name, array in arrays.items()})
    return path


def random_mobilefacenet_file(seed: int = 0) -> tuple[list[dict], dict[str, np.ndarray]]:
    """A small graph in the layout of MobileFaceNet's file, with every kind of operation, and random weights."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return generator.normal(0.0, float(np.prod(shape[1:])) ** -0.5, shape).astype(np.float32)

    def convolution(name: str, source: str, strides: list[int], pads: list[int], group: int = 1) -> dict:
        operation = {"op": "Conv", "out": name, "in": [source, f"{name}_w", f"{name}_b"], "strides": strides}
        return operation | {"pads": pads, "group": group}

    tensors = {
        **{"first_w": normal(8, 3, 7, 5), "deep_w": normal(8, 1, 3, 3), "point_w": normal(8, 8, 1, 1)},
        **{"whole_w": normal(8, 1, 14, 28), "last_w": normal(512, 8, 1, 1), "last_b": normal(512)},
        **{f"{name}_b": normal(8) for name in ("first", "deep", "point", "whole")},
        "slopes": generator.uniform(0.1, 0.4, (8, 1, 1)).astype(np.float32),
    }
    operations = [
        {"input": "picture"},
        convolution("first", "picture", [8, 4], [3, 2]),
        {"op": "PRelu", "out": "bent", "in": ["first", "slopes"]},
        convolution("deep", "bent", [1, 1], [1, 1], group=8),
        {"op": "Add", "out": "sum", "in": ["bent", "deep"]},
        convolution("point", "sum", [1, 1], [0, 0]),
        convolution("whole", "point", [1, 1], [0, 0], group=8),
        convolution("last", "whole", [1, 1], [0, 0]),
        {"op": "Reshape", "out": "answer", "in": ["last"]},
    ]
    return operations, tensors


def write_mobilefacenet(path: Path, operations: object, tensors: dict[str, np.ndarray]) -> Path:
    """The file of such a graph."""
    np.savez(path, allow_pickle=False, ops=np.array(json.dumps(operations)), **tensors)
    return path
