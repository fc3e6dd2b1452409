"""Where the 68 points lie on a scan: it is drawn from around, and our own detector and network look at the pictures."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy.spatial.transform import Rotation

from inference.likeness import Likeness
from model.geometry.camera import project
from model.render.backends import build_rasterizer
from model.render.rasterizer import Fragments

_SEARCH_PX, _LOOK_PX = 320, 640
_FOV_DEG = 20.0
_FRAMED = 1.25
"""Side of a picture over the scan's diameter while the face is searched for."""
_HEAD_FRAMED = 2.6
"""Side of a picture over the distance of the eyes' corners times 2, once the face is known."""
_SURE = 0.85
_TURNS_DEG = ((0.0, 0.0), (20.0, 0.0), (-20.0, 0.0), (0.0, 12.0))
"""Views that the landmarks are the mean of: yaw and pitch."""
_SKIN_SRGB = np.array([0.80, 0.62, 0.53])
_SEEN_COSINE = 0.25
_FIRST_INNER = 17


@dataclass(frozen=True)
class Scan:
    """A scanned surface in its own unit.

    Attributes:
        vertices: Positions.
        faces: Triangles.
        colours_srgb: Of the vertices, [0, 1]; None where it has none.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    colours_srgb: Float[np.ndarray, "vertex 3"] | None


@dataclass(frozen=True)
class ScanLandmarks:
    """What was found on a scan.

    Attributes:
        numbers: Which of iBUG's points, from 0; the outline is left out.
        points: Where they lie, in the scan's unit.
        picture_srgb: The view from the front.
        picture_px: The 68 points in it.
    """

    numbers: Int[np.ndarray, " point"]
    points: Float[np.ndarray, "point 3"]
    picture_srgb: UInt8[np.ndarray, "height width 3"]
    picture_px: Float[np.ndarray, "68 2"]


@dataclass(frozen=True)
class _View:
    """A picture of the scan.

    Attributes:
        picture_srgb: It.
        fragments: What is seen at its pixels.
        cosine: Between the direction to the camera and the normal of each triangle.
    """

    picture_srgb: UInt8[np.ndarray, "height width 3"]
    fragments: Fragments
    cosine: Float[np.ndarray, " face"]


def find_landmarks(scan: Scan, likeness: Likeness, path: Path) -> ScanLandmarks:
    """Find the points on a scan that stands or lies in any way.

    Args:
        scan: The scan.
        likeness: Detector and network.
        path: The scan's file, for errors.

    Raises:
        ValueError: If no picture of it shows a face.
    """
    front, middle, side = _towards_the_face(scan, likeness, path)
    sums, counts = np.zeros((68, 3)), np.zeros(68)
    picture, picture_px = None, None
    for yaw, pitch in _TURNS_DEG:
        turn = Rotation.from_euler("yx", (yaw, pitch), degrees=True).as_matrix() @ front
        view = _draw(scan, turn, middle, side, _LOOK_PX)
        heads = likeness.reconstruct(view.picture_srgb, largest_face=True, fov=_FOV_DEG)
        if not heads:
            continue
        if picture is None:
            picture, picture_px = view.picture_srgb, heads[0].landmarks68_px
        for number, place in _on_surface(scan, view, heads[0].landmarks68_px):
            sums[number] += place
            counts[number] += 1.0
    if picture is None or picture_px is None:
        raise ValueError(f"{path}: no face was found in pictures of the scan from the front")
    numbers = np.flatnonzero((counts > 0) & (np.arange(68) >= _FIRST_INNER))
    return ScanLandmarks(numbers, sums[numbers] / counts[numbers, None], picture, picture_px)


def _towards_the_face(
    scan: Scan, likeness: Likeness, path: Path
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"], float]:
    """A rotation that turns the face to the camera, the middle of the picture and its side, in the scan's unit."""
    low, high = scan.vertices.min(0), scan.vertices.max(0)
    middle, side = 0.5 * (low + high), _FRAMED * float(np.linalg.norm(high - low))
    best_score, best = 0.0, None
    for turn in _upright_first():
        view = _draw(scan, turn, middle, side, _SEARCH_PX)
        found = likeness.detector.detect(view.picture_srgb, largest_face=True)
        # What is found in a turned picture has its turn among the candidates.
        upright = [one for one in found if abs(one.roll_degrees) < 45.0]
        if upright and upright[0].score > best_score:
            best_score, best = upright[0].score, turn
        if best_score > _SURE:
            break
    if best is None:
        raise ValueError(f"{path}: no face was found in pictures of the scan from all sides")
    front = best
    for _ in range(2):
        view = _draw(scan, front, middle, side, _LOOK_PX)
        heads = likeness.reconstruct(view.picture_srgb, largest_face=True, fov=_FOV_DEG)
        if not heads:
            break
        placed = dict(_on_surface(scan, view, heads[0].landmarks68_px))
        # The picture of a head that is turned by R shows it from the front once it is turned back.
        front = heads[0].result.rotation.astype(float).T @ front
        if 36 in placed and 45 in placed:
            middle = 0.5 * (placed[36] + placed[45])
            middle = middle if 57 not in placed else 0.5 * (middle + placed[57])
            side = 2.0 * _HEAD_FRAMED * float(np.linalg.norm(placed[36] - placed[45]))
    return front, middle, side


