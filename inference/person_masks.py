"""Person masks of faces in photographs: the network is asked about a window, its answer is led along the edges."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from common.paths import DEFAULT_MASK
from data.alignment import compose, head_window, transform_points, turned_clockwise, warp_image
from model.person.classes import HAIR, OTHER
from model.person.guided import guided_filter
from model.person.mask import PersonMask
from model.person.network import PersonNetwork, load_person_network

_FINE_PX = 448
"""Side of the window in which edges are looked for."""
_RADIUS_PX, _EPSILON = 6, 4e-4
_UPRIGHT_DEGREES = 25.0
"""Heads that lean by less are known to the network as they are."""
_LEAST_PIECE = 0.2


class PersonMasker:
    """Asks a person network."""

    def __init__(self, network: PersonNetwork, device: torch.device) -> None:
        """Take the network, in evaluation mode, on `device`."""
        self._network = network
        self._device = device

    @classmethod
    def load(cls, device: torch.device, path: Path = DEFAULT_MASK) -> "PersonMasker":
        """Load a network; by default the released one.

        Raises:
            FileNotFoundError: If its file is missing.
            ValueError: If it is no such network.
        """
        return cls(load_person_network(path, device), device)

    @torch.inference_mode()
    def mask(
        self,
        image_srgb: UInt8[np.ndarray, "height width 3"],
        landmarks68_px: Float[np.ndarray, "68 2"],
        roll_degrees: float = 0.0,
    ) -> PersonMask:
        """What a photograph shows about a face.

        Args:
            image_srgb: The photograph.
            landmarks68_px: iBUG's points of the face.
            roll_degrees: How far it leans counter-clockwise.
        """
        size, x, y = self._network.config.image_size, *landmarks68_px.mean(0).tolist()
        turn = turned_clockwise(roll_degrees if abs(roll_degrees) > _UPRIGHT_DEGREES else 0.0, (x, y))
        window = head_window(transform_points(turn, landmarks68_px))
        to_window = compose(window.to_crop(_FINE_PX), turn)
        fine = warp_image(image_srgb, to_window, _FINE_PX)
        coarse = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(coarse).permute(2, 0, 1)[None].float().to(self._device) / 255.0
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        both = torch.cat((pixels, pixels.flip(-1)))
        scores = self._network(both)
        share = (scores[:1] + scores[1:].flip(-1)).mul(0.5).softmax(1)
        share = torch.nn.functional.interpolate(share, size=(_FINE_PX, _FINE_PX), mode="bilinear", align_corners=False)
        return PersonMask(
            _along_edges(share[0].permute(1, 2, 0).cpu().numpy(), fine),
            _known(to_window, image_srgb.shape[:2]),
            to_window,
        )


def _along_edges(
    share: Float32[np.ndarray, "size size kind"], image_srgb: UInt8[np.ndarray, "size size 3"]
) -> Float32[np.ndarray, "size size kind"]:
    """Shares whose borders lie on the photograph's edges, 1 in sum."""
    guide = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    led = np.stack([guided_filter(guide, share[..., k], _RADIUS_PX, _EPSILON) for k in range(share.shape[-1])], axis=-1)
    led = np.clip(led, 0.0, 1.0)
    return _one_head_of_hair((led / led.sum(-1, keepdims=True).clip(min=1e-6)).astype(np.float32))


def _one_head_of_hair(share: Float32[np.ndarray, "size size kind"]) -> Float32[np.ndarray, "size size kind"]:
    """Hair that is apart from the head of hair and far smaller is something else: a dark collar, for example."""
    count, piece, stats, _ = cv2.connectedComponentsWithStats((share[..., HAIR] > 0.5).astype(np.uint8))
    if count > 2:
        area = stats[1:, cv2.CC_STAT_AREA]
        small = 1 + np.flatnonzero(area < _LEAST_PIECE * area.max())
        # With its soft rim.
        lost = cv2.dilate(np.isin(piece, small).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        share[lost, OTHER] += share[lost, HAIR]
        share[lost, HAIR] = 0.0
    return share


def _known(to_window: Float[np.ndarray, "2 3"], shape: tuple[int, int]) -> Float32[np.ndarray, "size size"]:
    """1 where a pixel of the window lies in the photograph."""
    centers = np.stack(np.meshgrid(*2 * [np.arange(_FINE_PX) + 0.5]), axis=-1)
    places = transform_points(cv2.invertAffineTransform(to_window), centers)
    inside = (places >= 0.0) & (places <= np.array(shape)[::-1])
    return (inside[..., 0] & inside[..., 1]).astype(np.float32)
