"""Which part of the surface each landmark may lie on: lid margins, its own lip, the skin near where it started."""

import numpy as np
from jaxtyping import Float, Int

from model.face.assets import HeadAssets
from tools.statistics.surface import SurfacePoints, edge_path, nearest_on_path, nearest_on_surface

IRIS_RADIUS_MM = 5.9
"""Half the horizontal diameter of the human cornea's coloured part, 11.8 mm with hardly any variance."""

# MediaPipe's lid margins and inner lips, corner to corner.
_MEDIAPIPE_CURVES = (
    ((36, 37, 38, 39), (33, 246, 161, 160, 159, 158, 157, 173, 133)),
    ((39, 40, 41, 36), (155, 154, 153, 145, 144, 163, 7)),
    ((42, 43, 44, 45), (362, 398, 384, 385, 386, 387, 388, 466, 263)),
    ((45, 46, 47, 42), (249, 390, 373, 374, 380, 381, 382)),
    ((60, 61, 62, 63, 64), (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)),
    ((64, 65, 66, 67, 60), (95, 88, 178, 87, 14, 317, 402, 318, 324)),
)
# The subject's right iris is 468-472, the left 473-477: centre, then four points of the rim.
_IRIS_RIM = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def source_vertices(head: HeadAssets) -> Int[np.ndarray, "68"]:
    """The vertices the head's `ibug68` set sits on (or lies nearest to)."""
    points = head.landmarks["ibug68"]
    return head.faces[points.face][np.arange(68), points.barycentric.argmax(1)]


def _skin_faces(head: HeadAssets) -> Int[np.ndarray, " skin"]:
    return np.flatnonzero(head.regions["skin"][head.faces].all(1))


class MediapipeProjection:
    """Puts MediaPipe's 468 on the head: lid margins and inner lips on their curves, the rest on the skin."""

    def __init__(self, head: HeadAssets) -> None:
        """Find the curves through the head's own `ibug68` vertices."""
        self._head = head
        self._skin = _skin_faces(head)
        vertices = source_vertices(head)
        triangles = head.faces[self._skin]
        self._curves = [
            (np.array(points), edge_path(vertices[list(corners)], head.vertices_mm, triangles))
            for corners, points in _MEDIAPIPE_CURVES
        ]

    def __call__(self, points: Float[np.ndarray, "468 3"]) -> SurfacePoints:
        """Project."""
        head = self._head
        placed = nearest_on_surface(points, head.vertices_mm, head.faces, self._skin)
        for indices, path in self._curves:
            on_curve = nearest_on_path(points[indices], path, head.vertices_mm, head.faces[self._skin])
            placed.face[indices] = self._skin[on_curve.face]
            placed.barycentric[indices] = on_curve.barycentric
        return placed


def iris_points(head: HeadAssets) -> SurfacePoints:
    """MediaPipe's 468-477 on the eyeballs, for eyes that look straight ahead: centre and four points of the rim."""
    placed = []
    for side in (-1.0, 1.0):
        eye = head.regions["eyes"] & (side * head.vertices_mm[:, 0] > 0)
        ball = head.vertices_mm[eye]
        center = 0.5 * (ball.min(0) + ball.max(0))
        front = np.array([*center[:2], ball[:, 2].max()])
        # Rim points run 469 image right, 470 top, 471 image left, 472 bottom; image right is +x, the subject's left.
        rim = [front + IRIS_RADIUS_MM * np.array([x, y, 0.0]) - (0, 0, 1.5) for x, y in _IRIS_RIM]
        faces = np.flatnonzero(eye[head.faces].all(1))
        faces = faces[head.vertices_mm[head.faces[faces]].mean(1)[:, 2] > center[2]]
        placed.append(nearest_on_surface(np.stack([front, *rim]), head.vertices_mm, head.faces, faces))
    return SurfacePoints(np.concatenate([p.face for p in placed]), np.concatenate([p.barycentric for p in placed]))
