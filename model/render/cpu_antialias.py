"""Numba kernels of silhouette antialiasing. One batch element per call.

After Laine et al., "Modular Primitives for High-Performance Differentiable Rendering" (2020), section 3.4: where two
neighbouring pixels show different surfaces, the occluding contour crosses the segment between their centres, and the
pixel the contour lies in is blended with its neighbour by how far the contour reaches into it. The position of the
crossing is a smooth function of the contour's two vertices, and so becomes the image. Three things are done in
another way:

* The contour is found by walking over the mesh from the nearer pixel's triangle towards the other pixel, so it is found
  too when triangles are smaller than pixels, as those of a head in a crop are.
* A slanted contour is met by horizontal *and* vertical pairs. Their blends are weighted with the squared sine and
  cosine of its slope, which add to one; without it an edge at 45 degrees would count twice.
* Where the blends into one pixel sum to more than 1 they are scaled to 1, so that no colour leaves the range of its
  neighbours.

Corners are numbered 3 * face + k; `opposite[corner]` is the corner that looks at the same edge from the other side
(the corner table of Rossignac 2001), -1 where there is no other side.
"""

from typing import no_type_check

import numpy as np
from numba import njit

_FOUND, _SAME_SURFACE, _HIDDEN = 0, 1, 2
_MAX_STEPS = 256


@njit(cache=True, nogil=True)
@no_type_check
def _side(vertices: np.ndarray, start: int, end: int, point: int) -> float:
    """Twice the signed area of three vertices in the image: on which side of an edge the third one lies."""
    x, y = np.float64(vertices[start, 0]), np.float64(vertices[start, 1])
    return (vertices[end, 0] - x) * (vertices[point, 1] - y) - (vertices[end, 1] - y) * (vertices[point, 0] - x)


@njit(cache=True, nogil=True)
@no_type_check
def _crossing(
    vertices: np.ndarray, start: int, end: int, along: int, position: float, level: float, direction: float
) -> float:
    """Distance from a pixel centre, along an axis, to where the line through an edge is met."""
    across = 1 - along
    a, c = np.float64(vertices[start, along]), np.float64(vertices[start, across])
    slope = (vertices[end, along] - a) / (vertices[end, across] - c)
    return (a + (level - c) * slope - position) * direction


@njit(cache=True, nogil=True)
@no_type_check
def _walk(
    vertices: np.ndarray,
    faces: np.ndarray,
    opposite: np.ndarray,
    face: int,
    target: int,
    along: int,
    position: float,
    level: float,
    direction: float,
) -> tuple[int, int, float]:
    """Walk over the surface from a pixel centre to the next one until it folds away or ends.

    Args:
        vertices: (V, 3) in image space.
        faces: (F, 3).
        opposite: (3 F,) corner table.
        face: Triangle seen at the first pixel.
        target: Triangle seen at the second pixel.
        along: Axis of the walk, 0 for x and 1 for y.
        position: Where the walk starts on that axis.
        level: The other coordinate, which stays.
        direction: +1 or -1.

    Returns:
        What was found; the corner that looks at the contour's edge; the distance of the crossing in [0, 1].
    """
    across = 1 - along
    exit_corner, distance = -1, -np.inf
    for k in range(3):
        start, end = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
        if (vertices[start, across] >= level) != (vertices[end, across] >= level):
            candidate = _crossing(vertices, start, end, along, position, level, direction)
            if candidate > distance:
                exit_corner, distance = 3 * face + k, candidate
    if exit_corner < 0:
        return _SAME_SURFACE, -1, 0.0
    for _ in range(_MAX_STEPS):
        if distance > 1.0:
            return _HIDDEN, -1, 0.0
        other = opposite[exit_corner]
        if other < 0:
            return _FOUND, exit_corner, max(distance, 0.0)
        face, k = exit_corner // 3, exit_corner % 3
        start, end = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
        other_face, other_k = other // 3, other % 3
        tip = faces[other_face, other_k]
        # Both triangles on one side of their common edge: the surface turns away here, or is seen edge-on from here.
        if _side(vertices, start, end, faces[face, k]) * _side(vertices, start, end, tip) >= 0.0:
            return _FOUND, exit_corner, max(distance, 0.0)
        if other_face == target:
            return _SAME_SURFACE, -1, 0.0
        # Of the two far edges the walk leaves through the one whose ends lie on both sides of its line.
        next_k, last_k = (other_k + 1) % 3, (other_k + 2) % 3
        tip_side = vertices[tip, across] >= level
        if tip_side == (vertices[faces[other_face, next_k], across] >= level):
            exit_corner, end = 3 * other_face + next_k, faces[other_face, last_k]
        else:
            exit_corner, end = 3 * other_face + last_k, faces[other_face, next_k]
        distance = _crossing(vertices, tip, end, along, position, level, direction)
    return _SAME_SURFACE, -1, 0.0


