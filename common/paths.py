"""Where the repository's own files lie; the one place that says so."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
"""The folder of the clone, or what stands for it where the package is installed."""

IN_A_CLONE = (REPOSITORY / "pyproject.toml").is_file()

CONFIG_FOLDER = REPOSITORY / "configs"
DEFAULT_REFINE_CONFIG = CONFIG_FOLDER / "refine.yaml"

DEFAULT_CHECKPOINT = REPOSITORY / "checkpoints" / "likeness-s"
"""The released network."""
DEFAULT_HEAD = REPOSITORY / "checkpoints" / "likeness-head" / "head.safetensors"
"""The released head."""
DEFAULT_HIERARCHY = DEFAULT_HEAD.with_name("hierarchy.safetensors")
"""Levels of its graph."""
DEFAULT_MASK = REPOSITORY / "checkpoints" / "likeness-mask" / "weights.safetensors"
"""The released person network."""


def shipped(path: Path) -> Path:
    """A path that the user gave, such as `configs/refine_fast.yaml`; ours where there is no such file but with us.

    The pages and the examples name files of the clone, where they lie below the working folder.
    """
    ours = REPOSITORY / path
    return ours if not path.is_absolute() and not path.exists() and ours.is_file() else path


def tool_command(name: str, options: str = "") -> str:
    """How a tool is started, for messages; it says that only a clone has it where this is none.

    Args:
        name: The module below `tools`.
        options: What follows.
    """
    command = f"python -m tools.{name} {options}".rstrip()
    return command if IN_A_CLONE else f"{command}, in a clone of Likeness"


DEFAULT_BLAZEFACE = REPOSITORY / "checkpoints" / "blazeface" / "blazeface.onnx"
"""The network that finds faces first."""
