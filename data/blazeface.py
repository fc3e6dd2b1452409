"""BlazeFace, short range, on onnxruntime: finds faces in a millisecond, with six points of each.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019). The network of MediaPipe's
`face_detection_short_range`; `tools/import_blazeface.py` made its file. It was trained on pictures of 128 x 128 px but
is fully convolutional: in a larger picture it finds the same faces of 16 to some 110 px wherever they are.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from common.paths import DEFAULT_BLAZEFACE
from data.detection import Detection, intersections_over_unions

TRAINED_PX = 128
"""Side of the pictures that it was trained on."""

POINTS = 6
"""Image-left eye, image-right eye, nose, middle of the mouth, image-left ear, image-right ear."""

_MULTIPLE_PX = 16
_ANCHORS = {8: 2, 16: 6}
_SAME_FACE = 0.3


def onnx_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session that works in the thread that calls it, unless more are asked for; several threads may share it."""
    options = onnxruntime.SessionOptions()
    # Readers run beside one another; threads inside a network of this size cost more than they bring.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class BlazeFace:
    """Looks at a picture once, at its own scale. Safe to be called from several threads."""

    def __init__(self, path: Path = DEFAULT_BLAZEFACE) -> None:
        """Load the network.

        Args:
            path: Its ONNX file.

        Raises:
            FileNotFoundError: If it is missing.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the face detector's file is missing; install Likeness again")
        self._session = onnx_session(path)

    def look(self, image_srgb: UInt8[np.ndarray, "height width 3"], least_score: float) -> list[Detection]:
        """Faces with a score of at least `least_score`, the surest first, each once.

        Args:
            image_srgb: Of any size; what is missing to whole multiples of 16 px counts as grey, as beyond the border.
            least_score: In ]0, 1[.

        Returns:
            Detections with `POINTS` points in px of the picture.
        """
        return self.look_at_all(image_srgb[None], least_score)[0]

    def look_at_all(
        self, images_srgb: UInt8[np.ndarray, "batch height width 3"], least_score: float
    ) -> list[list[Detection]]:
        """`look` at several pictures of one size."""
        height, width = (-(-side // _MULTIPLE_PX) * _MULTIPLE_PX for side in images_srgb.shape[1:3])
        if (height, width) != images_srgb.shape[1:3]:
            # 128 is what the network sees as 0, which is what it sees beyond the border.
            padded = np.full((len(images_srgb), height, width, 3), 128, np.uint8)
            padded[:, : images_srgb.shape[1], : images_srgb.shape[2]] = images_srgb
            images_srgb = padded
        logits, places = self._session.run(None, {"image_srgb": images_srgb})
        anchors = _anchor_places_px(height, width)
        least_logit = float(np.log(least_score / (1.0 - least_score)))
        faces = []
        for scores, numbers in zip(np.asarray(logits), np.asarray(places), strict=True):
            kept = scores >= least_logit
            faces.append(_blended(1.0 / (1.0 + np.exp(-scores[kept])), numbers[kept], anchors[kept]))
        return faces


def _anchor_places_px(height: int, width: int) -> Float[np.ndarray, "anchor 2"]:
    """Where each anchor is: the middles of the cells of two grids, several in one place."""
    parts = []
    for stride, count in _ANCHORS.items():
        y, x = np.mgrid[: height // stride, : width // stride]
        centers = (np.stack((x, y), axis=-1).reshape(-1, 2) + 0.5) * stride
        parts.append(np.repeat(centers, count, axis=0))
    return np.concatenate(parts)


def _blended(
    scores: Float[np.ndarray, " found"], numbers: Float[np.ndarray, "found 16"], anchors: Float[np.ndarray, "found 2"]
) -> list[Detection]:
    """One face for all anchors that see it: the mean of their answers, weighted by their scores.

    The paper's replacement for non-maximum suppression: it trembles less.
    """
    center, size = anchors + numbers[:, :2], numbers[:, 2:4]
    boxes = np.concatenate((center - 0.5 * size, center + 0.5 * size), axis=1)
    values = np.concatenate((boxes, (numbers[:, 4:].reshape(-1, POINTS, 2) + anchors[:, None]).reshape(-1, 12)), axis=1)
    order = np.argsort(-scores, kind="stable")
    faces = []
    while len(order):
        best = order[0]
        same = intersections_over_unions(boxes[order], boxes[best]) > _SAME_FACE
        # An empty box overlaps nothing, not even itself.
        same[0] = True
        group = order[same]
        mean = np.average(values[group], axis=0, weights=scores[group]).astype(np.float32)
        faces.append(Detection(mean[:4], mean[4:].reshape(POINTS, 2), float(scores[best])))
        order = order[~same]
    return faces
