"""Faces for a recognition network as NumPy has them: the same alignment as `model.identity.alignment`."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from model.identity.dlib_resnet import DlibResNet as IdentityNetwork

__all__ = ["FACE_SIZE_PX", "IdentityNetwork", "align_face", "similarity"]

FACE_SIZE_PX = IdentityNetwork.face_size_px

_TARGET_PX = np.array([(51.6, 58.0), (98.4, 58.0), (75.0, 85.0), (57.0, 108.0), (93.0, 108.0)])


def align_face(
    image_srgb: UInt8[np.ndarray, "height width 3"], landmarks68_px: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "150 150 3"]:
    """Cut the face as the network wants it: eye centres, nose tip and mouth corners at fixed places.

    Args:
        image_srgb: Photograph.
        landmarks68_px: iBUG's 68 points in it.
    """
    points = np.stack(
        (
            landmarks68_px[36:42].mean(0),
            landmarks68_px[42:48].mean(0),
            landmarks68_px[30],
            landmarks68_px[48],
            landmarks68_px[54],
        )
    )
    matrix = similarity(points, _TARGET_PX)
    # cv2 counts from the first pixel's centre, landmarks from its corner.
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
    return cv2.warpAffine(image_srgb, matrix, (FACE_SIZE_PX, FACE_SIZE_PX), flags=cv2.INTER_LINEAR)


def similarity(source: Float[np.ndarray, "point 2"], target: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "2 3"]:
    """Least-squares rotation, scale and translation that carry `source` onto `target` (Umeyama 1991, no mirror)."""
    source_complex, target_complex = (points @ np.array([1.0, 1.0j]) for points in (source, target))
    source_mean, target_mean = source_complex.mean(), target_complex.mean()
    centred = source_complex - source_mean
    factor = np.vdot(centred, target_complex - target_mean) / np.vdot(centred, centred).real
    shift = target_mean - factor * source_mean
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
