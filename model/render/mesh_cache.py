"""Tables that depend on a mesh's triangles alone, kept for the last mesh."""

from collections.abc import Callable
from typing import Generic, TypeVar

from jaxtyping import Int
from torch import Tensor

_Table = TypeVar("_Table")


class MeshCache(Generic[_Table]):
    """Remembers what was built for the last tensor of faces: a training run has one mesh.

    The tensor itself is compared, and how often it was changed in place: comparing its contents would wait for the
    device at each picture. So a caller that makes a new tensor for each picture has its table built for each picture.
    """

    def __init__(self, build: Callable[[Int[Tensor, "face 3"]], _Table]) -> None:
        """Make an empty one.

        Args:
            build: Makes the table of a mesh.
        """
        self._build = build
        self._known: tuple[Tensor, int, _Table] | None = None

    def __call__(self, faces: Int[Tensor, "face 3"]) -> _Table:
        """The table of a mesh, built if the mesh is a new one."""
        # Tensors made in inference mode cannot be changed in place outside it, and keep no count.
        version = -1 if faces.is_inference() else faces._version
        if self._known is None or self._known[0] is not faces or self._known[1] != version:
            self._known = (faces, version, self._build(faces))
        return self._known[2]
