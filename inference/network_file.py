"""Writes the network as one file that runs without Likeness; a file that answers otherwise than PyTorch is not kept."""

import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from common.atomic import atomic_path
from common.version import VERSION
from inference.export_options import NETWORK_FORMAT, AnswersDifferError, FileKind, Precision
from inference.network_outputs import INPUTS, LANDMARKS, POINTS, NetworkOutputs, example_inputs, parameters_of
from inference.network_session import NetworkSession
from model.reconstructor import Reconstructor

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Of ONNX's operators."""

FACTS_FILE = "likeness.json"
"""Of a pt2 file, what ONNX keeps in its metadata."""

LARGEST_PX, LARGEST_MM, LARGEST_OTHER = 1e-3, 1e-2, 1e-3
"""How far a file with weights in single precision may differ from PyTorch. Both round: over 50 photographed faces 0.8 m
away likeness-s differs by 3e-4 mm, over made-up crops up to 1.7 m away by 2e-3 mm, of which PyTorch's own distance
from double precision is 1.4e-3 and the file's 0.8e-3, nearly all of it in depth."""

_SMALLEST_HALVED = 1024
_BATCHES = (1, 2, 5)

Answering = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""From crops and cameras to named outputs."""


@dataclass(frozen=True)
class Difference:
    """How far a file's answers are from PyTorch's, at most.

    Attributes:
        px: Of landmarks and points in crops.
        mm: Of the heads' vertices in camera space.
        other: Of all other outputs, in their own units.
        faces: How many crops were compared.
    """

    px: float = 0.0
    mm: float = 0.0
    other: float = 0.0
    faces: int = 0

    def __str__(self) -> str:
        return f"at most {self.px:.2g} px, {self.mm:.2g} mm, {self.other:.2g} in all else, over {self.faces} crops"


def write_network(
    reconstructor: Reconstructor,
    output: Path,
    kind: FileKind,
    *,
    precision: Precision = "single",
    facts: dict[str, str] | None = None,
) -> Difference:
    """Export a reconstructor's network, heads and landmarks; the batch may be of any size.

    Args:
        reconstructor: The model, on the CPU, in evaluation mode.
        output: The file; its folder is made if missing. Nothing is left there if the export fails.
        kind: ONNX (opset 18), or an exported program of PyTorch.
        precision: What the weights are stored in, see `ExportOptions`.
        facts: What else the file shall say of itself.

    Returns:
        How far its answers to made-up crops differ from PyTorch's.

    Raises:
        ValueError: If the model is being trained, or weights in half precision are asked of pt2.
        AnswersDifferError: If the file's answers differ by more than a thousandth; weights in half precision may.
    """
    if reconstructor.training:
        raise ValueError("only a network in evaluation mode is exported: call eval() first")
    if precision == "half" and kind != "onnx":
        raise ValueError("weights in half precision are for ONNX files only")
    network = NetworkOutputs(reconstructor)
    told = _facts(reconstructor, network, precision) | (facts or {})
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary, torch.no_grad():
        batch = torch.export.Dim("batch", min=1)
        example = example_inputs(reconstructor.image_size, 2)
        program = torch.export.export(network, example, dynamic_shapes=({0: batch}, {0: batch}))
        if kind == "onnx":
            _write_onnx(program, network, temporary, told)
        else:
            torch.export.save(program, temporary, extra_files={FACTS_FILE: json.dumps(told)})
        examples = [example_inputs(reconstructor.image_size, size, seed=size) for size in _BATCHES]
        difference = compare(reconstructor, read_network(temporary), examples)
        # A file that fails is removed on the way out.
        # What is no number compares as false with everything, and counts as far.
        near = difference.px <= LARGEST_PX and difference.mm <= LARGEST_MM and difference.other <= LARGEST_OTHER
        if precision == "single" and not near:
            raise AnswersDifferError(f"{output}: not written, since its answers differ from PyTorch's by {difference}")
    return difference


def read_network(path: Path) -> Answering:
    """Whoever answers by a file that `write_network` wrote.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it is another kind of file.
    """
    if path.suffix == ".onnx":
        return NetworkSession(path).outputs
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    extra = {FACTS_FILE: ""}
    try:
        program = torch.export.load(path, extra_files=extra).module()
        names = json.loads(extra[FACTS_FILE])["outputs"].split()
    except (RuntimeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no exported program of a network ({error})") from error
    return lambda image_srgb, intrinsics_px: dict(zip(names, program(image_srgb, intrinsics_px), strict=True))


@torch.no_grad()
def compare(reconstructor: Reconstructor, answering: Answering, crops: Iterable[tuple[Tensor, Tensor]]) -> Difference:
    """How far answers are from a reconstructor's.

    Args:
        reconstructor: The reference.
        answering: Whoever is compared with it.
        crops: Batches of crops and their cameras.
    """
    network, largest = NetworkOutputs(reconstructor), Difference()
    for image_srgb, intrinsics_px in crops:
        expected: dict[str, Tensor] = dict(zip(network.names, network(image_srgb, intrinsics_px), strict=True))
        given = answering(image_srgb, intrinsics_px)
        vertices_mm = [reconstructor.linear_mesh(parameters_of(each)).vertices_camera_mm for each in (expected, given)]
        apart = {name: float((given[name] - expected[name]).abs().max()) for name in network.names}
        points_px = float((given[LANDMARKS] - expected[LANDMARKS])[..., :2].abs().max())
        pixels = [points_px, *(apart[name] for name in POINTS if name in apart)]
        # Depth and place are part of the vertices.
        other = [apart[name] for name in apart if name not in (*POINTS, LANDMARKS, "translation_mm")]
        away_mm = float((vertices_mm[0] - vertices_mm[1]).norm(dim=-1).max())
        largest = Difference(
            _largest(largest.px, *pixels),
            _largest(largest.mm, away_mm),
            _largest(largest.other, *other),
            largest.faces + len(image_srgb),
        )
    return largest


def _largest(*values: float) -> float:
    """Python's own `max` passes over what is no number."""
    return float(np.max(values))


