"""The differentiable rasterizer that runs everywhere: numba kernels behind the `Rasterizer` Protocol."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.autograd import once_differentiable
from model.render.cpu import blending, contours, kernels
from model.render.rasterizer import NEAR_MM, Fragments


def _for_each(count: int, task: Callable[[int], None]) -> None:
    """Run a task for each batch element on torch's number of threads.

    Plain threads around kernels that release the interpreter lock, not numba's own parallel loops: those abort the
    process when two threads enter them (workqueue) or when a data loader forks after they have run (OpenMP).
    """
    threads = min(count, torch.get_num_threads())
    if threads <= 1:
        for element in range(count):
            task(element)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(task, range(count)):
            pass


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class _Rasterize(torch.autograd.Function):
    """(vertices_image, faces) -> face_index, barycentric, depth_mm."""

    @staticmethod
    def forward(
        ctx: Any, vertices_image: Tensor, faces: Tensor, height: int, width: int, cull_back_faces: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch = vertices_image.shape[0]
        face_index = torch.empty(batch, height, width, dtype=torch.int32)
        barycentric = vertices_image.new_empty(batch, height, width, 3)
        depth_mm = vertices_image.new_empty(batch, height, width)
        arrays = [_array(tensor) for tensor in (vertices_image, face_index, barycentric, depth_mm)]
        vertices, indices, weights, depths = arrays
        triangles = _array(faces)

        def draw(i: int) -> None:
            kernels.rasterize(vertices[i], triangles, NEAR_MM, cull_back_faces, indices[i], weights[i], depths[i])

        _for_each(batch, draw)
        ctx.save_for_backward(vertices_image, faces, face_index)
        ctx.mark_non_differentiable(face_index)
        return face_index, barycentric, depth_mm

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, grad_barycentric: Tensor, grad_depth: Tensor) -> tuple[Tensor | None, ...]:
        vertices_image, faces, face_index = ctx.saved_tensors
        grad_vertices = torch.zeros_like(vertices_image, memory_format=torch.contiguous_format)
        tensors = (vertices_image, face_index, grad_barycentric, grad_depth, grad_vertices)
        vertices, indices, by_weights, by_depths, gradients = (_array(tensor) for tensor in tensors)
        triangles = _array(faces)

        def carry(i: int) -> None:
            kernels.rasterize_backward(vertices[i], triangles, indices[i], by_weights[i], by_depths[i], gradients[i])

        _for_each(len(vertices), carry)
        return grad_vertices, None, None, None, None


class _Interpolate(torch.autograd.Function):
    """(attributes, barycentric, face_index, faces) -> image."""

    @staticmethod
    def forward(ctx: Any, attributes: Tensor, barycentric: Tensor, face_index: Tensor, faces: Tensor) -> Tensor:
        image = attributes.new_zeros(*face_index.shape, attributes.shape[-1])
        tensors = (attributes, face_index, barycentric, image)
        values, indices, weights, pixels = (_array(tensor) for tensor in tensors)
        triangles = _array(faces)

        def draw(i: int) -> None:
            kernels.interpolate(values[i], triangles, indices[i], weights[i], pixels[i])

        _for_each(len(values), draw)
        ctx.save_for_backward(attributes, barycentric, face_index, faces)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_image: Tensor) -> tuple[Tensor | None, ...]:
        attributes, barycentric, face_index, faces = ctx.saved_tensors
        grad_attributes = torch.zeros_like(attributes, memory_format=torch.contiguous_format)
        grad_barycentric = torch.zeros_like(barycentric, memory_format=torch.contiguous_format)
        tensors = (attributes, face_index, barycentric, grad_image, grad_attributes, grad_barycentric)
        values, indices, weights, by_pixels, by_values, by_weights = (_array(tensor) for tensor in tensors)
        triangles = _array(faces)

        def carry(i: int) -> None:
            kernels.interpolate_backward(
                values[i], triangles, indices[i], weights[i], by_pixels[i], by_values[i], by_weights[i]
            )

        _for_each(len(values), carry)
        return grad_attributes, grad_barycentric, None, None


class _Antialias(torch.autograd.Function):
    """(image, vertices_image, fragments, faces, corner table) -> image."""

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        vertices_image: Tensor,
        fragments: Fragments,
        faces: Tensor,
        opposite: np.ndarray,
    ) -> Tensor:
        blended = image.clone(memory_format=torch.contiguous_format)
        tensors = (vertices_image, fragments.face_index, fragments.depth_mm, image.flatten(1, 2), blended)
        vertices, indices, depths, before, after = (_array(tensor) for tensor in tensors)
        after = after.reshape(before.shape)
        triangles = _array(faces)
        blends: list[tuple[np.ndarray, ...]] = [()] * len(vertices)

        def draw(i: int) -> None:
            blends[i] = contours.find_blends(vertices[i], triangles, opposite, indices[i], depths[i])
            pixels, _, weights, _ = blends[i]
            blending.blend_forward(before[i], pixels, weights, after[i])

        _for_each(len(vertices), draw)
        ctx.save_for_backward(image, vertices_image, blended)
        ctx.blends = blends
        return blended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_blended: Tensor) -> tuple[Tensor | None, ...]:
        image, vertices_image, blended = ctx.saved_tensors
        grad_image = grad_blended.clone(memory_format=torch.contiguous_format)
        grad_vertices = torch.zeros_like(vertices_image, memory_format=torch.contiguous_format)
        images = (image, blended, grad_blended, grad_image)
        before, after, by_after, by_before = (_array(tensor.flatten(1, 2)) for tensor in images)
        by_vertices = _array(grad_vertices)

        def carry(i: int) -> None:
            pixels, edges, weights, gradients = ctx.blends[i]
            blending.blend_backward(
                before[i],
                after[i],
                pixels,
                edges,
                weights,
                gradients,
                by_after[i],
                by_before[i],
                by_vertices[i],
            )

        _for_each(len(before), carry)
        return grad_image, grad_vertices, None, None, None


def corner_table(faces: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "corner"]:
    """For each corner 3 * face + k the corner that looks at the same edge from the other triangle.

    Args:
        faces: Triangles.

    Returns:
        Corner indices; -1 at the border of the mesh and at edges of more than two triangles.
    """
    ends = np.sort(np.stack((np.roll(faces, -1, axis=1), np.roll(faces, -2, axis=1)), axis=-1).reshape(-1, 2), axis=1)
    order = np.lexsort((ends[:, 0], ends[:, 1]))
    _, group, size = np.unique(ends[order], axis=0, return_inverse=True, return_counts=True)
    opposite = np.full(len(ends), -1, dtype=np.int32)
    paired = order[size[group.reshape(-1)] == 2]
    opposite[paired[0::2]], opposite[paired[1::2]] = paired[1::2], paired[0::2]
    return opposite


class CpuRasterizer:
    """Z-buffer rasterizer on the CPU, differentiable, the same to the bit on any number of threads.

    Float32 and float64 are both supported. Triangles are drawn from both sides unless `cull_back_faces`.
    """

    def __init__(self, cull_back_faces: bool = False) -> None:
        """Make a rasterizer.

        Args:
            cull_back_faces: Leave out triangles that are clockwise as seen, that is, seen from inside.
        """
        self._cull_back_faces = cull_back_faces
        # The last mesh's corner table: a training run has one mesh and a table takes as long as several pictures.
        self._topology: tuple[Tensor, np.ndarray] | None = None

    def rasterize(
        self,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
        height: int,
        width: int,
    ) -> Fragments:
        """Find the nearest triangle at every pixel centre; see `Rasterizer.rasterize`.

        Raises:
            ValueError: If a tensor is not on the CPU or a face names a vertex that does not exist.
        """
        if vertices_image.device.type != "cpu":
            raise ValueError(f"the CPU rasterizer was given a tensor on {vertices_image.device}: move it with .cpu()")
        if len(faces) and (int(faces.min()) < 0 or int(faces.max()) >= vertices_image.shape[1]):
            raise ValueError(
                f"faces name the vertices {int(faces.min())}..{int(faces.max())}, but there are "
                f"{vertices_image.shape[1]} vertices: check that mesh and vertices belong together"
            )
        fragments = _Rasterize.apply(vertices_image, faces.int(), height, width, self._cull_back_faces)
        return Fragments(*fragments)

    def interpolate(
        self,
        attributes: Float[Tensor, "batch vertex channel"],
        fragments: Fragments,
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Interpolate vertex attributes at the fragments; see `Rasterizer.interpolate`."""
        return _Interpolate.apply(attributes, fragments.barycentric, fragments.face_index, faces.int())

    def antialias(
        self,
        image: Float[Tensor, "batch height width channel"],
        fragments: Fragments,
        vertices_image: Float[Tensor, "batch vertex 3"],
        faces: Int[Tensor, "face 3"],
    ) -> Float[Tensor, "batch height width channel"]:
        """Blend across occluding contours; see `Rasterizer.antialias`."""
        return _Antialias.apply(image, vertices_image, fragments, faces.int(), self._opposite_corners(faces))

    def _opposite_corners(self, faces: Int[Tensor, "face 3"]) -> Int[np.ndarray, "corner"]:
        known = self._topology
        if known is None or known[0].shape != faces.shape or not torch.equal(known[0], faces):
            known = (faces.clone(), corner_table(_array(faces)))
            self._topology = known
        return known[1]
