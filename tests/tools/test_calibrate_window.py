import numpy as np

from data.alignment import CropWindow, window_features
from data.detection import Detection
from tools.calibrate_window import errors_percent, fit_rule


def any_face(generator: np.random.Generator) -> Detection:
    side, (x, y) = generator.uniform(40, 90), generator.uniform(100, 200, 2)
    points = np.array([[-0.2, -0.1], [0.2, -0.1], [0, 0.05], [0, 0.25], [-0.45, 0], [0.45, 0]])
    points = points + 0.05 * generator.normal(size=(6, 2))
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Detection(box, (points * side + (x, y)).astype(np.float32), 0.9)


def test_a_linear_rule_is_found_again() -> None:
    generator = np.random.default_rng(0)
    pairs = []
    for _ in range(200):
        face = any_face(generator)
        odd, even = window_features(face)
        offset = np.array([0.4 * odd[1], -0.2 + 0.3 * even[2]])
        side = face.side_px * np.exp(0.3 + 0.2 * even[5])
        pairs.append((face, CropWindow.about(tuple(face.center_px + face.side_px * offset), float(side))))
    center, side = errors_percent(fit_rule(pairs), pairs)
    # The ridge keeps it from being exact.
    assert center < 1.0
    assert side < 1.0
