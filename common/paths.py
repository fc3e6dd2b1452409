"""Where the repository's own files lie; the one place that says so."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
"""The folder of the clone."""

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
