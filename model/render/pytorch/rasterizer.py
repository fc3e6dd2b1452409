"""The differentiable rasterizer in plain PyTorch: it runs on a GPU too, without anyone's licence."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.render.cpu.rasterizer import corner_table
from model.render.mesh_cache import MeshCache
from model.render.pytorch import contours
from model.render.pytorch.fragments import fragments_of, interpolate
from model.render.pytorch.zbuffer import nearest_faces
from model.render.rasterizer import Fragments


class TorchRasterizer:
    """Z-buffer rasterizer of PyTorch operations on the tensors' own device; draws what `CpuRasterizer` draws.

    Float32 and float64 are both supported, computed in double precision; triangles are drawn from both sides.
    Gradients are added up by atomic operations on a GPU, so their last bits differ from run to run there.
    """

    def __init__(self) -> None:
        """Make a rasterizer; it remembers the last mesh's topology."""
        self._topology = MeshCache(_topology)

    def rasterize(
        self,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
        height: int,
        width: int,
    ) -> Fragments:
        """Find the nearest triangle at every pixel centre; see `Rasterizer.rasterize`.

        Raises:
            ValueError: If a face names a vertex that does not exist (checked on the CPU; a GPU reports it by itself).
        """
        _check_faces(faces, vertices_image.shape[1])
        face_index = nearest_faces(vertices_image.detach(), faces, height, width)
        return fragments_of(face_index, vertices_image, faces)

    def interpolate(
        self,
        attributes: Float[Tensor, "batch vertex channel"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Interpolate vertex attributes at the fragments; see `Rasterizer.interpolate`."""
        return interpolate(attributes, fragments, faces)

    def antialias(
        self,
        image: Float[Tensor, "batch height width channel"],
        fragments: Fragments,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Blend across occluding contours; see `Rasterizer.antialias`."""
        if not len(faces):
            return image
        return contours.blend(image, fragments.face_index, fragments.depth_mm, vertices_image, self._topology(faces))


def _topology(faces: Int[Tensor, "face 3"]) -> contours.Topology:
    opposite = corner_table(faces.detach().int().cpu().numpy())
    return contours.Topology.of(faces, torch.from_numpy(opposite).to(faces.device))


def _check_faces(faces: Int[Tensor, "face 3"], vertex_count: int) -> None:
    """Refuse faces of another mesh.

    Looked at on the CPU only: elsewhere it would wait for the device at each picture.

    Raises:
        ValueError: If a face names a vertex that does not exist.
    """
    if faces.device.type != "cpu" or not len(faces):
        return
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= vertex_count:
        raise ValueError(
            f"faces name the vertices {lowest}..{highest}, but there are {vertex_count} vertices: check that mesh "
            "and vertices belong together"
        )
