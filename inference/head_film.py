"""Films and animated files of a head that infer.py has made: with somebody's motion, or under a light that turns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.atomic import atomic_path
from model.export.film import open_film
from model.export.glb_buffer import GlbBuffer, glb_bytes
from model.export.glb_motion import add_motion
from model.export.glb_reader import GlbHead
from model.export.picture_files import write_png
from model.export.track_arrays import read_track_arrays
from model.export.track_csv import TrackFileError, read_track_csv
from model.geometry.rotation import rotation_from_euler
from model.look.face_track import FaceTrack
from model.pictures.distant_light import DistantLight
from model.pictures.part_view import PartView

_CENTRE_MM = np.array([0.0, -45.0, -55.0], np.float32)
_DISTANCE_MM, _VIEW_MM = 1200.0, 330.0
_TURN_S, _TURN_RATE = 4.0, 15.0
"""What one turn of the light takes, and pictures a second."""


def read_track(path: Path, frames_per_second: float | None = None) -> FaceTrack:
    """A track: a CSV of Live Link Face, a `track.npz`, or the folder of a person of a video, or of the video itself.

    Args:
        path: The file or folder; of a video's folder the person who is seen longest.
        frames_per_second: Of a CSV's time codes, where the file leaves it open.

    Raises:
        TrackFileError: If there is none.
    """
    if path.is_dir():
        for place in (path / "track.npz", path / "face0" / "track.npz"):
            if place.is_file():
                return read_track_arrays(place)
        raise TrackFileError(f"{path}: holds no track.npz; name a folder that `infer.py --video` wrote, or a CSV")
    if path.suffix.lower() == ".npz":
        return read_track_arrays(path)
    return read_track_csv(path, frames_per_second)


def write_animated_glb(head: GlbHead, track: FaceTrack, path: Path) -> None:
    """Write a head's GLB with a motion: the head stands where it stood and turns as the other one does.

    Args:
        head: The head; its document is changed.
        track: The motion, of anybody.
        path: The file.
    """
    # The document tells motions from the photograph's pose on.
    middle_mm = track.translation_mm.mean(axis=0)
    own = replace(
        track,
        rotation=(head.rotation @ track.rotation).astype(np.float32),
        translation_mm=(head.translation_mm + (track.translation_mm - middle_mm) @ head.rotation.T).astype(np.float32),
    )
    document = head.document
    document.animations.clear()
    buffer = GlbBuffer(document, document.binary_blob() or b"")
    add_motion(document, buffer, own)
    document.buffers[0].byteLength = len(buffer.data)
    document.set_binary_blob(buffer.data)
    with atomic_path(path) as temporary:
        temporary.write_bytes(glb_bytes(document))


def write_animated_film(
    head: GlbHead, track: FaceTrack, path: Path, size_px: int, light: DistantLight, tell: bool = False
) -> None:
    """Write a film of a head that moves as a track says, before a camera of its own.

    Args:
        head: The head.
        track: The motion.
        path: The film.
        size_px: Side of the square picture.
        light: What lights it.
        tell: Whether to print how far it is.
    """
    view, weights = PartView(head.parts), track.weights_of(head.expression_names)
    rate = min(track.frames_per_second, 60.0)
    last_s = -math.inf
    with open_film(path, (size_px, size_px), rate) as film:
        for row, time_s in enumerate(track.time_s):
            # No screen shows more.
            if time_s - last_s < 0.9 / rate:
                continue
            last_s = float(time_s)
            film.write(_picture(view, weights[row], track.rotation[row], size_px, light), last_s)
            if tell and row % 50 == 49:
                print(f"{path}: {row + 1} of {len(track)} frames", flush=True)


def write_relit(head: GlbHead, light: DistantLight, folder: Path, size_px: int, yaws_degrees: Sequence[float]) -> None:
    """Write pictures `relit<k>.png` of a head under a light, turned to some sides.

    Args:
        head: The head, with the photograph's expression.
        light: What lights it; it stays while the head turns.
        folder: An existing folder.
        size_px: Side of the pictures.
        yaws_degrees: Towards the subject's left.
    """
    view = PartView(head.parts)
    for number, yaw in enumerate(yaws_degrees):
        picture = _picture(view, head.expression, _turned(yaw), size_px, light)
        with atomic_path(folder / f"relit{number}.png") as temporary:
            write_png(picture, temporary)


def write_turning_light(head: GlbHead, light: DistantLight, path: Path, size_px: int) -> None:
    """Write a film of a head under a light that goes once round it."""
    view = PartView(head.parts)
    with open_film(path, (size_px, size_px), _TURN_RATE) as film:
        for time_s, turned in _turning(light):
            film.write(_picture(view, head.expression, _turned(-15.0), size_px, turned), time_s)


def _turning(light: DistantLight) -> Iterator[tuple[float, DistantLight]]:
    count = round(_TURN_S * _TURN_RATE)
    for number in range(count):
        yield number / _TURN_RATE, light.turned(360.0 * number / count)


def _turned(yaw_degrees: float) -> Float[np.ndarray, "3 3"]:
    return rotation_from_euler(torch.tensor([math.radians(yaw_degrees), 0.0, 0.0])).numpy()


def _picture(
    view: PartView,
    weights: Float[np.ndarray, " expression"],
    rotation: Float[np.ndarray, "3 3"],
    size_px: int,
    light: DistantLight,
) -> UInt8[np.ndarray, "size size 3"]:
    """The head before a camera at 1.2 m, turned about its middle."""
    focal_px, middle_px = size_px * _DISTANCE_MM / _VIEW_MM, 0.5 * size_px
    camera = np.array([[focal_px, 0.0, middle_px], [0.0, focal_px, middle_px], [0.0, 0.0, 1.0]], np.float32)
    translation_mm = (-rotation @ _CENTRE_MM - np.array([0.0, 0.0, _DISTANCE_MM])).astype(np.float32)
    return view.draw(weights, rotation.astype(np.float32), translation_mm, camera, size_px, light)
