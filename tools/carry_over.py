"""Carry a checkpoint over to a recalibrated head of the same topology, as a start for training on it.

    python -m tools.carry_over --checkpoint OLD --old_head OLD_HEAD --output runs/carried [--head HEAD]

Only the albedo layer has to change for its new components: the albedo that it answered on the face is expressed in the
new ones by least squares. Identity and expression mean something else when the landmarks have moved; let training begin
them afresh (`start_fresh`). What is written has weights only, for `start_from`.
"""

from pathlib import Path

import numpy as np
import torch

from common.paths import DEFAULT_HEAD
from common.tensors import read_tensors, save_tensors
from model.checkpoint import CHECKPOINT_FORMAT
from model.face.assets import HeadAssets, load_head
from tools.command import run_tool

_LAYER = "parameter_head.albedo"
_RIDGE = 1e-3
"""Of the mean squared norm of a component: no coefficient shall grow large for what the new components cannot say."""


def carried_albedo(
    weight: torch.Tensor, bias: torch.Tensor, old: HeadAssets, new: HeadAssets
) -> tuple[torch.Tensor, torch.Tensor]:
    """The albedo layer for the new head's components.

    Args:
        weight: (A, features) of the old layer.
        bias: (A,) of it.
        old: The head it was trained with.
        new: The head it shall answer for; its vertices must be the old one's.

    Raises:
        ValueError: If the heads differ in their number of vertices.
    """
    if len(old.vertices_mm) != len(new.vertices_mm):
        raise ValueError(f"heads of {len(old.vertices_mm)} and {len(new.vertices_mm)} vertices are of two topologies")
    face = new.regions["face"]
    before = old.albedo_basis[:, face].reshape(len(old.albedo_basis), -1).astype(np.float64)
    after = new.albedo_basis[:, face].reshape(len(new.albedo_basis), -1).astype(np.float64)
    normal = after @ after.T
    normal += _RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
    shift = (old.albedo_mean[face] - new.albedo_mean[face]).reshape(-1)
    change = torch.from_numpy(np.linalg.solve(normal, after @ before.T))
    moved = torch.from_numpy(np.linalg.solve(normal, after @ shift))
    return (change @ weight.double()).float(), (change @ bias.double() + moved).float()


def carry_over(
    checkpoint: Path,
    old_head: Path,
    output: Path,
    head: Path = DEFAULT_HEAD,
) -> None:
    """Write the carried weights.

    Args:
        checkpoint: Folder of the old checkpoint.
        old_head: The head file that it was trained with.
        output: Folder to write to, made if missing.
        head: The new head file.
    """
    stored, _ = read_tensors(checkpoint / "weights.safetensors")
    weights = {name: value.float() for name, value in stored.items()}
    if f"{_LAYER}.weight" not in weights:
        raise ValueError(f"{checkpoint}: has no {_LAYER}: not a checkpoint of this model")
    layer = (weights[f"{_LAYER}.weight"], weights[f"{_LAYER}.bias"])
    layer = carried_albedo(*layer, load_head(old_head), load_head(head))
    weights[f"{_LAYER}.weight"], weights[f"{_LAYER}.bias"] = layer
    output.mkdir(parents=True, exist_ok=True)
    written = {name: value.contiguous() for name, value in weights.items()}
    save_tensors(written, output / "weights.safetensors", {"format": CHECKPOINT_FORMAT})


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and carry over."""
    run_tool(carry_over, arguments)


if __name__ == "__main__":
    main()
