"""What was called otherwise in earlier versions: their files, settings and options are still read.

Whoever reads such a thing asks here for the names of today, and the user is told once, in one line, what they are.
What is written has the names of today alone.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

_LOG = logging.getLogger(__name__)
_TOLD: set[str] = set()
T = TypeVar("T")

TRAINING_SETTINGS = {
    "refinement": "detail",
    "identity_network": "recognition_network",
    "loss.identity": "loss.recognition",
    "loss.identity_teacher": "loss.recognition_teacher",
    "loss.identity_distillation": "loss.recognition_distillation",
}
"""Settings and options of `train.py`."""

REFINE_SETTINGS = {
    "identity_network": "recognition_network",
    "raster.identity_feature": "raster.recognition_feature",
}
"""Settings of `configs/refine*.yaml`."""

EVALUATE_OPTIONS = {
    "identity_network": "recognition_network",
    "identity_network_kind": "recognition_network_kind",
}
"""Options of `evaluate.py photographs`."""

CHECKPOINT_KEYS = {"refinement": "detail"}
"""Keys of a checkpoint's `config.json`."""

WEIGHTS = {"refinement_head": "detail_head"}
"""Parts of the model, as the names of its weights call them."""

SHARD_KEYS = {"identity": "person"}
"""Keys of a sample's `.json` in a shard."""

SHARD_MEMBERS = {"identity.npy": "recognition.npy"}
"""Members of a sample in a shard."""


def current_keys(content: Mapping[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    """Settings with the names of today, in their order.

    Args:
        content: As they were read; a dot in `names` leads into a mapping in it.
        names: Old and new names; both lie in the same mapping.
        where: What is read, for the line that tells.

    Raises:
        ValueError: If something is there under its old and its new name.
    """
    found: dict[str, str] = {}
    current = _renamed(content, names, "", where, found)
    tell(where, found)
    return current


def current_arguments(arguments: Sequence[str], names: Mapping[str, str], where: str) -> list[str]:
    """A command line with the names of today: `--old`, `--old=value` and `--old.part` alike.

    Args:
        arguments: The command line.
        names: Old and new names, with their dots.
        where: The command, for the line that tells.
    """
    current, found = [], {}
    # The longest first: `loss.identity_teacher` is not a part of `loss.identity`.
    longest_first = sorted(names, key=len, reverse=True)
    for argument in arguments:
        option, equals, value = argument.partition("=")
        for old in longest_first:
            if option == f"--{old}" or option.startswith(f"--{old}."):
                option = f"--{names[old]}{option[len(old) + 2 :]}"
                found[f"--{old}"] = f"--{names[old]}"
                break
        current.append(f"{option}{equals}{value}")
    tell(where, found)
    return current


def current_weights(weights: Mapping[str, T], where: str | None = None) -> dict[str, T]:
    """Weights by the names of today, in their order.

    Args:
        weights: By name; the parts of the model are parted by dots.
        where: Where they come from, for the line that tells; None where the user has been told already.
    """
    current, found = {}, {}
    for name, value in weights.items():
        parts = name.split(".")
        found |= {part: WEIGHTS[part] for part in parts if part in WEIGHTS}
        current[".".join(WEIGHTS.get(part, part) for part in parts)] = value
    if where is not None:
        tell(where, found)
    return current


def tell(where: str, found: Mapping[str, str]) -> None:
    """Tell, once in a process, what is called otherwise now; nothing where nothing is.

    Args:
        where: What is read.
        found: Old names that it has, and what they are called now.
    """
    text = f"{where}: " + ", ".join(f"`{old}` is called `{new}` now" for old, new in found.items())
    if found and text not in _TOLD:
        _TOLD.add(text)
        _LOG.warning("%s", text)


def _renamed(
    content: Mapping[str, Any], names: Mapping[str, str], prefix: str, where: str, found: dict[str, str]
) -> dict[str, Any]:
    current: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        new = names.get(path, path)
        if new != path:
            found[path] = new
        name = new.rpartition(".")[2] if new != path else key
        if name in current or (name != key and name in content):
            raise ValueError(f"{where}: `{path}` is called `{new}` now, and both are there: keep `{new}`")
        inner = isinstance(value, Mapping) and any(old.startswith(f"{path}.") for old in names)
        current[name] = _renamed(value, names, f"{path}.", where, found) if inner else value
    return current
