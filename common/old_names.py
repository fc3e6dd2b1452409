"""What was called otherwise in earlier versions: their files, settings and options are still read.

Whoever reads such a thing asks here for the names of today, and the user is told once, in one line, what they are.
What is written has the names of today alone. Some settings became constants: what says the same is passed over with a
line, and what says something else is refused, since leaving it out would change the answer.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

_LOG = logging.getLogger(__name__)
_TOLD: set[str] = set()
T = TypeVar("T")


@dataclass(frozen=True)
class Constant:
    """What was a setting.

    Attributes:
        value: What it always is now.
    """

    value: Any


Names = Mapping[str, str | Constant]
"""By the name of before: the name of today, or what it always is today."""

TRAINING_SETTINGS: Names = {
    "refinement": "detail",
    "identity_network": "recognition_network",
    "loss.identity": "loss.recognition",
    "loss.identity_teacher": "loss.recognition_teacher",
    "loss.identity_distillation": "loss.recognition_distillation",
    "trainer.strategy": Constant("auto"),
    "logging.sheet_faces": Constant(6),
}
"""Settings and options of `train.py`."""

REFINE_SETTINGS: Names = {
    "identity_network": "recognition_network",
    "raster.identity_feature": "raster.recognition_feature",
    "landmarks.hidden_weight": Constant(0.3),
    "landmarks.focal_log_sd": Constant(0.2),
    "landmarks.iterations": Constant(40),
    "raster.hidden_landmarks": Constant(0.3),
    "raster.offset_sd_mm": Constant(0.5),
    "raster.albedo_residual_sd": Constant(0.1),
    "raster.focal_log_sd": Constant(0.1),
    "raster.white_light": Constant(0.02),
    "raytrace.solver_rounds": Constant(4),
    "raytrace.light_rate": Constant(0.05),
    "raytrace.coefficient_rate": Constant(0.05),
    "raytrace.texture_rate": Constant(0.03),
    "raytrace.least_cosine": Constant(0.2),
}
"""Settings of `configs/refine*.yaml`."""

EVALUATE_OPTIONS: Names = {
    "identity_network": "recognition_network",
    "identity_network_kind": "recognition_network_kind",
}
"""Options of `evaluate.py photographs`."""

CHECKPOINT_KEYS: Names = {"refinement": "detail"}
"""Keys of a checkpoint's `config.json`."""

WEIGHTS = {"refinement_head": "detail_head"}
"""Parts of the model, as the names of its weights call them."""

SHARD_KEYS: Names = {"identity": "person"}
"""Keys of a sample's `.json` in a shard."""

SHARD_MEMBERS = {"identity.npy": "recognition.npy"}
"""Members of a sample in a shard."""


def current_keys(content: Mapping[str, Any], names: Names, where: str, prefix: str = "") -> dict[str, Any]:
    """Settings with the names of today, in their order.

    Args:
        content: As they were read; a dot in `names` leads into a mapping in it.
        names: Old and new names, which lie in the same mapping, and constants.
        where: What is read, for the line that tells.
        prefix: What stands before the settings' names in `names` where `content` is only a part, such as `loss.`.

    Raises:
        ValueError: If something is there under its old and its new name, or a constant shall have another value.
    """
    found: dict[str, str | Constant] = {}
    current = _renamed(content, names, prefix, where, found)
    tell(where, found)
    return current


def current_arguments(arguments: Sequence[str], names: Names, where: str) -> list[str]:
    """A command line with the names of today: `--old`, `--old=value` and `--old.part` alike.

    Args:
        arguments: The command line.
        names: Old and new names, with their dots, and constants.
        where: The command, for the line that tells.

    Raises:
        ValueError: If a constant is given.
    """
    current, found = [], {}
    # The longest first: `loss.identity_teacher` is not a part of `loss.identity`.
    longest_first = sorted(names, key=len, reverse=True)
    parts = {f"--{old.rpartition('.')[0]}" for old in names if "." in old}
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option, equals, value = argument.partition("=")
        if before in parts:
            # The value of an option that takes a whole part, such as `--loss '{gaze: 0.1}'`.
            current.append(_current_part(argument, names, f"{where}, {before}", before[2:]))
            continue
        if option in parts and equals:
            value = _current_part(value, names, f"{where}, {option}", option[2:])
        for old in longest_first:
            if option == f"--{old}" or option.startswith(f"--{old}."):
                new = names[old]
                if isinstance(new, Constant):
                    raise ValueError(f"{where}: --{old} is no option any more: it is always {new.value}; leave it out")
                option = f"--{new}{option[len(old) + 2 :]}"
                found[f"--{old}"] = f"--{new}"
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


def tell(where: str, found: Names) -> None:
    """Tell, once in a process, what is called otherwise now or has become a constant; nothing where nothing is.

    Args:
        where: What is read.
        found: Old names that it has, and what became of them.
    """
    text = f"{where}: " + ", ".join(
        f"`{old}` is always {new.value} now" if isinstance(new, Constant) else f"`{old}` is called `{new}` now"
        for old, new in found.items()
    )
    if found and text not in _TOLD:
        _TOLD.add(text)
        _LOG.warning("%s", text)


def _current_part(text: str, names: Names, where: str, part: str) -> str:
    """The settings of a part with the names of today; as it is where it is no mapping (the path of a file, say)."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return json.dumps(current_keys(content, names, where, f"{part}.")) if isinstance(content, dict) else text


def _renamed(
    content: Mapping[str, Any], names: Names, prefix: str, where: str, found: dict[str, str | Constant]
) -> dict[str, Any]:
    current: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        new = names.get(path, path)
        if new != path:
            found[path] = new
        if isinstance(new, Constant):
            if value != new.value:
                raise ValueError(f"{where}: `{path}` is {value!r}, but it is always {new.value!r} now: delete it")
            continue
        name = new.rpartition(".")[2] if new != path else key
        if name in current or (name != key and name in content):
            raise ValueError(f"{where}: `{path}` is called `{new}` now, and both are there: keep `{new}`")
        inner = isinstance(value, Mapping) and any(old.startswith(f"{path}.") for old in names)
        current[name] = _renamed(value, names, f"{path}.", where, found) if inner else value
    return current
