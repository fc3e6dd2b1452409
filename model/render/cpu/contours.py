"""Numba kernels that find occluding contours between pixels, for antialiasing. One batch element per call.

After Laine et al., "Modular Primitives for High-Performance Differentiable Rendering" (2020), section 3.4: where two
neighbouring pixels show different surfaces, the occluding contour crosses the segment between their centres, and the
pixel the contour lies in is blended with its neighbour by how far the contour reaches into it. The position of the
crossing is a smooth function of the contour's two vertices, and so becomes the image. Three things are done in
another way:

* The contour is found by walking over the mesh from the nearer pixel's triangle towards the other pixel, so it is found
  too when triangles are smaller than pixels, as those of a head in a crop are.
* A slanted contour is met by horizontal *and* vertical pairs. Their blends are weighted with the squared sine and
  cosine of its slope, which add to one; without it an edge at 45 degrees would count twice.
* Where the blends into one pixel sum to more than 1 they are scaled to 1 (`model.render.cpu.blending`), so that no
  colour leaves the range of its neighbours.

Corners are numbered 3 * face + k; `opposite[corner]` is the corner that looks at the same edge from the other side
(the corner table of Rossignac 2001), -1 where there is no other side.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from model.render.cpu.cache import CACHED

_FOUND, _SAME_SURFACE, _HIDDEN = 0, 1, 2
_MAX_STEPS = 256


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _side(vertices: np.ndarray, start: int, end: int, point: int) -> float:
    """Twice the signed area of three vertices in the image: on which side of an edge the third one lies."""
    x, y = np.float64(vertices[start, 0]), np.float64(vertices[start, 1])
    return (vertices[end, 0] - x) * (vertices[point, 1] - y) - (vertices[end, 1] - y) * (vertices[point, 0] - x)


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _crossing(
    vertices: np.ndarray, start: int, end: int, along: int, position: float, level: float, direction: float
) -> float:
    """Distance from a pixel centre, along an axis, to where the line through an edge is met."""
    across = 1 - along
    a, c = np.float64(vertices[start, along]), np.float64(vertices[start, across])
    slope = (vertices[end, along] - a) / (vertices[end, across] - c)
    return (a + (level - c) * slope - position) * direction


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _first_exit(
    vertices: np.ndarray,
    faces: np.ndarray,
    face: int,
    along: int,
    position: float,
    level: float,
    direction: float,
) -> tuple[int, float]:
    """Corner opposite the edge through which a walk leaves the triangle it starts in (-1: none), and the distance."""
    across = 1 - along
    exit_corner, distance = -1, -np.inf
    for k in range(3):
        start, end = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
        if (vertices[start, across] >= level) != (vertices[end, across] >= level):
            candidate = _crossing(vertices, start, end, along, position, level, direction)
            if candidate > distance:
                exit_corner, distance = 3 * face + k, candidate
    return exit_corner, distance


@njit(cache=CACHED, nogil=True, error_model="numpy")
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
    exit_corner, distance = _first_exit(vertices, faces, face, along, position, level, direction)
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


@njit(cache=CACHED, nogil=True, error_model="numpy")
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


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _find_contours(
    vertices: np.ndarray,
    faces: np.ndarray,
    opposite: np.ndarray,
    face_index: np.ndarray,
    depth_mm: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Visit all pairs of neighbouring pixels; the arguments are those of `find_blends`.

    Returns:
        `contours` (N, 5): row and column of the pair's first pixel, axis along which the second follows, direction (+1
        where the first pixel shows the contour's surface, else -1), corner that looks at the contour's edge; and
        `distances` (N,) of the contour from the centre of the pixel that shows its surface.
    """
    height, width = face_index.shape
    contours, distances = np.empty((2 * height * width, 5), np.int32), np.empty(2 * height * width)
    count = 0
    for row in range(height):
        for column in range(width):
            here = face_index[row, column]
            for along in range(2):
                next_row, next_column = row + along, column + 1 - along
                if next_row == height or next_column == width:
                    continue
                there = face_index[next_row, next_column]
                if here == there:
                    continue
                from_here = there < 0 or (here >= 0 and depth_mm[row, column] <= depth_mm[next_row, next_column])
                level = (row if along == 0 else column) + 0.5
                for _ in range(2):
                    near, far = (here, there) if from_here else (there, here)
                    direction = 1 if from_here else -1
                    position = (column if along == 0 else row) + (0.5 if from_here else 1.5)
                    found, corner, distance = _walk(
                        vertices, faces, opposite, near, far, along, position, level, direction
                    )
                    if found == _FOUND:
                        contours[count, 0], contours[count, 1] = row, column
                        contours[count, 2], contours[count, 3], contours[count, 4] = along, direction, corner
                        distances[count] = distance
                        count += 1
                    # The nearer surface may run on behind the other pixel's, whose contour is then the one seen.
                    if found != _HIDDEN or far < 0:
                        break
                    from_here = not from_here
    return contours[:count], distances[:count]


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def find_blends(
    vertices: np.ndarray,
    faces: np.ndarray,
    opposite: np.ndarray,
    face_index: np.ndarray,
    depth_mm: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find every occluding contour between neighbouring pixels, and what it blends.

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
    width = face_index.shape[1]
    contours, distances = _find_contours(vertices, faces, opposite, face_index, depth_mm)
    count = len(contours)
    pixels, edges = np.empty((count, 2), np.int64), np.empty((count, 2), np.int32)
    weights, gradients = np.empty(count), np.empty((count, 4))
    for i in range(count):
        row, column, along, direction, corner = contours[i]
        here_pixel, next_pixel = row * width + column, (row + along) * width + column + 1 - along
        # Less than half way the contour's own pixel takes the neighbour's colour, beyond it the neighbour takes its.
        here_takes = (direction > 0) == (distances[i] < 0.5)
        pixels[i, 0] = here_pixel if here_takes else next_pixel
        pixels[i, 1] = next_pixel if here_takes else here_pixel
        face, k = corner // 3, corner % 3
        start, end = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
        edges[i, 0], edges[i, 1] = start, end
        level = (row if along == 0 else column) + 0.5
        weights[i] = _blend_weight(vertices, start, end, along, level, direction, distances[i], gradients[i])
    return pixels, edges, weights, gradients
