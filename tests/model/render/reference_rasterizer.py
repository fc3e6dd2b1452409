"""The rasterizer as one would explain it: every triangle against every pixel, no speed, no gradients."""

import numpy as np


def rasterize(
    vertices_image: np.ndarray, faces: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw one mesh.

    A point p of a triangle's picture has the screen weights s_i = area(p, the two other corners) / area(triangle).
    Inverse depth is linear in the picture, 1 / depth = sum s_i / z_i, and a quantity that is linear on the surface has
    the weights b_i = s_i / z_i * depth.

    Returns:
        face_index (H, W), barycentric (H, W, 3), depth (H, W), and clearance (H, W): how far the pixel's centre is
        from the next line that could change the answer (an edge of any triangle, in px; 0 where two depths are alike).
    """
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    face_index = np.full((height, width), -1)
    barycentric = np.zeros((height, width, 3))
    depth = np.full((height, width), np.inf)
    second_depth = np.full((height, width), np.inf)
    clearance = np.full((height, width), np.inf)
    for index, (a, b, c) in enumerate(vertices_image[faces]):
        area = _double_area(a, b, c[0], c[1])
        if area == 0.0 or min(a[2], b[2], c[2]) <= 1.0:
            continue
        edges = ((b, c), (c, a), (a, b))
        screen = np.stack([_double_area(start, end, columns, rows) / area for start, end in edges], axis=-1)
        lengths = np.array([np.hypot(*(end - start)[:2]) for start, end in edges])
        clearance = np.minimum(clearance, np.abs(screen * area / lengths).min(axis=-1))
        corner_depths = np.array([a[2], b[2], c[2]])
        with np.errstate(divide="ignore"):
            triangle_depth = 1.0 / (screen / corner_depths).sum(axis=-1)
        inside = (screen > 0.0).all(axis=-1)
        triangle_depth = np.where(inside, triangle_depth, np.inf)
        nearer = triangle_depth < depth
        second_depth = np.where(nearer, depth, np.minimum(second_depth, triangle_depth))
        face_index[nearer] = index
        barycentric[nearer] = (screen / corner_depths * triangle_depth[..., None])[nearer]
        depth[nearer] = triangle_depth[nearer]
    clearance[second_depth < depth + 1e-3] = 0.0
    depth[face_index < 0] = 0.0
    return face_index, barycentric, depth, clearance


def _double_area(start: np.ndarray, end: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0])
