"""How meshes are written, which the command line, the Python door and the writers of files all know."""

from dataclasses import dataclass
from typing import Literal, get_args

Units = Literal["mm", "cm", "m"]
"""Of lengths in OBJ files; GLB files are in metres, as their format asks."""
RigKind = Literal["shapes", "bones"]
"""Who opens the jaw and turns the eyes of a GLB: the blendshapes, or the joints."""
PoseKind = Literal["front", "photograph"]
"""Where the head of a GLB stands: upright at the origin with the camera before it, or before a camera at the origin."""

UNITS_PER_MM: dict[Units, float] = {"mm": 1.0, "cm": 0.1, "m": 0.001}


@dataclass(frozen=True)
class MeshOptions:
    """How meshes are written.

    Attributes:
        units: Of lengths in OBJ files.
        rig: Who opens the jaw and turns the eyes of a GLB.
        pose: Where the head of a GLB stands.
    """

    units: Units = "mm"
    rig: RigKind = "shapes"
    pose: PoseKind = "front"

    def __post_init__(self) -> None:
        """Refuse what is not known.

        Raises:
            ValueError: Naming the option and what it may be.
        """
        for name, kinds in {"units": Units, "rig": RigKind, "pose": PoseKind}.items():
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name}={getattr(self, name)!r}: expected {' or '.join(get_args(kinds))}")


MESH_DEFAULTS = MeshOptions()
