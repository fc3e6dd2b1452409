"""A video in, one moving head for each person out: what `infer.py --video` does for one file, apart from the files."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.mesh_options import PoseKind, RigKind, Units
from common.tensor_groups import map_tensors, merge_tensors
from data.detection import Detection
from data.detector import FaceDetector
from data.image_io import DecodedPhotograph
from data.video_file import UnreadableVideoError, VideoFile, VideoFrame
from inference.camera import Cameras, PhotographCamera
from inference.checked import CheckedFaces
from inference.face_motion import SmoothingConfig, clip_identity, of_one_person, smooth_motion
from inference.face_tracker import CarefulLook, FaceTracker, FrameFaces, Sighting
from inference.faces import FaceReconstructor, FaceRequest
from inference.frame_look import FrameLooks
from inference.head import Head
from inference.inputs import InputImage
from inference.jobs import FaceJob
from inference.options import DEFAULT_FORMATS, Format
from inference.video_record import FRAMES_IN_A_FILE, SeenFrames, VideoRecord
from model.export.face_files import FaceFiles
from model.export.track_arrays import write_track_arrays
from model.export.track_csv import write_track_csv
from model.geometry.rotation import euler_from_rotation
from model.look.face_track import FaceTrack
from model.parameters import FaceParameters
from model.reconstructor import Reconstructor

_FRAMES_AHEAD = 4
_LEAST_SEEN_S = 0.2
"""Who is seen for a shorter time is no person of the film: a face in the crowd for a moment, or none."""
_EYES_SHUT = ("eyeBlinkLeft", "eyeBlinkRight")


class Filming(Protocol):
    """What a video needs of `Likeness`, which is built on this module.

    Attributes:
        detector: Finds faces.
        faces: The network's looks at faces.
        device: Where it computes.
        checked: Its careful looks.
    """

    detector: FaceDetector
    faces: FaceReconstructor
    device: torch.device
    checked: CheckedFaces

    def head_of(self, job: FaceJob, *, files: FaceFiles | None = None) -> Head:
        """The head of a face that was reconstructed; `files` writes it."""
        ...


@dataclass(frozen=True)
class FilmedHead:
    """A person of a video.

    Attributes:
        head: As the best frame shows the person, with the identity of the whole clip.
        track: How the head moves.
        landmarks68_px: IBUG's points in each frame of the track.
        smoothing: How the track was smoothed.
        best_frame: Number of the frame that the head's textures come from.
    """

    head: Head
    track: FaceTrack
    landmarks68_px: Float[np.ndarray, "frame 68 2"]
    smoothing: SmoothingConfig
    best_frame: int

    def save(
        self,
        folder: str | Path,
        formats: Sequence[Format] = DEFAULT_FORMATS,
        *,
        units: Units = "mm",
        rig: RigKind = "shapes",
        pose: PoseKind = "front",
    ) -> None:
        """Write the head's files, its GLB with the animation, and the track as `track.csv` and `track.npz`.

        Args:
            folder: Where to; made if missing.
            formats: Kinds of the head's files, as of `Head.save`; the track is written in any case.
            units: As of `Head.save`.
            rig: As of `Head.save`.
            pose: As of `Head.save`; with `front` the head is upright in its best frame.
        """
        folder = Path(folder)
        self.head.save(folder, formats, units=units, rig=rig, pose=pose, track=self.track)
        write_track_csv(self.track, folder / "track.csv")
        write_track_arrays(
            self.track, folder / "track.npz", self.landmarks68_px, self.head.camera.intrinsics_px.astype(np.float32)
        )

    def vertices_camera_mm(self, row: int) -> Float[np.ndarray, "vertex 3"]:
        """The head's vertices, as shown, in one frame of the track, in camera space."""
        return posed_camera_mm(self.head, self.track, row)


def posed_camera_mm(head: Head, track: FaceTrack, row: int) -> Float[np.ndarray, "vertex 3"]:
    """A head's vertices in camera space with the expression and the pose of a track's frame."""
    posed_mm = head.look.shape.posed_mm(track.weights_of(head.result.expression_names)[row])
    return (posed_mm @ track.rotation[row].T + track.translation_mm[row]).astype(np.float32)


