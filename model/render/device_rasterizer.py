"""The rasterizer that is chosen by where the tensors are."""

import importlib.util
import logging
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.render.rasterizer import Fragments, Rasterizer

_LOG = logging.getLogger(__name__)


class DeviceRasterizer:
    """Draws with the best rasterizer there is for the device of the tensors it is given.

    On a CPU that is "cpu"; on CUDA "nvdiffrast" where somebody has installed it, else "torch"; elsewhere "torch".
    """

    def __init__(self, build: Callable[[str], Rasterizer]) -> None:
        """Make a rasterizer that has not chosen yet.

        Args:
            build: Makes a rasterizer by name, as `model.render.backends.build_rasterizer` does. That one makes this
                class too, so this file must not import it.
        """
        self._build = build
        self._chosen: dict[str, Rasterizer] = {}

    def rasterize(
        self,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
        height: int,
        width: int,
    ) -> Fragments:
        """Find the nearest triangle at every pixel centre; see `Rasterizer.rasterize`."""
        return self._for(vertices_image).rasterize(vertices_image, faces, height, width)

    def interpolate(
        self,
        attributes: Float[Tensor, "batch vertex channel"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Interpolate vertex attributes at the fragments; see `Rasterizer.interpolate`."""
        return self._for(attributes).interpolate(attributes, fragments, faces)

    def antialias(
        self,
        image: Float[Tensor, "batch height width channel"],
        fragments: Fragments,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Blend across occluding contours; see `Rasterizer.antialias`."""
        return self._for(image).antialias(image, fragments, vertices_image, faces)

    def _for(self, tensor: Tensor) -> Rasterizer:
        kind = tensor.device.type
        if kind not in self._chosen:
            name = best_rasterizer(tensor.device)
            _LOG.info("drawing on %s with the rasterizer %r", kind, name)
            self._chosen[kind] = self._build(name)
        return self._chosen[kind]


def best_rasterizer(device: torch.device) -> str:
    """Name of the rasterizer for tensors of a device."""
    if device.type == "cpu":
        return "cpu"
    if device.type == "cuda" and importlib.util.find_spec("nvdiffrast") is not None:
        return "nvdiffrast"
    return "torch"
