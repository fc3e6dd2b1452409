"""Numba kernels of the CPU rasterizer: coverage, barycentrics, interpolation. One batch element per call.

All of them release the interpreter lock, compute in double precision whatever the arrays' type, and visit pixels and
triangles in a fixed order, so that results are the same to the bit on any number of threads. `no_type_check` keeps
the run-time type checks of the tests off functions that numba has to compile; the "numpy" error model lets a division
by zero be infinite, which spares a check per division; `inline` saves counting references to four arrays per triangle.

Letters: V vertices, F faces, H rows, W columns, C channels.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from model.render.cpu.cache import CACHED

MIN_DOUBLE_AREA_PX2 = 1e-9
"""Triangles whose doubled area is below this are seen edge-on and not drawn."""

GRADIENT_DAMPING_PX2 = 1e-3
"""Gradients of barycentrics grow as 1 / area; those of triangles around this doubled area and below are faded out."""


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _canonical_edge(
    ax: float, ay: float, bx: float, by: float, winding: float
) -> tuple[float, float, float, float, float]:
    """Origin and direction of an edge, the same to the bit for (a, b) and (b, a), and the sign its inside has then.

    Two triangles that share an edge thus evaluate the very same expression at a pixel, and rounding can neither
    draw the pixel twice nor lose it. `winding` is the sign of the inside of (a, b).
    """
    if ax < bx or (ax == bx and ay <= by):
        return ax, ay, bx - ax, by - ay, winding
    return bx, by, ax - bx, ay - by, -winding


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _pixel_range(a: float, b: float, c: float, size: int) -> tuple[int, int]:
    """First pixel and the one after the last whose centres lie between the least and the greatest of three coordinates.

    Clamped to the picture before they become integers, which huge values do not fit.
    """
    first = max(np.ceil(min(a, b, c) - 0.5), 0.0)
    last = min(np.floor(max(a, b, c) - 0.5), size - 1.0)
    if not first <= last:
        return 0, 0
    return int(first), int(last) + 1


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def rasterize(
    vertices: np.ndarray,
    faces: np.ndarray,
    near_mm: float,
    cull_back_faces: bool,
    face_index: np.ndarray,
    barycentric: np.ndarray,
    depth_mm: np.ndarray,
) -> None:
    """Z-buffer all triangles. Of equal depths the lower face wins.

    Args:
        vertices: (V, 3) x_px, y_px, depth_mm.
        faces: (F, 3) int32.
        near_mm: A triangle with a vertex at this depth or nearer is not drawn.
        cull_back_faces: Leave out triangles that are clockwise as seen.
        face_index: (H, W) int32, output.
        barycentric: (H, W, 3), output.
        depth_mm: (H, W), output.
    """
    nearest = np.full(face_index.shape, np.inf)
    face_index[:] = -1
    barycentric[:] = 0.0
    depth_mm[:] = 0.0
    corners = np.empty((3, 3))
    for face in range(faces.shape[0]):
        for k in range(3):
            for axis in range(3):
                corners[k, axis] = vertices[faces[face, k], axis]
        if corners[0, 2] > near_mm and corners[1, 2] > near_mm and corners[2, 2] > near_mm:
            _draw_face(corners, face, cull_back_faces, nearest, face_index, barycentric, depth_mm)


@njit(cache=CACHED, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _draw_face(
    corners: np.ndarray,
    face: int,
    cull_back_faces: bool,
    nearest: np.ndarray,
    face_index: np.ndarray,
    barycentric: np.ndarray,
    depth_mm: np.ndarray,
) -> None:
    """Draw one triangle where it is nearer than what is there.

    The sign of an edge function at a pixel centre *on* the edge counts as positive. With canonical edges this is the
    same as moving the sample by (-e^2, e) for an infinitely small e, so a centre on an edge or vertex of a surface
    belongs to exactly one of the triangles around it: a top-left rule in another dress.
    """
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners
    left, right = _pixel_range(x0, x1, x2, face_index.shape[1])
    top, bottom = _pixel_range(y0, y1, y2, face_index.shape[0])
    if left == right or top == bottom:
        return
    double_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    # y points down, so a triangle that is counter-clockwise to the eye has a negative area here.
    if not np.isfinite(double_area) or abs(double_area) < MIN_DOUBLE_AREA_PX2 or (cull_back_faces and double_area > 0):
        return
    winding = 1.0 if double_area > 0.0 else -1.0
    ox0, oy0, dx0, dy0, sign0 = _canonical_edge(x1, y1, x2, y2, winding)
    ox1, oy1, dx1, dy1, sign1 = _canonical_edge(x2, y2, x0, y0, winding)
    ox2, oy2, dx2, dy2, sign2 = _canonical_edge(x0, y0, x1, y1, winding)
    for row in range(top, bottom):
        for column in range(left, right):
            px, py = column + 0.5, row + 0.5
            e0 = dx0 * (py - oy0) - dy0 * (px - ox0)
            e1 = dx1 * (py - oy1) - dy1 * (px - ox1)
            e2 = dx2 * (py - oy2) - dy2 * (px - ox2)
            if (e0 >= 0.0) != (sign0 > 0.0) or (e1 >= 0.0) != (sign1 > 0.0) or (e2 >= 0.0) != (sign2 > 0.0):
                continue
            a0, a1, a2 = sign0 * e0 / z0, sign1 * e1 / z1, sign2 * e2 / z2
            total = a0 + a1 + a2
            if total <= 0.0:
                continue
            depth = (sign0 * e0 + sign1 * e1 + sign2 * e2) / total
            if depth < nearest[row, column]:
                nearest[row, column] = depth
                depth_mm[row, column] = depth
                face_index[row, column] = face
                barycentric[row, column, 0] = a0 / total
                barycentric[row, column, 1] = a1 / total
                barycentric[row, column, 2] = a2 / total


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def rasterize_backward(
    vertices: np.ndarray,
    faces: np.ndarray,
    face_index: np.ndarray,
    grad_barycentric: np.ndarray,
    grad_depth: np.ndarray,
    grad_vertices: np.ndarray,
) -> None:
    """Carry gradients of barycentrics and depth to the vertices.

    With E_i the edge function opposite corner i, a_i = E_i / z_i: w_i = a_i / sum(a), depth = sum(w_i z_i).

    Args:
        vertices: (V, 3) x_px, y_px, depth_mm.
        faces: (F, 3) int32.
        face_index: (H, W) int32.
        grad_barycentric: (H, W, 3).
        grad_depth: (H, W).
        grad_vertices: (V, 3), output, added to.
    """
    height, width = face_index.shape
    x, y, z = np.empty(3), np.empty(3), np.empty(3)
    a, grad_w, grad_e = np.empty(3), np.empty(3), np.empty(3)
    for row in range(height):
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                continue
            for k in range(3):
                vertex = faces[face, k]
                # Relative to the pixel centre, which is the only place where it enters.
                x[k] = vertices[vertex, 0] - (column + 0.5)
                y[k] = vertices[vertex, 1] - (row + 0.5)
                z[k] = vertices[vertex, 2]
            double_area = 0.0
            for k in range(3):
                i, j = (k + 1) % 3, (k + 2) % 3
                edge = x[i] * y[j] - x[j] * y[i]
                double_area += edge
                a[k] = edge / z[k]
            total = a[0] + a[1] + a[2]
            mean = 0.0
            for k in range(3):
                grad_w[k] = grad_barycentric[row, column, k] + grad_depth[row, column] * z[k]
                mean += grad_w[k] * a[k] / total
            squared = double_area * double_area
            damping = squared / (squared + GRADIENT_DAMPING_PX2 * GRADIENT_DAMPING_PX2)
            for k in range(3):
                grad_a = damping * (grad_w[k] - mean) / total
                grad_e[k] = grad_a / z[k]
                vertex = faces[face, k]
                grad_vertices[vertex, 2] += grad_depth[row, column] * a[k] / total - grad_a * a[k] / z[k]
            for k in range(3):
                i, j = (k + 1) % 3, (k + 2) % 3
                # Corner k enters the edge functions E_i = x_j y_k - x_k y_j and E_j = x_k y_i - x_i y_k.
                vertex = faces[face, k]
                grad_vertices[vertex, 0] += grad_e[j] * y[i] - grad_e[i] * y[j]
                grad_vertices[vertex, 1] += grad_e[i] * x[j] - grad_e[j] * x[i]


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def interpolate(
    attributes: np.ndarray,
    faces: np.ndarray,
    face_index: np.ndarray,
    barycentric: np.ndarray,
    image: np.ndarray,
) -> None:
    """Weighted sum of the corners' attributes; `image` (H, W, C) comes zeroed, the background is left as it is."""
    height, width = face_index.shape
    for row in range(height):
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                continue
            i0, i1, i2 = faces[face, 0], faces[face, 1], faces[face, 2]
            w0, w1, w2 = barycentric[row, column, 0], barycentric[row, column, 1], barycentric[row, column, 2]
            for channel in range(attributes.shape[1]):
                image[row, column, channel] = (
                    w0 * attributes[i0, channel] + w1 * attributes[i1, channel] + w2 * attributes[i2, channel]
                )


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def interpolate_backward(
    attributes: np.ndarray,
    faces: np.ndarray,
    face_index: np.ndarray,
    barycentric: np.ndarray,
    grad_image: np.ndarray,
    grad_attributes: np.ndarray,
    grad_barycentric: np.ndarray,
) -> None:
    """Carry gradients of an interpolated image to the attributes (V, C) and the barycentrics (H, W, 3), both zeroed."""
    height, width = face_index.shape
    for row in range(height):
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                continue
            for k in range(3):
                vertex = faces[face, k]
                weight = barycentric[row, column, k]
                total = 0.0
                for channel in range(attributes.shape[1]):
                    gradient = grad_image[row, column, channel]
                    grad_attributes[vertex, channel] += weight * gradient
                    total += gradient * attributes[vertex, channel]
                grad_barycentric[row, column, k] = total
