"""Half a ball with a neck and a mouth: the simplest skin that the atlas can lay flat."""

import numpy as np

RADII_MM = np.array([70.0, 110.0, 90.0])
_COLUMNS, _ROWS = 17, 20
_NECK_ROW, _MOUTH_ROW = 2, 8


def half_ball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices in mm with x >= 0, which of them are on the mid-line, and triangles, counter-clockwise from outside.

    Columns run from the face's mid-line round to that of the back, rows from the neck up to the crown, and a quad
    beside the face's mid-line is missing: the mouth.
    """
    longitude = np.linspace(0.0, np.pi, _COLUMNS)
    latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, _ROWS + 1)[_NECK_ROW:-1]
    high, around = np.meshgrid(latitude, longitude, indexing="ij")
    rings = np.stack((np.cos(high) * np.sin(around), np.sin(high), np.cos(high) * np.cos(around)), -1)
    vertices = RADII_MM * np.concatenate((rings.reshape(-1, 3), [[0.0, 1.0, 0.0]]))
    index = np.arange(rings.shape[0] * _COLUMNS).reshape(-1, _COLUMNS)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    quads = np.stack((np.stack((a, b, c), -1), np.stack((a, c, d), -1)), axis=2)
    quads = quads.reshape(-1, 2, 3)
    quads = np.delete(quads, _MOUTH_ROW * (_COLUMNS - 1), axis=0).reshape(-1, 3)
    crown = np.stack((index[-1, :-1], index[-1, 1:], np.full(_COLUMNS - 1, len(vertices) - 1)), -1)
    middle = np.abs(vertices[:, 0]) < 1e-9
    vertices[middle, 0] = 0.0
    return vertices, middle, np.concatenate((quads, crown))
