import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tools.import_blazeface import build_model, filled_up, read_weights

CHANNELS = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
HALVING = (2, 5, 11)


def any_weights() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(0)

    def layer(outputs: int, inputs: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        kernel = generator.normal(size=(outputs, inputs, side, side)) / np.sqrt(inputs * side * side)
        return kernel.astype(np.float32), generator.normal(size=outputs).astype(np.float32)

    weights = {"conv2d": layer(24, 3, 5)}
    for index, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:], strict=False)):
        weights["depthwise_conv2d" + (f"_{index}" if index else "")] = layer(inputs, 1, 3)
        weights[f"conv2d_{index + 1}"] = layer(outputs, inputs, 1)
    for stride, channels, anchors in ((8, 88, 2), (16, 96, 6)):
        weights[f"classificator_{stride}"] = layer(anchors, channels, 1)
        weights[f"regressor_{stride}"] = layer(16 * anchors, channels, 1)
    return weights


def plain_answers(weights: dict[str, tuple[np.ndarray, np.ndarray]], image: np.ndarray) -> list[np.ndarray]:
    """The network as the paper and MediaPipe's graph have it, without any filling up."""

    def convolve(x: torch.Tensor, name: str, **options: int) -> torch.Tensor:
        kernel, bias = (torch.from_numpy(values) for values in weights[name])
        return F.conv2d(x, kernel, bias, **options)

    x = torch.from_numpy(image.astype(np.float32) / 127.5 - 1.0).permute(2, 0, 1)[None]
    x = torch.relu(convolve(F.pad(x, (1, 2, 1, 2)), "conv2d", stride=2))
    maps = []
    for index, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:], strict=False)):
        name, halve = "depthwise_conv2d" + (f"_{index}" if index else ""), index in HALVING
        changed = convolve(F.pad(x, (0, 1, 0, 1) if halve else (1, 1, 1, 1)), name, stride=1 + halve, groups=inputs)
        kept = F.pad(F.max_pool2d(x, 2) if halve else x, (0, 0, 0, 0, 0, outputs - inputs))
        x = torch.relu(convolve(changed, f"conv2d_{index + 1}") + kept)
        if index in (10, 15):
            maps.append(x)
    answers = []
    for kind, width in (("classificator", 1), ("regressor", 16)):
        parts = [convolve(values, f"{kind}_{stride}") for values, stride in zip(maps, (8, 16), strict=True)]
        answers.append(torch.cat([part.permute(0, 2, 3, 1).reshape(-1, width) for part in parts]).squeeze(1).numpy())
    return answers


def test_channels_are_filled_up_with_nothing() -> None:
    filled = filled_up(any_weights())
    kernel, bias = filled["conv2d_2"]
    assert kernel.shape == (32, 32, 1, 1)
    assert not kernel[28:].any()
    assert not kernel[:, 24:].any()
    assert not bias[28:].any()
    assert filled["depthwise_conv2d_2"][0].shape == (32, 1, 3, 3)
    assert filled["regressor_8"][0].shape == (32, 96, 1, 1)


def test_the_graph_answers_as_the_network_does(tmp_path) -> None:
    pytest.importorskip("onnx", reason="only this tool needs it")
    from data.blazeface import onnx_session

    weights = any_weights()
    (tmp_path / "b.onnx").write_bytes(build_model(weights).SerializeToString())
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    found = onnx_session(tmp_path / "b.onnx").run(None, {"image_srgb": image[None]})
    for one, other in zip(found, plain_answers(weights, image), strict=True):
        np.testing.assert_allclose(one[0], other, rtol=1e-3, atol=1e-3)


def test_another_file_is_refused(tmp_path) -> None:
    (tmp_path / "no.tflite").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no\.tflite: not"):
        read_weights(tmp_path / "no.tflite")