def _upright_first() -> list[Float[np.ndarray, "3 3"]]:
    """The 24 ways in which axes can lie: y up and z forward first, z up next."""
    found: list[np.ndarray] = []
    for yaw, pitch, roll in product((0, 90, 270, 180), (0, 270, 90), (0, 90, 180, 270)):
        turn = Rotation.from_euler("zxy", (roll, pitch, yaw), degrees=True).as_matrix().round()
        if not any(np.array_equal(turn, other) for other in found):
            found.append(turn)
    return sorted(found, key=lambda turn: (-turn[1, 1], -turn[2, 2]))


def _draw(scan: Scan, turn: Float[np.ndarray, "3 3"], middle: Float[np.ndarray, "3"], side: float, size: int) -> _View:
    """Draw the scan with a lamp at the camera, in the camera of `_FOV_DEG` over the picture's side."""
    focal = 0.5 * size / np.tan(np.radians(0.5 * _FOV_DEG))
    # In a unit of its own: the rasterizer leaves out what is nearer than a millimetre.
    unit = 400.0 / side
    camera = unit * (scan.vertices - middle) @ turn.T - (0.0, 0.0, 200.0 / np.tan(np.radians(0.5 * _FOV_DEG)))
    intrinsics = torch.tensor([[[focal, 0.0, 0.5 * size], [0.0, focal, 0.5 * size], [0.0, 0.0, 1.0]]])
    corners = torch.from_numpy(camera).float()[None]
    faces = torch.from_numpy(scan.faces).int()
    rasterizer = build_rasterizer("cpu")
    fragments = rasterizer.rasterize(project(corners, intrinsics.float()), faces, size, size)
    a, b, c = camera[scan.faces].swapaxes(0, 1)
    across = np.cross(b - a, c - a)
    normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    to_camera = -(a + b + c) / 3.0
    cosine = (normals * to_camera).sum(1) / np.linalg.norm(to_camera, axis=1)
    lit = _smooth(np.abs(cosine), scan.faces, len(scan.vertices))
    colours = _SKIN_SRGB if scan.colours_srgb is None else scan.colours_srgb
    shown = colours * np.clip(0.25 + 0.75 * lit, 0.0, 1.0)[:, None] if scan.colours_srgb is None else colours
    image = rasterizer.interpolate(torch.from_numpy(shown).float()[None], fragments, faces)[0].numpy()
    background = fragments.face_index[0].numpy() < 0
    image[background] = 0.45
    return _View(np.rint(255.0 * image.clip(0.0, 1.0)).astype(np.uint8), fragments, cosine)


def _smooth(of_faces: Float[np.ndarray, " face"], faces: Int[np.ndarray, "face 3"], count: int) -> np.ndarray:
    flat = faces.ravel()
    total = np.bincount(flat, np.repeat(of_faces, 3), count)
    return total / np.maximum(np.bincount(flat, minlength=count), 1)


def _on_surface(
    scan: Scan, view: _View, points_px: Float[np.ndarray, "68 2"]
) -> list[tuple[int, Float[np.ndarray, "3"]]]:
    """What of the scan is seen at the points, where it is not seen too much from the side."""
    index, weights = view.fragments.face_index[0].numpy(), view.fragments.barycentric[0].detach().numpy()
    height, width = index.shape
    found = []
    for number, (x, y) in enumerate(points_px):
        row, column = int(y), int(x)
        if not (0 <= row < height and 0 <= column < width) or index[row, column] < 0:
            continue
        face = index[row, column]
        if abs(view.cosine[face]) > _SEEN_COSINE:
            found.append((number, weights[row, column].astype(float) @ scan.vertices[scan.faces[face]]))
    return found
