"""Likeness: one photograph of a face in, an editable, relightable 3D head out.

    from likeness import Likeness

    for head in Likeness.load().reconstruct("photo.jpg"):
        print(head, head.mesh.vertices_camera_mm.shape)
        head.save("results/photo")

What is installed lies under this one name: `likeness.model`, `likeness.data` and so on are the folders of the
repository (`docs/architecture.md`).
"""

from typing import TYPE_CHECKING

from common.late_names import late_names
from common.version import VERSION

if TYPE_CHECKING:
    from inference.head import Camera, Head
    from inference.likeness import Likeness
    from inference.video import FilmedHead
    from model.checkpoint import load_reconstructor

__version__ = VERSION

__all__ = ["Camera", "FilmedHead", "Head", "Likeness", "__version__", "load_reconstructor"]

_HOMES = {
    "Camera": "inference.head",
    "FilmedHead": "inference.video",
    "Head": "inference.head",
    "Likeness": "inference.likeness",
    "load_reconstructor": "model.checkpoint",
}

# Late, since they load torch, which the commands set up first; and `likeness infer --help` answers at once.
__getattr__ = late_names("likeness", _HOMES)
