"""Heads drawn from the morphable model: photographs of nobody, whose every label is exact.

`SyntheticFaces` draws a scene (`scene`, `expressions`), lets a `HeadArtist` draw the head, and makes the picture
around it (`pictures`). The artist is injected, since `data` does not know the model.
"""

from data.synthetic.faces import SyntheticConfig, SyntheticFace, SyntheticFaces
from data.synthetic.scene import Drawing, HeadArtist, HeadScene, Lamp

__all__ = ["Drawing", "HeadArtist", "HeadScene", "Lamp", "SyntheticConfig", "SyntheticFace", "SyntheticFaces"]