def reconstruct_video(
    likeness: Filming,
    path: Path,
    *,
    cameras: Cameras | None = None,
    largest_face: bool = False,
    record: VideoRecord | None = None,
    files: FaceFiles | None = None,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[FilmedHead], VideoFile, str]:
    """Follow the people of a video and make a head of each.

    Args:
        likeness: Detector and network.
        path: The file.
        cameras: What is known of its camera.
        largest_face: Only one person.
        record: Where the frames' answers are kept, and found again.
        files: What writes the heads; by default the one of `likeness`.
        tell: Called with the number of the frames done and of all.

    Returns:
        The people, who is seen longest first; the file; and what is to be said of it.

    Raises:
        UnreadableVideoError: If the file gives no frame.
        CameraError: If the camera cannot be this video's.
    """
    video = VideoFile(path)
    first = next(video.frames(), None)
    if first is None:
        raise UnreadableVideoError(f"{path}: a video without frames; it may be cut off, copy it again")
    camera = (cameras or Cameras()).of(DecodedPhotograph(first.image_srgb), path)
    seen = follow(likeness, video, camera, largest_face=largest_face, record=record, tell=tell)
    people, left_out = _people(seen)
    notes = [seen.note or video.note]
    if left_out:
        notes.append(
            f"{left_out} {'face' if left_out == 1 else 'faces'} seen for less than {_LEAST_SEEN_S:g} s left out"
        )
    return _heads(likeness, video, camera, people, seen, files), video, "; ".join(filter(None, notes))