@njit(cache=True, nogil=True)
@no_type_check
def _blend_weight(
    vertices: np.ndarray,
    start: int,
    end: int,
    along: int,
    level: float,
    direction: float,
    distance: float,
    gradient: np.ndarray,
) -> float:
    """Weight of a blend, |distance - 1/2| times the squared cosine of the slope, and its gradient.

    Args:
        vertices: (V, 3) in image space.
        start: First vertex of the contour's edge.
        end: Second vertex.
        along: Axis of the pixel pair.
        level: The pair's coordinate on the other axis.
        direction: From the pixel of the contour's surface to the other pixel, +1 or -1.
        distance: Where the contour crosses, in [0, 1].
        gradient: (4,), output: by the start's x and y and the end's x and y.

    Returns:
        The weight, in [0, 1/2].
    """
    across = 1 - along
    edge_along = np.float64(vertices[end, along]) - vertices[start, along]
    edge_across = np.float64(vertices[end, across]) - vertices[start, across]
    squared = edge_along * edge_along + edge_across * edge_across
    slope = edge_along / edge_across
    fraction = (level - vertices[start, across]) / edge_across
    factor = edge_across * edge_across / squared
    reach = abs(distance - 0.5)
    step = direction * factor * (1.0 if distance >= 0.5 else -1.0)
    by_along = -2.0 * reach * edge_along * edge_across * edge_across / (squared * squared)
    by_across = 2.0 * reach * edge_across * edge_along * edge_along / (squared * squared)
    gradient[along] = step * (1.0 - fraction) - by_along
    gradient[across] = -step * slope * (1.0 - fraction) - by_across
    gradient[2 + along] = step * fraction + by_along
    gradient[2 + across] = -step * slope * fraction + by_across
    return reach * factor


