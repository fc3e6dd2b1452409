"""NVIDIA's rasterizer behind the `Rasterizer` Protocol (Laine et al. 2020), for CUDA; the only importer of nvdiffrast.

nvdiffrast is not part of this project and has its own licence, which allows non-commercial use only (docs/gpu.md).

It rounds vertices to 1/16 pixel where it decides which triangle covers a pixel centre, so close to an edge its answer
can differ from that of our other rasterizers. Barycentrics are those of the vertices themselves, kept in [0, 1].
"""

from types import ModuleType
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.render.clip_space import to_clip_space
from model.render.mesh_cache import MeshCache
from model.render.pytorch.rasterizer import TorchRasterizer
from model.render.rasterizer import Fragments

_INSTALL = (
    "the rasterizer 'nvdiffrast' needs the package of that name, at least 0.4: with a CUDA toolkit at hand, "
    "pip install setuptools wheel ninja, then "
    "pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast@v0.4.0. "
    "Its licence, the Nvidia Source Code License (1-Way Commercial), allows non-commercial use only. "
    "The rasterizer 'torch' needs neither the package nor the licence"
)

_MOST_FACES = 2**24
"""Triangle numbers travel as single-precision floats."""


class NvdiffrastRasterizer:
    """nvdiffrast for tensors on a CUDA device, in single precision; other precisions are converted.

    Triangles are drawn from both sides; those with a vertex nearer than `NEAR_MM` are left out.
    """

    def __init__(self, antialias: Literal["contours", "nvdiffrast"] = "contours") -> None:
        """Make a rasterizer; its context on a device is made when the device is first drawn on.

        Args:
            antialias: "contours" blends as our other rasterizers do, also where triangles are smaller than pixels;
                "nvdiffrast" uses the package's own operation, which is faster and looks for a contour only at the
                edges of the triangles that are themselves seen at pixel centres.

        Raises:
            ImportError: If nvdiffrast is not installed.
        """
        self._nvdiffrast = _nvdiffrast()
        self._antialias = antialias
        self._contours = TorchRasterizer()
        self._contexts: dict[torch.device, Any] = {}
        self._edges = MeshCache(self._hashed_edges)

    def rasterize(
        self,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
        height: int,
        width: int,
    ) -> Fragments:
        """Find the nearest triangle at every pixel centre; see `Rasterizer.rasterize`.

        Raises:
            ValueError: If the mesh has more triangles than nvdiffrast can number.
        """
        if len(faces) > _MOST_FACES:
            raise ValueError(f"{len(faces)} triangles: nvdiffrast numbers at most {_MOST_FACES}, use 'torch' instead")
        if not vertices_image.numel() or not len(faces):
            blank = vertices_image.new_zeros(len(vertices_image), height, width, 3, dtype=torch.float32)
            return Fragments(torch.full_like(blank[..., 0], -1, dtype=torch.int32), blank, blank[..., 0])
        triangles = faces.int().contiguous()
        clip = to_clip_space(vertices_image, height, width)
        context = self._context(vertices_image.device)
        # The derivatives by pixel (grad_db) serve texture filtering, which nothing here does.
        raster, _ = self._nvdiffrast.rasterize(context, clip, triangles, resolution=[height, width], grad_db=False)
        first, second, _, number = raster.unbind(-1)
        face_index = number.detach().int() - 1
        covered = (face_index >= 0).to(raster.dtype)
        barycentric = torch.stack((first, second, covered - first - second), dim=-1)
        depths = vertices_image[..., 2:].float().contiguous()
        depth_mm, _ = self._nvdiffrast.interpolate(depths, raster, triangles)
        return Fragments(face_index, barycentric, depth_mm[..., 0])

    def interpolate(
        self,
        attributes: Float[Tensor, "batch vertex channel"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Interpolate vertex attributes at the fragments; see `Rasterizer.interpolate`."""
        values = attributes.float().contiguous()
        if not values.numel() or not len(faces):
            return values.new_zeros(*fragments.face_index.shape, values.shape[-1])
        image, _ = self._nvdiffrast.interpolate(values, _raster(fragments), faces.int().contiguous())
        return image

    def antialias(
        self,
        image: Float[Tensor, "batch height width channel"],
        fragments: Fragments,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Blend across occluding contours; see `Rasterizer.antialias`."""
        if self._antialias == "contours":
            return self._contours.antialias(image.float(), fragments, vertices_image, faces)
        if not image.numel() or not len(faces):
            return image.float()
        clip = to_clip_space(vertices_image, image.shape[1], image.shape[2])
        return self._nvdiffrast.antialias(
            image.float().contiguous(),
            _raster(fragments),
            clip,
            faces.int().contiguous(),
            topology_hash=self._edges(faces),
        )

    def _context(self, device: torch.device) -> Any:
        if device not in self._contexts:
            self._contexts[device] = self._nvdiffrast.RasterizeCudaContext(device=device)
        return self._contexts[device]

    def _hashed_edges(self, faces: Int[Tensor, "face 3"]) -> Any:
        return self._nvdiffrast.antialias_construct_topology_hash(faces.int().contiguous())


def _raster(fragments: Fragments) -> Float[Tensor, "batch height width 4"]:
    """Fragments as nvdiffrast writes them: weights of the corners 0 and 1, something to order by depth, number + 1."""
    first, second, _ = fragments.barycentric.float().unbind(-1)
    number = (fragments.face_index + 1).to(first.dtype)
    return torch.stack((first, second, fragments.depth_mm.detach().float(), number), dim=-1)


def _nvdiffrast() -> ModuleType:
    """Load nvdiffrast.

    Raises:
        ImportError: If it is missing or too old, with what to do about it.
    """
    try:
        import nvdiffrast.torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{_INSTALL} ({error})") from error
    return nvdiffrast.torch