def follow(
    likeness: Filming,
    video: VideoFile,
    camera: PhotographCamera,
    *,
    largest_face: bool = False,
    record: VideoRecord | None = None,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> SeenFrames:
    """The faces of all frames; arguments as of `reconstruct_video`."""
    seen = SeenFrames() if record is None else record.read()
    if seen.whole:
        return seen
    looks = FrameLooks(likeness.faces, likeness.device)
    tracker = FaceTracker(
        looks, likeness.checked, likeness.detector, camera, largest_face=largest_face, state=seen.state
    )
    written = start = len(seen.time_s)
    worths: dict[int, float] = {}
    for frame in _read_ahead(video, start):
        seen.time_s.append(frame.time_s)
        seen.faces.append(tracker.step(frame))
        for look in seen.faces[-1].careful:
            if (worth := _worth(look, likeness.faces.reconstructor)) > worths.get(look.track, -np.inf):
                worths[look.track], seen.best[look.track] = worth, frame
        done = len(seen.time_s)
        if record is not None and done - written == FRAMES_IN_A_FILE:
            record.write(seen, written)
            written = done
        tell(done, video.facts.frame_count)
    seen.whole, seen.note = True, video.note
    if record is not None:
        record.write(seen, written)
    return seen


def _read_ahead(video: VideoFile, start: int) -> Iterator[VideoFrame]:
    """The frames, decoded in a thread of their own: FFmpeg works while the network does."""
    waiting: queue.Queue[VideoFrame | BaseException | None] = queue.Queue(_FRAMES_AHEAD)
    stopped = threading.Event()

    def put(item: VideoFrame | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        end: BaseException | None = None
        try:
            for frame in video.frames(start):
                if not put(frame):
                    return
        except BaseException as error:  # It is raised where the frames are wanted.
            end = error
        put(end)

    thread = threading.Thread(target=read, name="decoder", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


@dataclass(frozen=True)
class _Person:
    """Who was followed, with all that was seen."""

    frames: list[int]
    sightings: list[Sighting]
    careful: list[CarefulLook]


def _people(seen: SeenFrames) -> tuple[list[_Person], int]:
    """Those who are seen for long enough, the longest first, and how many are not."""
    people: dict[int, _Person] = {}
    for number, faces in enumerate(seen.faces):
        _sort_in(people, number, faces)
    span_s = seen.time_s[-1] if seen.time_s else 0.0
    step_s = span_s / max(len(seen.time_s) - 1, 1)
    least = min(_LEAST_SEEN_S, 0.5 * span_s)
    kept = [person for person in people.values() if len(person.frames) * step_s >= least]
    return sorted(kept, key=lambda person: -len(person.frames)), len(people) - len(kept)


def _sort_in(people: dict[int, _Person], number: int, faces: FrameFaces) -> None:
    for sighting in faces.sightings:
        person = people.setdefault(sighting.track, _Person([], [], []))
        person.frames.append(number)
        person.sightings.append(sighting)
    for look in faces.careful:
        people[look.track].careful.append(look)


def _heads(
    likeness: Filming,
    video: VideoFile,
    camera: PhotographCamera,
    people: list[_Person],
    seen: SeenFrames,
    files: FaceFiles | None,
) -> list[FilmedHead]:
    """A moving head of each person; the frames that show them best are decoded again."""
    reconstructor, smoothing = likeness.faces.reconstructor, SmoothingConfig()
    best = [_best_look(person, reconstructor) for person in people]
    pictures = {frame.index: frame.image_srgb for frame in seen.best.values()}
    # Those of a run that was resumed were seen by another process.
    missing = {look.frame for look in best} - pictures.keys()
    for frame in video.frames(min(missing)) if missing else ():
        if frame.index in missing:
            pictures[frame.index] = frame.image_srgb
        if frame.index >= max(missing):
            break
    heads = []
    for number, person in enumerate(people):
        look = best[number]
        identity, albedo = clip_identity(
            [one.parameters for one in person.careful], [c.confidence for c in person.careful]
        )
        answers = merge_tensors([one.parameters for one in person.sightings], torch.cat)
        times_s = np.array([seen.time_s[frame] for frame in person.frames])
        told = of_one_person(answers, identity, albedo, reconstructor.morphable_model)
        moving = smooth_motion(told, times_s, smoothing)
        track = _track(moving, person, times_s, video, reconstructor)
        row = person.frames.index(look.frame)
        landmarks_px = _landmarks_px(moving, camera, reconstructor)
        job = _job(likeness, video, camera, pictures[look.frame], number, moving, row, landmarks_px[row], look)
        head = likeness.head_of(job, files=files)
        heads.append(FilmedHead(head, track, landmarks_px, smoothing, look.frame))
    return heads


def _best_look(person: _Person, reconstructor: Reconstructor) -> CarefulLook:
    """The careful look whose frame shows the person best."""
    return max(person.careful, key=lambda look: _worth(look, reconstructor))


def _worth(look: CarefulLook, reconstructor: Reconstructor) -> float:
    """How well a frame shows a person: surely, from the front, with open eyes."""
    names = reconstructor.morphable_model.expression_names
    eyes = [names.index(name) for name in _EYES_SHUT if name in names]
    yaw = float(euler_from_rotation(look.parameters.rotation[0])[0])
    shut = float(look.parameters.expression[0, eyes].max()) if eyes else 0.0
    return look.confidence * float(np.cos(yaw)) * (1.0 - 0.5 * shut)


def _track(
    moving: FaceParameters,
    person: _Person,
    times_s: Float[np.ndarray, " frame"],
    video: VideoFile,
    reconstructor: Reconstructor,
) -> FaceTrack:
    return FaceTrack(
        frame=np.array(person.frames),
        time_s=times_s,
        frames_per_second=video.facts.frames_per_second,
        expression_names=reconstructor.morphable_model.expression_names,
        expression=moving.expression.numpy(),
        rotation=moving.rotation.numpy(),
        translation_mm=moving.translation_mm.numpy(),
        confidence=np.array([sighting.confidence for sighting in person.sightings]),
    )


@torch.inference_mode()
def _landmarks_px(
    moving: FaceParameters, camera: PhotographCamera, reconstructor: Reconstructor
) -> Float[np.ndarray, "frame 68 2"]:
    device = reconstructor.morphable_model.mean_mm.device
    here = map_tensors(moving, lambda values: values.to(device))
    intrinsics_px = camera.intrinsics_px.to(device).expand(len(moving.identity), 3, 3)
    return reconstructor.landmarks_image(here, intrinsics_px)[..., :2].cpu().numpy()


@torch.inference_mode()
def _job(
    likeness: Filming,
    video: VideoFile,
    camera: PhotographCamera,
    picture_srgb: UInt8[np.ndarray, "height width 3"],
    number: int,
    moving: FaceParameters,
    row: int,
    landmarks_px: Float[np.ndarray, "68 2"],
    look: CarefulLook,
) -> FaceJob:
    """The person in the frame that shows the face best, with the fine shape that this frame shows."""
    item = InputImage(video.path, video.path.name)
    own = FaceParameters(*(getattr(moving, name)[row : row + 1] for name in FaceParameters.__dataclass_fields__))
    own = replace(own, lighting=look.parameters.lighting)
    low, high = landmarks_px.min(axis=0), landmarks_px.max(axis=0)
    eyes = [landmarks_px[part].mean(axis=0) for part in (slice(36, 42), slice(42, 48))]
    points = np.array([*eyes, landmarks_px[30], landmarks_px[48], landmarks_px[54]], np.float32)
    detection = Detection(np.concatenate((low, high)).astype(np.float32), points, look.confidence)
    request = FaceRequest.about(picture_srgb, landmarks_px, camera)
    reconstruction = FrameLooks(likeness.faces, likeness.device).with_detail(request, own)
    return FaceJob(item, number, picture_srgb, detection, request, reconstruction, look.confidence)
