"""MobileFaceNet in PyTorch, from a file that brings its own graph.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices" (CCBR 2018), in
any arrangement that ends in 512 numbers. Places and range of its input are those of the network in the npm package
`faceplugin-face-recognition-js` 0.0.1 (MIT). The weights are not part of the project: the user names an `.npz` with
tensors by name and the key `ops`, a text in JSON: a list, in the order of execution, of

    {"input": NAME}                                                     the picture, first
    {"op": "Conv", "out": NAME, "in": [FEATURES, FILTERS, BIAS], "strides": [2, 2], "pads": [1, 1], "group": 1}
    {"op": "PRelu", "out": NAME, "in": [FEATURES, SLOPES]}
    {"op": "Add", "out": NAME, "in": [FEATURES, FEATURES]}              two of one shape
    {"op": "Reshape", "out": NAME, "in": [FEATURES]}                    a vector a picture; the last is the answer

with filters (out, in / group, kh, kw), bias (out), slopes (channel, 1, 1), strides and pads for rows and columns.
"""

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.recognition.network import at_least_single, cosine

_TEMPLATE_PX = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


class _Convolution(nn.Module):
    filters: Float[Tensor, "out channel kh kw"]
    bias: Float[Tensor, " out"]

    def __init__(
        self, filters: Tensor, bias: Tensor, stride: Sequence[int], padding: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        self.register_buffer("filters", filters)
        self.register_buffer("bias", bias)
        self.stride, self.padding, self.groups = tuple(stride), tuple(padding), groups

    def forward(self, features: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch out rows columns"]:
        return nn.functional.conv2d(features, self.filters, self.bias, self.stride, self.padding, groups=self.groups)


class _PRelu(nn.Module):
    slopes: Float[Tensor, " channel"]

    def __init__(self, slopes: Tensor) -> None:
        super().__init__()
        self.register_buffer("slopes", slopes)

    def forward(self, features: Float[Tensor, "batch channel *place"]) -> Float[Tensor, "batch channel *place"]:
        return nn.functional.prelu(features, self.slopes)


class _Add(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        # Broadcast, a wrong graph could pass for a right one.
        if first.shape != second.shape:
            raise ValueError(f"Add of shapes {tuple(first.shape)} and {tuple(second.shape)}")
        return first + second


class _Graph(nn.Module):
    """Layers in the order of their execution, each on what earlier ones made."""

    def __init__(self, operations: object, tensors: dict[str, np.ndarray]) -> None:
        super().__init__()
        if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
            raise ValueError("`ops` is not a list of operations")
        if len(operations) < 2 or not isinstance(operations[0].get("input"), str):
            raise ValueError("`ops` does not begin with the picture's name and at least one operation")
        self.input: str = operations[0]["input"]
        self.layers = nn.ModuleList()
        self.inputs: list[list[str]] = []
        self.outputs: list[str] = []
        for operation in operations[1:]:
            layer, inputs = _layer(operation, tensors)
            output = operation.get("out")
            known = {self.input, *self.outputs}
            if not isinstance(output, str) or output in known:
                raise ValueError(f"an operation's result is called {output!r}: no name, or one that is taken")
            if not known.issuperset(inputs):
                raise ValueError(f"`{output}` is made of what nothing before it makes: {sorted({*inputs} - known)}")
            self.layers.append(layer)
            self.inputs.append(inputs)
            self.outputs.append(output)
        last_use = {name: step for step, inputs in enumerate(self.inputs) for name in inputs}
        self.spent = [[name for name in set(inputs) if last_use[name] == i] for i, inputs in enumerate(self.inputs)]

    def forward(self, picture: Tensor) -> Tensor:
        values = {self.input: picture}
        for layer, inputs, output, spent in zip(self.layers, self.inputs, self.outputs, self.spent, strict=True):
            values[output] = layer(*(values[name] for name in inputs))
            # Without gradients, all features of a batch would else stay in memory to the end.
            for name in spent:
                del values[name]
        return values[self.outputs[-1]]


class MobileFaceNet(nn.Module):
    """An `RecognitionNetwork`: aligned faces to 512 numbers of length 1."""

    face_size_px: int = 112
    feature_count: int = 512
    template_px: Float[Tensor, "5 2"]

    def __init__(self, weights_path: Path) -> None:
        """Read the graph and its weights.

        Args:
            weights_path: The `.npz` described at the top of this file.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is not such a file, or its parts do not fit.
        """
        super().__init__()
        if not weights_path.is_file():
            raise FileNotFoundError(f"{weights_path}: no such file (MobileFaceNet's graph and weights as .npz)")
        try:
            self.graph = _Graph(*_read(weights_path))
            self._check()
        except (ValueError, TypeError, RuntimeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{weights_path}: not the graph and weights of a MobileFaceNet ({error})") from error
        self.register_buffer("template_px", torch.tensor(_TEMPLATE_PX), persistent=False)
        self.eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def _check(self) -> None:
        answer = self.graph(torch.zeros(1, 3, self.face_size_px, self.face_size_px))
        if answer.shape != (1, self.feature_count):
            raise ValueError(f"it makes {tuple(answer.shape[1:])} of a face, expected ({self.feature_count},)")
        if not answer.isfinite().all():
            raise ValueError("its answers are not finite")

    def train(self, mode: bool = True) -> "MobileFaceNet":
        """Stay as it is: what contains it trains, it does not."""
        super().train(mode=False)
        return self

    def forward(self, faces_srgb: Float[Tensor, "batch 3 112 112"]) -> Float[Tensor, "batch 512"]:
        """Embed aligned faces."""
        return nn.functional.normalize(at_least_single(self.graph((255.0 * faces_srgb - 127.5) / 128.0)), dim=-1)

    def embed(self, faces_srgb: Float[Tensor, "batch 3 112 112"]) -> Float[Tensor, "batch 512"]:
        """Vectors of aligned faces, sRGB in [0, 1]; differentiable with respect to them."""
        return self(faces_srgb)

    def similarity(
        self, first: Float[Tensor, "batch 512"], second: Float[Tensor, "batch 512"]
    ) -> Float[Tensor, " batch"]:
        """Cosine of the vectors' angle."""
        return cosine(first, second)


def _read(path: Path) -> tuple[object, dict[str, np.ndarray]]:
    """What the file says of operations, not judged yet, and its tensors."""
    file = np.load(path, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with file:
        arrays = {name: np.asarray(file[name]) for name in file.files}
    if "ops" not in arrays:
        raise ValueError("without `ops`")
    return json.loads(str(arrays.pop("ops"))), arrays


def _layer(operation: dict[str, object], tensors: dict[str, np.ndarray]) -> tuple[nn.Module, list[str]]:
    """What an operation does, and the names of the features it takes. Nothing but these four is ever done."""
    kind = operation.get("op")
    if kind == "Conv":
        features, filters, bias = _names(operation, 3)
        layer = _Convolution(
            _tensor(tensors, filters, 4),
            _tensor(tensors, bias, 1),
            _counts(operation, "strides", least=1),
            _counts(operation, "pads", least=0),
            _count(operation.get("group"), "group", least=1),
        )
        return layer, [features]
    if kind == "PRelu":
        features, slopes = _names(operation, 2)
        return _PRelu(_tensor(tensors, slopes, 3).flatten()), [features]
    if kind == "Add":
        return _Add(), _names(operation, 2)
    if kind == "Reshape":
        return nn.Flatten(), _names(operation, 1)
    raise ValueError(f"unknown operation {kind!r}, expected Conv, PRelu, Add or Reshape")


def _names(operation: dict[str, object], count: int) -> list[str]:
    names = operation.get("in")
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{operation['op']} takes {count} names, not {names!r}")
    return names


def _tensor(tensors: dict[str, np.ndarray], name: str, axis_count: int) -> Tensor:
    if name not in tensors:
        raise ValueError(f"without the tensor `{name}`")
    array = tensors[name]
    if array.ndim != axis_count or array.dtype.kind != "f":
        raise ValueError(f"`{name}` is {array.dtype} of shape {array.shape}, expected {axis_count} axes of numbers")
    return torch.from_numpy(array.astype(np.float32))


def _counts(operation: dict[str, object], name: str, *, least: int) -> list[int]:
    values = operation.get(name)
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError(f"{name} {values!r}: expected two numbers, for rows and columns")
    return [_count(value, name, least=least) for value in values]


def _count(value: object, name: str, *, least: int) -> int:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name} {value!r}: expected a whole number from {least}")
    return value
