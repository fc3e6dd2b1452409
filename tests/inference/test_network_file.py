import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from common.version import VERSION
from inference.export_options import AnswersDifferError
from inference.network_file import OPSET, compare, halve_weights, read_network, write_network
from inference.network_outputs import NetworkOutputs, example_inputs
from inference.network_session import SESSION_FILE
from model.checkpoint import load_reconstructor, source_sha256
from model.reconstructor import Reconstructor
from tests.inference.small_network import lively_reconstructor
from tests.small_world import ARKIT_NAMES, IMAGE_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reconstructor(exported: Path) -> Reconstructor:
    return load_reconstructor(exported)


@pytest.fixture(scope="module")
def written(exported: Path) -> Path:
    return exported / SESSION_FILE


def test_an_onnx_file_answers_any_batch_as_pytorch_does(reconstructor: Reconstructor, written: Path) -> None:
    batches = [example_inputs(IMAGE_SIZE, batch, seed=100 + batch) for batch in (1, 3, 7)]
    difference = compare(reconstructor, read_network(written), batches)
    assert difference.faces == 11
    assert difference.px < 1e-3
    assert difference.mm < 1e-3
    assert difference.other < 1e-3


def test_an_onnx_file_needs_nothing_but_onnxruntime(reconstructor: Reconstructor, written: Path) -> None:
    # One file: no weights beside it.
    assert {path.suffix for path in written.parent.iterdir()} == {".onnx", ".safetensors", ".json"}
    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    crops, cameras = example_inputs(IMAGE_SIZE, 2)
    answers = session.run(["landmarks68_image"], {"image_srgb": crops.numpy(), "intrinsics_px": cameras.numpy()})
    with torch.no_grad():
        expected = reconstructor(crops, cameras).landmarks68_image
    np.testing.assert_allclose(answers[0], expected.numpy(), rtol=0.0, atol=2e-3)


def test_an_onnx_file_tells_what_it_is(reconstructor: Reconstructor, written: Path) -> None:
    proto = onnx.load(written)
    assert [(each.domain, each.version) for each in proto.opset_import if each.domain == ""] == [("", OPSET)]
    facts = {each.key: each.value for each in proto.metadata_props}
    assert facts["likeness_version"] == VERSION
    assert facts.items() >= source_sha256(written.parent).items()
    assert facts["image_size"] == str(IMAGE_SIZE)
    assert json.loads(facts["expression_names"]) == list(ARKIT_NAMES)
    outputs = tuple(each.name for each in proto.graph.output)
    assert outputs == NetworkOutputs(reconstructor).names == tuple(facts["outputs"].split())
    # A name in place of a number: the batch may have any size.
    assert all(each.type.tensor_type.shape.dim[0].dim_param for each in (*proto.graph.input, *proto.graph.output))


def test_what_half_precision_holds_exactly_is_stored_in_it(written: Path) -> None:
    # The checkpoint holds its weights so.
    stored = {each.name: each.data_type for each in onnx.load(written).graph.initializer}
    halved = {name for name, kind in stored.items() if kind == onnx.TensorProto.FLOAT16}
    assert any("backbone" in name for name in halved)
    assert not any("mean" in name or "basis" in name for name in halved)


def weights_file(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The sum of an input and of weights."""
    names = ["given", *weights]
    nodes = [
        onnx.helper.make_node("Add", [names[0] if index == 0 else f"sum{index}", name], [f"sum{index + 1}"])
        for index, name in enumerate(weights)
    ]
    shape = [32, 40]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("given", "sum3")]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(nodes, "sum", ends[:1], ends[1:], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)


@pytest.mark.parametrize(("exactly", "expected"), [(True, {"short.half"}), (False, {"short.half", "long.half"})])
def test_weights_in_half_precision_take_less_room(exactly: bool, expected: set[str]) -> None:
    short = np.arange(1280, dtype=np.float32).reshape(32, 40)
    weights = {"short": short, "long": short / 3.0, "constant": short}
    proto = weights_file(weights)
    halve_weights(proto, {"short", "long"}, exactly=exactly)
    stored = {each.name: each.data_type for each in proto.graph.initializer}
    assert {name for name, kind in stored.items() if kind == onnx.TensorProto.FLOAT16} == expected
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {"given": np.zeros_like(short)})
    off = np.abs(np.asarray(given) - sum(weights.values())).max()
    assert off == 0.0 if exactly else 0.0 < off < 1.0


def test_a_weight_beyond_half_precision_is_kept() -> None:
    large = np.full((32, 40), 1e5, np.float32)
    proto = weights_file({"large": large, "a": large, "b": large})
    halve_weights(proto, {"large"}, exactly=True)
    assert {each.data_type for each in proto.graph.initializer} == {onnx.TensorProto.FLOAT}


def test_a_program_of_pytorch_answers_any_batch_as_well(reconstructor: Reconstructor, tmp_path: Path) -> None:
    path = tmp_path / "made" / "network.pt2"
    assert write_network(reconstructor, path, "pt2").mm < 1e-3
    assert [each.name for each in path.parent.iterdir()] == ["network.pt2"]
    difference = compare(reconstructor, read_network(path), [example_inputs(IMAGE_SIZE, 4, seed=9)])
    assert max(difference.px, difference.mm, difference.other) < 1e-3


def test_a_file_that_answers_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.pt2"
    path.write_text("from before")
    other = lively_reconstructor(points=False)
    with torch.no_grad():
        other.parameter_head.placement.bias += 0.001

    def mistaken(path: Path) -> object:
        network = NetworkOutputs(other)
        return lambda *given: dict(zip(network.names, network(*given), strict=True))

    monkeypatch.setattr("inference.network_file.read_network", mistaken)
    with pytest.raises(AnswersDifferError, match="not written, since its answers differ"):
        write_network(lively_reconstructor(points=False), path, "pt2")
    assert path.read_text() == "from before"
    assert [each.name for each in tmp_path.iterdir()] == ["network.pt2"]


def test_an_answer_that_is_no_number_is_far_away() -> None:
    reconstructor = lively_reconstructor(points=False)
    network = NetworkOutputs(reconstructor)
    crops = [example_inputs(IMAGE_SIZE, 2, seed=seed) for seed in (0, 1, 2)]

    def broken(image_srgb: Tensor, intrinsics_px: Tensor) -> dict[str, Tensor]:
        answers = dict(zip(network.names, network(image_srgb, intrinsics_px), strict=True))
        return answers | ({"identity": answers["identity"] * float("nan")} if image_srgb is crops[1][0] else {})

    difference = compare(reconstructor, broken, crops)
    assert np.isnan([difference.mm, difference.other]).all()
    assert difference.px == 0.0


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        write_network(lively_reconstructor().train(), tmp_path / "network.onnx", "onnx")
    with pytest.raises(ValueError, match="for ONNX files only"):
        write_network(lively_reconstructor(), tmp_path / "network.pt2", "pt2", precision="half")
    (tmp_path / "text.pt2").write_text("no program")
    with pytest.raises(ValueError, match="no exported program"):
        read_network(tmp_path / "text.pt2")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_network(tmp_path / "nowhere.pt2")
