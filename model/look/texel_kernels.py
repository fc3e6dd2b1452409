"""Numba kernels over the texels of a texture: a large one has sixteen million, for which arrays of floats are too slow.

As those of the rasterizer (`model.render.cpu.kernels`) they release the interpreter lock and go through the texels in a
fixed order. The caller keeps the shapes; letters: T texels on the head, V vertices, S side of the texture.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from model.render.cpu.cache import CACHED

LEAST_DIFFUSE = 0.25
"""Share of what is seen that is light out of the skin and no gloss, at least."""


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def _look(picture, x, y, linear_of_byte, found_bytes, found):
    """A picture between the centres of its pixels: bytes, and light averaged as light."""
    height, width = picture.shape[0], picture.shape[1]
    x = min(max(x - 0.5, 0.0), width - 1.0)
    y = min(max(y - 0.5, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    across, down = x - left, y - top
    for channel in range(3):
        a, b = picture[top, left, channel], picture[top, right, channel]
        c, d = picture[below, left, channel], picture[below, right, channel]
        found_bytes[channel] = (1.0 - down) * ((1.0 - across) * a + across * b) + down * (
            (1.0 - across) * c + across * d
        )
        found[channel] = (1.0 - down) * ((1.0 - across) * linear_of_byte[a] + across * linear_of_byte[b]) + down * (
            (1.0 - across) * linear_of_byte[c] + across * linear_of_byte[d]
        )


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def _masked(mask, x, y):
    """A mask between the centres of its pixels; one of a single pixel is the same everywhere."""
    height, width = mask.shape
    x = min(max(x - 0.5, 0.0), width - 1.0)
    y = min(max(y - 0.5, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    across, down = x - left, y - top
    above = (1.0 - across) * mask[top, left] + across * mask[top, right]
    return (1.0 - down) * above + down * ((1.0 - across) * mask[below, left] + across * mask[below, right])


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def _mix(values, column, corner, share):
    """A column of values at vertices, between three of them."""
    return (
        share[0] * values[corner[0], column]
        + share[1] * values[corner[1], column]
        + share[2] * values[corner[2], column]
    )


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def _diffuse(photograph, places, first, fields, gloss, corner, share, linear_of_byte, found_bytes, found):
    """The photograph at a texel, and its light without the gloss, in the given columns."""
    x, y = _mix(places, first, corner, share), _mix(places, first + 1, corner, share)
    _look(photograph, x, y, linear_of_byte, found_bytes, found)
    for channel in range(3):
        without = found[channel] - _mix(fields, gloss + channel, corner, share)
        found[channel] = max(without, LEAST_DIFFUSE * found[channel])


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def compose(
    corners,
    shares,
    photograph,
    mask,
    linear_of_byte,
    byte_of_root,
    places,
    weights,
    fields,
    contrast,
    grey,
    albedo,
    image,
):
    """Skin and unlit picture of every texel.

    Args:
        corners: (T, 3) vertices about each texel.
        shares: (T, 3) their weights.
        photograph: (height, width, 3) bytes.
        mask: (height, width) how far each of its pixels may be taken, or (1, 1) for all of them.
        linear_of_byte: (256,) linear light of a byte.
        byte_of_root: Bytes by the square root of linear light.
        places: (V, 4) x and y of the vertex in the photograph, and of its mirror vertex.
        weights: (V, 2) how far each of the two is seen.
        fields: (V, 18) linear RGB each: base albedo, 1 / shading, gloss, 1 / mirror shading, gloss of the mirror
            vertex, and the shading that completed skin is shown in.
        contrast: Least and greatest value of a mirrored texel over its base.
        grey: Whether the unlit picture is to have no colour.
        albedo: (T, 3) the skin, written.
        image: (T, 3) bytes of the unlit picture, written.
    """
    here_bytes, here = np.empty(3, np.float64), np.empty(3, np.float64)
    steps = len(byte_of_root) - 1
    for texel in range(len(corners)):
        corner, share = corners[texel], shares[texel]
        seen = min(max(_mix(weights, 0, corner, share), 0.0), 1.0)
        mirrored = min(max(_mix(weights, 1, corner, share), 0.0), 1.0)
        if seen > 0.0:
            seen *= _masked(mask, _mix(places, 0, corner, share), _mix(places, 1, corner, share))
        if mirrored > 0.0:
            mirrored *= _masked(mask, _mix(places, 2, corner, share), _mix(places, 3, corner, share))
        for channel in range(3):
            albedo[texel, channel] = _mix(fields, channel, corner, share) * (1.0 - seen - mirrored)
            here_bytes[channel] = 0.0
        if mirrored > 0.0:
            _diffuse(photograph, places, 2, fields, 12, corner, share, linear_of_byte, here_bytes, here)
            for channel in range(3):
                base = _mix(fields, channel, corner, share)
                skin = here[channel] * _mix(fields, 9 + channel, corner, share)
                albedo[texel, channel] += mirrored * min(max(skin, contrast[0] * base), contrast[1] * base)
        if seen > 0.0:
            _diffuse(photograph, places, 0, fields, 6, corner, share, linear_of_byte, here_bytes, here)
            for channel in range(3):
                albedo[texel, channel] += seen * min(here[channel] * _mix(fields, 3 + channel, corner, share), 1.0)
        for channel in range(3):
            here[channel] = albedo[texel, channel] * _mix(fields, 15 + channel, corner, share)
        luminance = 0.2126 * here[0] + 0.7152 * here[1] + 0.0722 * here[2]
        for channel in range(3):
            value = luminance if grey else here[channel]
            completed = byte_of_root[int(np.sqrt(min(max(value, 0.0), 1.0)) * steps + 0.5)]
            image[texel, channel] = int(completed + seen * (here_bytes[channel] - completed) + 0.5)


@njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=True)
@no_type_check
def encode(albedo, gain, image, nearest, byte_of_root, albedo_picture, image_picture):
    """Skin and unlit picture as pictures, their texels repeated beyond the islands.

    Args:
        albedo: (T, 3) linear RGB.
        gain: (S, S) what it is multiplied with.
        image: (T, 3) bytes.
        nearest: (S, S) texel nearest to each pixel.
        byte_of_root: Bytes by the square root of linear light.
        albedo_picture: (S, S, 3) bytes, written.
        image_picture: (S, S, 3) bytes, written.
    """
    steps = len(byte_of_root) - 1
    for row in range(len(nearest)):
        for column in range(len(nearest)):
            texel = nearest[row, column]
            for channel in range(3):
                value = min(max(albedo[texel, channel] * gain[row, column], 0.0), 1.0)
                albedo_picture[row, column, channel] = byte_of_root[int(np.sqrt(value) * steps + 0.5)]
                image_picture[row, column, channel] = image[texel, channel]