@njit(cache=True, nogil=True)
@no_type_check
def find_blends(
    vertices: np.ndarray,
    faces: np.ndarray,
    opposite: np.ndarray,
    face_index: np.ndarray,
    depth_mm: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find every occluding contour between neighbouring pixels.

    Args:
        vertices: (V, 3) x_px, y_px, depth_mm.
        faces: (F, 3) int32.
        opposite: (3 F,) corner table.
        face_index: (H, W) int32, -1 on the background.
        depth_mm: (H, W).

    Returns:
        `pixels` (N, 2) flat indices of the pixel that is blended and of the neighbour whose colour it takes;
        `edges` (N, 2) vertices of the contour's edge; `weights` (N,); `gradients` (N, 4) of the weight by the
        edge's coordinates (x, y, x, y).
    """
    height, width = face_index.shape
    capacity = 2 * height * width
    pixels, edges = np.empty((capacity, 2), np.int64), np.empty((capacity, 2), np.int32)
    weights, gradients = np.empty(capacity), np.empty((capacity, 4))
    count = 0
    for row in range(height):
        for column in range(width):
            here = face_index[row, column]
            for along in range(2):
                there_row, there_column = row + along, column + 1 - along
                if there_row == height or there_column == width:
                    continue
                there = face_index[there_row, there_column]
                if here == there:
                    continue
                from_here = there < 0 or (here >= 0 and depth_mm[row, column] <= depth_mm[there_row, there_column])
                for _ in range(2):
                    near_row, near_column = (row, column) if from_here else (there_row, there_column)
                    near, far = (here, there) if from_here else (there, here)
                    direction = 1.0 if from_here else -1.0
                    position = (near_column if along == 0 else near_row) + 0.5
                    level = (near_row if along == 0 else near_column) + 0.5
                    found, corner, distance = _walk(
                        vertices, faces, opposite, near, far, along, position, level, direction
                    )
                    # The nearer surface may run on behind the farther pixel's, whose own contour is then the one seen.
                    if found != _HIDDEN or far < 0:
                        break
                    from_here = not from_here
                if found != _FOUND:
                    continue
                face, k = corner // 3, corner % 3
                start, end = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
                near_pixel, far_pixel = row * width + column, there_row * width + there_column
                if not from_here:
                    near_pixel, far_pixel = far_pixel, near_pixel
                reaches_over = distance >= 0.5
                pixels[count, 0] = far_pixel if reaches_over else near_pixel
                pixels[count, 1] = near_pixel if reaches_over else far_pixel
                edges[count, 0], edges[count, 1] = start, end
                weights[count] = _blend_weight(
                    vertices, start, end, along, level, direction, distance, gradients[count]
                )
                count += 1
    return pixels[:count].copy(), edges[:count].copy(), weights[:count].copy(), gradients[:count].copy()


@njit(cache=True, nogil=True)
@no_type_check
def _blend_totals(pixels: np.ndarray, weights: np.ndarray, pixel_count: int) -> np.ndarray:
    """Sum of the weights into each pixel, (H W,)."""
    totals = np.zeros(pixel_count)
    for blend in range(pixels.shape[0]):
        totals[pixels[blend, 0]] += weights[blend]
    return totals


@njit(cache=True, nogil=True)
@no_type_check
def blend_forward(image: np.ndarray, pixels: np.ndarray, weights: np.ndarray, blended: np.ndarray) -> None:
    """Blend an image (H W, C) into `blended`, which comes as a copy of it."""
    totals = _blend_totals(pixels, weights, image.shape[0])
    for blend in range(pixels.shape[0]):
        into, of = pixels[blend]
        weight = weights[blend] / max(totals[into], 1.0)
        for channel in range(image.shape[1]):
            blended[into, channel] += weight * (image[of, channel] - image[into, channel])


@njit(cache=True, nogil=True)
@no_type_check
def blend_backward(
    image: np.ndarray,
    blended: np.ndarray,
    pixels: np.ndarray,
    edges: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    grad_blended: np.ndarray,
    grad_image: np.ndarray,
    grad_vertices: np.ndarray,
) -> None:
    """Carry gradients of a blended image to the image and to the contours' vertices.

    Args:
        image: (H W, C) before blending.
        blended: (H W, C) after it.
        pixels: As `find_blends` returns them, like the three that follow.
        edges: Vertices of the contours.
        weights: Weights of the blends.
        gradients: Gradients of the weights.
        grad_blended: (H W, C).
        grad_image: (H W, C), output; comes as a copy of `grad_blended`.
        grad_vertices: (V, 3), output, added to.
    """
    totals = _blend_totals(pixels, weights, image.shape[0])
    for blend in range(pixels.shape[0]):
        into, of = pixels[blend]
        total = max(totals[into], 1.0)
        weight = weights[blend] / total
        grad_weight = 0.0
        for channel in range(image.shape[1]):
            gradient = grad_blended[into, channel]
            grad_image[into, channel] -= weight * gradient
            grad_image[of, channel] += weight * gradient
            # Scaled weights trade against each other: the derivative is then taken from the blend, not from the pixel.
            base = blended[into, channel] if total > 1.0 else image[into, channel]
            grad_weight += gradient * (image[of, channel] - base) / total
        for end in range(2):
            vertex = edges[blend, end]
            grad_vertices[vertex, 0] += grad_weight * gradients[blend, 2 * end]
            grad_vertices[vertex, 1] += grad_weight * gradients[blend, 2 * end + 1]
