"""A checkpoint is a folder: weights, the config that built them, and where they come from.

    likeness-s/
        weights.safetensors   the encoder (half precision)
        config.json           format, version, encoder, image size, head file and its SHA-256, mesh decoder, provenance
        README.md             the model card

Nothing is unpickled: the weights are safetensors, the rest is JSON.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from common.atomic import atomic_path
from common.old_names import CHECKPOINT_KEYS, current_keys, current_weights
from common.paths import DEFAULT_CHECKPOINT
from common.tensors import read_tensors, save_tensors
from common.version import VERSION
from model.encoder.backbone import EncoderConfig
from model.encoder.detail_head import DetailConfig
from model.face.assets import load_head
from model.face.hierarchy import MeshHierarchy, load_hierarchy
from model.reconstructor import Reconstructor

CHECKPOINT_FORMAT = "likeness-checkpoint-1"
# Switches of what a network may have beyond its backbone; older checkpoints do not name them.
_ENCODER_PARTS = ("points", "aligned_look")
_WEIGHTS, _CONFIG = "weights.safetensors", "config.json"


def save_checkpoint(
    reconstructor: Reconstructor,
    head_path: Path,
    folder: Path,
    provenance: dict[str, Any],
    *,
    hierarchy_path: Path | None = None,
    half: bool = True,
) -> None:
    """Write a checkpoint folder.

    Args:
        reconstructor: The trained model.
        head_path: The head file it was built with; the config refers to it relative to `folder`.
        folder: Made if missing.
        provenance: JSON-able facts: what it was trained on, how long, by which version.
        hierarchy_path: The head's hierarchy, where the model has a mesh decoder.
        half: Store the weights in half precision.

    Raises:
        ValueError: If a model with a mesh decoder comes without its hierarchy.
    """
    decoder = reconstructor.detail_head
    if decoder is not None and hierarchy_path is None:
        raise ValueError("a model with a mesh decoder is saved with hierarchy_path: it cannot be built without")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in reconstructor.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_tensors(weights, folder / _WEIGHTS, {"format": CHECKPOINT_FORMAT})
    config: dict[str, Any] = {
        "format": CHECKPOINT_FORMAT,
        # For people: what can be read is told by the format and the fields. Older checkpoints do not have it.
        "likeness_version": VERSION,
        "encoder": {part: getattr(reconstructor.config, part) for part in ("backbone", *_ENCODER_PARTS)},
        "image_size": reconstructor.image_size,
        "head": _relative(head_path, folder),
        "head_sha256": file_sha256(head_path),
    }
    if decoder is not None and hierarchy_path is not None:
        config["detail"] = asdict(decoder.config)
        config["hierarchy"] = _relative(hierarchy_path, folder)
        config["hierarchy_sha256"] = file_sha256(hierarchy_path)
    config["provenance"] = provenance
    with atomic_path(folder / _CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_reconstructor(path: str | Path = DEFAULT_CHECKPOINT, device: str = "cpu") -> Reconstructor:
    """Load a checkpoint folder, strictly, ready for inference.

    Args:
        path: The folder; the released `likeness-s` by default.
        device: A torch device.

    Returns:
        The reconstructor in evaluation mode.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is not what it should be, or the parts do not belong together.
    """
    folder = Path(path)
    config = _read_config(folder)
    head_path = (folder / config["head"]).resolve()
    head = load_head(head_path)
    accepted = (file_sha256(head_path), *head.succeeds)
    if config["head_sha256"] not in accepted:
        raise ValueError(f"{head_path}: not the head file that {folder} was trained with (its SHA-256 differs)")
    own = config["encoder"]
    encoder = EncoderConfig(own["backbone"], **{part: own.get(part, False) for part in _ENCODER_PARTS})
    reconstructor = Reconstructor(encoder, config["image_size"], head, *_decoder(config, folder, accepted))
    weights_path = folder / _WEIGHTS
    weights, _ = read_tensors(
        weights_path,
        missing="missing; the checkpoint folder is incomplete",
        remedy="copy or train the checkpoint again",
    )
    state = reconstructor.state_dict()
    counters = {name: value for name, value in state.items() if name.endswith("num_batches_tracked")}
    try:
        reconstructor.load_state_dict({**{n: w.float() for n, w in current_weights(weights).items()}, **counters})
    except RuntimeError as error:
        raise ValueError(f"{weights_path}: does not fit {folder / _CONFIG}: {error}") from error
    return reconstructor.to(torch.device(device)).eval()


def _decoder(
    config: dict[str, Any], folder: Path, heads_sha256: tuple[str, ...]
) -> tuple[DetailConfig | None, MeshHierarchy | None]:
    """What the mesh decoder is built from, nothing for a model without one; its graph is that of any of the heads."""
    if "detail" not in config:
        return None, None
    path = (folder / config["hierarchy"]).resolve()
    hierarchy = load_hierarchy(path)
    if file_sha256(path) != config["hierarchy_sha256"] or hierarchy.head_sha256 not in heads_sha256:
        raise ValueError(f"{path}: not the hierarchy that {folder} was trained with (its SHA-256 differs)")
    settings = dict(config["detail"])
    try:
        settings["channels"] = tuple(settings["channels"])
        return DetailConfig(**settings), hierarchy
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / _CONFIG}: detail is not a decoder's config ({error})") from error


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_sha256(folder: Path) -> dict[str, str]:
    """What a checkpoint's answers come from: `weights_sha256` and `head_sha256`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the config is none.
    """
    return {"weights_sha256": file_sha256(folder / _WEIGHTS), "head_sha256": _read_config(folder)["head_sha256"]}


def _relative(path: Path, folder: Path) -> str:
    # Relative, so that a checkout's checkpoints/ folder can be moved or copied as a whole.
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; {folder} is no checkpoint folder (the released one is checkpoints/likeness-s)"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(f"{path}: not a {CHECKPOINT_FORMAT} config")
    config = current_keys(config, CHECKPOINT_KEYS, str(path))
    wanted = ["encoder", "image_size", "head", "head_sha256"]
    if "detail" in config:
        wanted += ["hierarchy", "hierarchy_sha256"]
    missing = [key for key in wanted if key not in config]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}")
    if not isinstance(config["encoder"], dict) or not isinstance(config["encoder"].get("backbone"), str):
        raise ValueError(f"{path}: encoder must name its backbone, got {config['encoder']!r}")
    for part in _ENCODER_PARTS:
        if not isinstance(config["encoder"].get(part, False), bool):
            raise ValueError(f"{path}: encoder.{part} must be true or false, got {config['encoder']!r}")
    return config