def _facts(reconstructor: Reconstructor, network: NetworkOutputs, precision: Precision) -> dict[str, str]:
    return {
        "format": NETWORK_FORMAT,
        "likeness_version": VERSION,
        "image_size": str(reconstructor.image_size),
        "backbone": reconstructor.config.backbone,
        "expression_names": json.dumps(reconstructor.morphable_model.expression_names),
        "outputs": " ".join(network.names),
        "weights": precision,
    }


def _write_onnx(
    program: torch.export.ExportedProgram, network: NetworkOutputs, path: Path, facts: dict[str, str]
) -> None:
    import onnx
    from onnxscript import optimizer

    written = torch.onnx.export(
        program,
        input_names=list(INPUTS),
        output_names=list(network.names),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
        # It would multiply batch normalisation into the weights, which half precision then no longer holds exactly;
        # whoever runs the file does that when it is loaded.
        optimize=False,
    )
    assert written is not None
    optimizer.inline(written.model)
    optimizer.fold_constants(written.model)
    optimizer.remove_unused_nodes(written.model)
    proto = written.model_proto
    halve_weights(proto, {name for name, _ in network.named_parameters()}, exactly=facts["weights"] == "single")
    onnx.helper.set_model_props(proto, facts)
    onnx.checker.check_model(proto)
    onnx.save_model(proto, path)


def halve_weights(proto: "ModelProto", names: set[str], *, exactly: bool = False) -> None:
    """Store large weights in half precision; whoever runs the file widens them once, when it is loaded.

    Processors compute in single precision faster than in half. Weights alone are halved: the geometry is exact to a
    thousandth of a millimetre, which takes more digits.

    Args:
        proto: The file's content, which is changed.
        names: Which tensors are weights.
        exactly: Only those that lose nothing by it.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, kept, casts = proto.graph, [], []
    for tensor in graph.initializer:
        if tensor.name not in names or tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _SMALLEST_HALVED:
            kept.append(tensor)
            continue
        wide = numpy_helper.to_array(tensor)
        # A weight beyond 65504 becomes infinite, and so differs.
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float16)
        if exactly and not np.array_equal(narrow.astype(np.float32), wide):
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(narrow, f"{tensor.name}.half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for field, values in ((graph.initializer, kept), (graph.node, nodes)):
        del field[:]
        field.extend(values)
