"""Likeness: one photograph of a face in, an editable 3D head out. Pure PyTorch; these are the public names."""

from model.checkpoint import load_reconstructor
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor

__all__ = ["FaceParameters", "Reconstruction", "Reconstructor", "load_reconstructor"]
