"""From a mesh in front of a camera to its picture."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from model.geometry.camera import project
from model.geometry.mesh import Mesh, vertex_normals
from model.render.lighting import shade
from model.render.rasterizer import Fragments, Rasterizer


@dataclass(frozen=True)
class Rendering:
    """A batch of pictures, channels last. All but the first two are not antialiased and 0 on the background.

    Attributes:
        image_linear: Albedo times shading in linear RGB over the background, antialiased.
        mask: Coverage by the mesh in [0, 1], antialiased.
        albedo_linear: Diffuse albedo, linear RGB.
        shading: What the albedo is multiplied with, linear RGB.
        normals: Unit normals in camera space.
        depth_mm: Depth.
        face_index: Triangle seen at the pixel's centre, -1 on the background.
    """

    image_linear: Float[Tensor, "batch height width 3"]
    mask: Float[Tensor, "batch height width"]
    albedo_linear: Float[Tensor, "batch height width 3"]
    shading: Float[Tensor, "batch height width 3"]
    normals: Float[Tensor, "batch height width 3"]
    depth_mm: Float[Tensor, "batch height width"]
    face_index: Int32[Tensor, "batch height width"]


class Renderer:
    """Diffuse shading under spherical-harmonic light, differentiable in everything but the faces."""

    def __init__(self, rasterizer: Rasterizer, shading: Literal["pixel", "vertex"] = "pixel") -> None:
        """Make a renderer.

        Args:
            rasterizer: What draws.
            shading: "pixel" shades with the interpolated, renormalised normal; "vertex" interpolates the
                vertices' shading, which is faster where pixels outnumber vertices.
        """
        self._rasterizer = rasterizer
        self._shading = shading

    def render(
        self,
        vertices_camera_mm: Float[Tensor, "batch vertex 3"],
        albedo_linear: Float[Tensor, "batch vertex 3"],
        lighting: Float[Tensor, "batch 9 3"],
        faces: Int[Tensor, "face 3"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        height: int,
        width: int,
        background_linear: Float[Tensor, "batch height width 3"] | None = None,
    ) -> Rendering:
        """Draw a batch of meshes.

        Args:
            vertices_camera_mm: Vertices in camera space.
            albedo_linear: Diffuse albedo per vertex.
            lighting: Spherical-harmonic coefficients, see `model.render.lighting`.
            faces: Triangles, counter-clockwise as seen from outside.
            intrinsics_px: Cameras of the pictures to draw.
            height: Rows.
            width: Columns.
            background_linear: What is behind the mesh, linear RGB; black if None.

        Returns:
            The pictures.
        """
        vertices_image = project(vertices_camera_mm, intrinsics_px)
        fragments = self._rasterizer.rasterize(vertices_image, faces, height, width)
        covered = (fragments.face_index >= 0).to(vertices_image.dtype)[..., None]
        albedo, shading, normals = self._shade(vertices_camera_mm, albedo_linear, lighting, fragments, faces)
        image = albedo * shading
        if background_linear is not None:
            image = image + background_linear * (1.0 - covered)
        layers = torch.cat((image, covered), dim=-1)
        layers = self._rasterizer.antialias(layers, fragments, vertices_image, faces)
        return Rendering(
            image_linear=layers[..., :3],
            mask=layers[..., 3],
            albedo_linear=albedo,
            shading=shading,
            normals=normals,
            depth_mm=fragments.depth_mm,
            face_index=fragments.face_index,
        )

    def render_mesh(
        self,
        mesh: Mesh,
        lighting: Float[Tensor, "batch 9 3"],
        faces: Int[Tensor, "face 3"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        size: int,
        background_linear: Float[Tensor, "batch size size 3"] | None = None,
    ) -> Rendering:
        """Draw the heads of an answer into squares, as crops are.

        Args:
            mesh: The heads.
            lighting: Spherical-harmonic coefficients, see `model.render.lighting`.
            faces: Triangles of the morphable model.
            intrinsics_px: Cameras of the pictures to draw.
            size: Rows and columns.
            background_linear: What is behind the heads, linear RGB; black if None.
        """
        return self.render(
            mesh.vertices_camera_mm,
            mesh.albedo_linear,
            lighting,
            faces,
            intrinsics_px,
            size,
            size,
            background_linear,
        )

    def _shade(
        self,
        vertices_camera_mm: Float[Tensor, "batch vertex 3"],
        albedo_linear: Float[Tensor, "batch vertex 3"],
        lighting: Float[Tensor, "batch 9 3"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> tuple[
        Float[Tensor, "batch height width 3"],
        Float[Tensor, "batch height width 3"],
        Float[Tensor, "batch height width 3"],
    ]:
        """Albedo, shading and normals of the pixels, 0 on the background."""
        normals = vertex_normals(vertices_camera_mm, faces)
        attributes = [albedo_linear, normals]
        if self._shading == "vertex":
            attributes.append(shade(normals, lighting))
        drawn = self._rasterizer.interpolate(torch.cat(attributes, dim=-1), fragments, faces)
        albedo, normals, *shadings = drawn.split(3, dim=-1)
        normals = torch.nn.functional.normalize(normals, dim=-1)
        if shadings:
            return albedo, shadings[0], normals
        shading = shade(normals.flatten(1, 2), lighting).view_as(normals)
        # The harmonics of the background's zero normal are not zero.
        return albedo, shading * (fragments.face_index >= 0)[..., None], normals
