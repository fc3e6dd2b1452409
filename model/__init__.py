"""Likeness: one photograph of a face in, an editable 3D head out. Pure PyTorch; these are the public names."""

from typing import TYPE_CHECKING

from common.late_names import late_names

if TYPE_CHECKING:
    from model.checkpoint import load_reconstructor
    from model.parameters import FaceParameters
    from model.reconstructor import Reconstruction, Reconstructor

__all__ = ["FaceParameters", "Reconstruction", "Reconstructor", "load_reconstructor"]

_HOMES = {
    "FaceParameters": "model.parameters",
    "Reconstruction": "model.reconstructor",
    "Reconstructor": "model.reconstructor",
    "load_reconstructor": "model.checkpoint",
}

# Late: a command line is read with the settings that lie in this package, and refused without torch.
__getattr__ = late_names("model", _HOMES)
