"""What a rasterizer is: the Protocol every backend stands behind, and the fragments it makes.

Convention
----------
`vertices_image` are (x_px, y_px, depth_mm) as made by `model.geometry.camera.project`: the image's origin is its
top-left corner, x goes right, y goes down, depth is positive in front of the camera.
A pixel (row, column) is sampled at its centre, (column + 0.5, row + 0.5). Worked number: a square of two triangles
with corners (0, 0) and (2, 2) covers exactly four pixels, although the diagonal between the triangles runs through the
centres of two of them.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int, Int32
from torch import Tensor

NEAR_MM = 1.0
"""Triangles with a vertex nearer than this are not drawn (they are not clipped)."""


@dataclass(frozen=True)
class Fragments:
    """What is seen through the centre of each pixel.

    Attributes:
        face_index: Row of `faces` of the nearest triangle, -1 on the background.
        barycentric: Perspective-correct weights of the triangle's three corners, in [0, 1] with sum 1; 0 on the
            background. Differentiable with respect to `vertices_image`.
        depth_mm: Depth of the seen point, 0 on the background. Differentiable likewise.
    """

    face_index: Int32[Tensor, "batch height width"]
    barycentric: Float[Tensor, "batch height width 3"]
    depth_mm: Float[Tensor, "batch height width"]


@runtime_checkable
class Rasterizer(Protocol):
    """The three differentiable steps of drawing a mesh (Laine et al. 2020, section 3)."""

    def rasterize(
        self,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
        height: int,
        width: int,
    ) -> Fragments:
        """Find the nearest triangle at every pixel centre.

        Args:
            vertices_image: (x_px, y_px, depth_mm).
            faces: Triangles, one topology for the whole batch.
            height: Rows of the image.
            width: Columns of the image.

        Returns:
            Triangle, barycentrics and depth of each pixel.
        """
        ...

    def interpolate(
        self,
        attributes: Float[Tensor, "batch vertex channel"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Interpolate vertex attributes at the fragments; 0 on the background.

        Gradients flow to the attributes and to the barycentrics.
        """
        ...

    def antialias(
        self,
        image: Float[Tensor, "batch height width channel"],
        fragments: Fragments,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Blend the pixels on both sides of every occluding contour by the contour's sub-pixel position.

        This is what makes visibility differentiable: gradients flow to the image and to the x and y of the
        vertices of the contour's edges.
        """
        ...
