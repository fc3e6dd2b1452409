"""The geometry over the frames of a film."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from model.geometry.camera import crop_intrinsics, project
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.lighting import neutral_lighting
from model.render.renderer import Renderer

_MOST_PX = 360
"""Side of the square that a head is drawn in; a larger face is drawn coarser and enlarged."""
_OPACITY = 0.6
_COLORS = ((60, 200, 90), (240, 170, 40), (80, 160, 250), (230, 90, 160), (180, 140, 250))
"""Of the points of the first person, the second, and so on."""


class FilmOverlay:
    """Draws heads over frames; what all frames share is worked out once."""

    def __init__(self, faces: Int[np.ndarray, "face 3"], intrinsics_px: Float[np.ndarray, "3 3"]) -> None:
        """Take what all heads share.

        Args:
            faces: Triangles of the head model.
            intrinsics_px: The film's camera.
        """
        self._faces = torch.from_numpy(faces)
        self._camera = torch.from_numpy(intrinsics_px).float()
        self._renderer = Renderer(build_rasterizer("cpu"), shading="vertex")
        self._light = neutral_lighting(1) * 0.35
        self._light[:, 2] += 0.45
        self._light[:, 1] += 0.12

    def draw(
        self,
        frame_srgb: UInt8[np.ndarray, "height width 3"],
        vertices_camera_mm: Float[np.ndarray, "vertex 3"],
        landmarks68_px: Float[np.ndarray, "68 2"],
        person: int,
    ) -> None:
        """Draw a head into a frame.

        Args:
            frame_srgb: The frame; it is changed.
            vertices_camera_mm: The head in camera space.
            landmarks68_px: Its points in the frame.
            person: Number of the person, for the colour.
        """
        vertices = torch.from_numpy(vertices_camera_mm)[None]
        image_px = project(vertices, self._camera[None])[0, :, :2].numpy()
        low, high = np.floor(image_px.min(0)).astype(int), np.ceil(image_px.max(0)).astype(int)
        side = int(max(high - low))
        if side > 0:
            self._blend(frame_srgb, vertices, int(low[0]), int(low[1]), side)
        radius = max(1, round(0.006 * side))
        for x, y in landmarks68_px:
            # OpenCV puts the centre of the first pixel at (0, 0); four bits of a fraction.
            place = round(16.0 * (float(x) - 0.5)), round(16.0 * (float(y) - 0.5))
            cv2.circle(frame_srgb, place, 16 * radius, _COLORS[person % len(_COLORS)], -1, cv2.LINE_AA, 4)

    def _blend(
        self,
        frame_srgb: UInt8[np.ndarray, "height width 3"],
        vertices: Float[torch.Tensor, "1 vertex 3"],
        left: int,
        top: int,
        side: int,
    ) -> None:
        height, width = frame_srgb.shape[:2]
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
        if x0 >= x1 or y0 >= y1:
            return
        size = min(side, _MOST_PX)
        camera = crop_intrinsics(self._camera, float(left), float(top), size / side)[None]
        grey = torch.full_like(vertices, 0.55)
        drawn = self._renderer.render(vertices, grey, self._light, self._faces, camera, size, size)
        shape = 255.0 * linear_to_srgb(drawn.image_linear[0].clamp(0.0, 1.0)).numpy()
        layers = np.concatenate((shape, drawn.mask[0, ..., None].numpy()), axis=-1)
        if size != side:
            layers = cv2.resize(layers, (side, side), interpolation=cv2.INTER_LINEAR)
        part = layers[y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = _OPACITY * part[..., 3:]
        under = frame_srgb[y0:y1, x0:x1]
        # The shape is black where there is none, premultiplied by its cover.
        mixed = under * (1.0 - alpha) + _OPACITY * part[..., :3]
        frame_srgb[y0:y1, x0:x1] = np.rint(mixed.clip(0.0, 255.0)).astype(np.uint8)
