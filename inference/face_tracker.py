"""Following faces through the frames of a video: by their last landmarks, and found anew only where they are lost.

Each frame costs one look of the network at each face, in the window that the frames before lead to expect. Every eighth
frame it looks at the mirror image as well, which tells whether there still is a face. A detector is asked about the
window twice a second, and at once where the looks disagree; it searches the whole picture where a face was lost, and
every two seconds for those who have come. About once a second a face is looked at as carefully as that of a photograph:
who it is follows from these looks (`CarefulLook`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, UInt8

from data.alignment import CropWindow, crop_image, window_from_landmarks
from data.detection import SAME_FACE, Detection, intersections_over_unions
from data.detector import LARGEST_ROLL_DEGREES, FaceDetector
from data.video_file import VideoFrame
from inference.camera import PhotographCamera
from inference.checked import CheckedFaces
from inference.confidence import DOUBTFUL_BELOW, Signals, confidence
from inference.faces import FaceAnswer, FaceRequest
from inference.frame_look import FrameLook, FrameLooks
from model.geometry.rotation import euler_from_rotation
from model.parameters import FaceParameters

SAME_PERSON_DISTANCE = 0.62
"""Distance of identity coefficients below which a face that is found again is who was lost. Of 113 photographs of LFW,
half of the pairs of one person are nearer to one another, and 4 % of the pairs of two; means of several are surer.
"""

_CHECK_S, _NEWCOMERS_S, _MISSING_S = 0.5, 2.0, 0.3
"""How often a followed face is looked for in its window; the whole picture where nobody is missing, and, at the latest,
where somebody is."""
_FIRST_GAP_S = 1.0 / 30.0
_REMEMBERED_S = 1.0
"""So long a lost face is taken for one that is found in its place, whatever it looks like."""
_MIRROR_EVERY, _SURE = 8, 0.8
"""A face is looked at in the mirror every so many frames, and in each frame where its confidence is lower."""
_JUMP_PERCENT = 20.0
"""Shift of a window from one frame to the next that no head makes without being looked for again."""
_CAREFUL_S, _CAREFUL_LOOKS = 1.0, 12.0
"""Time between two careful looks, or, of people who have been seen for longer, a part of that time."""
_REGION_OVER_WINDOW, _REGION_PX = 1.6, 192
_KEPT_SPEED = 0.6
_TURN_BACK_DEGREES = 25.0


@dataclass(frozen=True)
class Sighting:
    """A face in a frame.

    Attributes:
        track: Number of the person, from 0 in the order in which they were first seen.
        parameters: What the network says, batch axis 1, in the camera of the whole frame.
        landmarks68_px: IBUG's points in the frame.
        confidence: Probability that they are right, as of a photograph's face.
    """

    track: int
    parameters: FaceParameters
    landmarks68_px: Float[np.ndarray, "68 2"]
    confidence: float


@dataclass(frozen=True)
class CarefulLook:
    """What the network says of a face when it takes its time: two windows, their mirror images, the mean of all.

    Attributes:
        track: Number of the person.
        frame: Number of the frame.
        parameters: Batch axis 1, in the camera of the whole frame.
        confidence: Probability that the landmarks are right.
    """

    track: int
    frame: int
    parameters: FaceParameters
    confidence: float


@dataclass(frozen=True)
class FrameFaces:
    """The faces of one frame.

    Attributes:
        sightings: One for each face, in the order of the people's numbers.
        careful: Of those who were looked at carefully.
    """

    sightings: tuple[Sighting, ...]
    careful: tuple[CarefulLook, ...]


@dataclass
class FollowedFace:
    """What is known of a person so far; all of it is numbers, so that it can be kept in a file.

    Attributes:
        track: Number of the person.
        landmarks_px: In the frame in which the face was last seen.
        shift_px: How far it moves from frame to frame.
        roll_degrees: How far the frame is turned for the network.
        seen_s: When the face was last seen.
        checked_s: When a detector last saw it.
        points_percent: What the detector's points said then, see `Signals`.
        score: The detector's.
        identity: Mean of the identity coefficients of the careful looks.
        identity_weight: Looks that the mean is made of.
        first_s: When the face was first seen.
        careful_s: When it was last looked at carefully.
        confidence: As of the last look that was compared with its mirror image.
        unmirrored: Frames since then.
        lost: Whether it is followed no more.
    """

    track: int
    landmarks_px: Float[np.ndarray, "68 2"]
    shift_px: Float[np.ndarray, "2"]
    roll_degrees: float
    seen_s: float
    checked_s: float
    points_percent: float
    score: float
    identity: Float[np.ndarray, " identity"]
    first_s: float
    identity_weight: float = 0.0
    careful_s: float = -np.inf
    confidence: float = 1.0
    unmirrored: int = 0
    lost: bool = False

    @property
    def box_px(self) -> Float[np.ndarray, "4"]:
        """The box of the landmarks."""
        return _box(self.landmarks_px)


@dataclass
class TrackerState:
    """All that a tracker remembers from one frame to the next.

    Attributes:
        faces: The people seen so far.
        searched_s: When the whole picture was last searched.
        gap_s: How long the next search waits while somebody is missing.
    """

    faces: list[FollowedFace] = field(default_factory=list)
    searched_s: float = -np.inf
    gap_s: float = 0.0


class FaceTracker:
    """Follows the faces of one video.

    Attributes:
        state: What it remembers; another tracker that is given it goes on in the same way.
    """

    def __init__(
        self,
        looks: FrameLooks,
        checked: CheckedFaces,
        detector: FaceDetector,
        camera: PhotographCamera,
        *,
        largest_face: bool = False,
        state: TrackerState | None = None,
    ) -> None:
        """Take the parts.

        Args:
            looks: The network's quick looks.
            checked: Its careful ones.
            detector: Finds faces.
            camera: Of all frames.
            largest_face: Follow one face only, the largest where the video begins.
            state: Where to go on.
        """
        self._looks = looks
        self._checked = checked
        self._detector = detector
        self._camera = camera
        self._largest_face = largest_face
        self.state = state or TrackerState()

    def step(self, frame: VideoFrame) -> FrameFaces:
        """The faces of the next frame."""
        self._careful: list[CarefulLook] = []
        sightings = self._without_doubles(self._follow(frame))
        if self._search_is_due(frame.time_s):
            sightings += self._search(frame)
        kept = {sighting.track for sighting in sightings}
        careful = tuple(look for look in self._careful if look.track in kept)
        return FrameFaces(tuple(sorted(sightings, key=lambda sighting: sighting.track)), careful)

    @property
    def _followed(self) -> list[FollowedFace]:
        return [face for face in self.state.faces if not face.lost]

    def _follow(self, frame: VideoFrame) -> list[Sighting]:
        """Look at each face where it is expected."""
        sightings = []
        for face in self._followed:
            mirrored = face.unmirrored + 1 >= _MIRROR_EVERY or face.confidence < _SURE
            look = self._looks.look(self._request(face, frame.image_srgb), mirrored=mirrored)
            face.unmirrored += 1
            if look.spread_percent is not None:
                signals = Signals(look.spread_percent, face.points_percent, look.shift_percent, face.score)
                face.confidence, face.unmirrored = confidence(signals), 0
            # An answer that lies elsewhere than where the face was expected may be about the face beside it.
            sure = face.confidence >= DOUBTFUL_BELOW and look.shift_percent < _JUMP_PERCENT
            if sure and frame.time_s - face.checked_s < _CHECK_S:
                sightings.append(self._seen(face, look, frame))
                continue
            found = self._look_near(face, frame)
            if found is None:
                self._lose(face)
            elif not sure or self._careful_is_due(face, frame.time_s):
                sightings += self._again(face, found, frame)
            else:
                face.checked_s, face.score = frame.time_s, found.score
                sightings.append(self._seen(face, look, frame))
        return sightings

    def _careful_is_due(self, face: FollowedFace, now_s: float) -> bool:
        return now_s - face.careful_s >= max(_CAREFUL_S, (now_s - face.first_s) / _CAREFUL_LOOKS)

    def _lose(self, face: FollowedFace) -> None:
        face.lost = True
        self.state.gap_s = 0.0

    def _again(self, face: FollowedFace, found: Detection, frame: VideoFrame) -> list[Sighting]:
        """A face that a detector sees, looked at carefully: seen, or lost."""
        answer = self._answers([found], frame)[0]
        if answer.confidence < DOUBTFUL_BELOW:
            self._lose(face)
            return []
        return [self._found(face, answer, frame)]

    def _request(self, face: FollowedFace, image_srgb: UInt8[np.ndarray, "height width 3"]) -> FaceRequest:
        """The window where a face is expected, turned as the face is."""
        return FaceRequest.about(image_srgb, face.landmarks_px + face.shift_px, self._camera, face.roll_degrees)

    def _seen(self, face: FollowedFace, look: FrameLook, frame: VideoFrame) -> Sighting:
        """Note where a face is now."""
        moved = (look.landmarks68_px - face.landmarks_px).mean(axis=0)
        face.shift_px = _KEPT_SPEED * face.shift_px + (1.0 - _KEPT_SPEED) * moved
        return self._note(face, look, frame)

    def _found(self, face: FollowedFace, answer: FaceAnswer, frame: VideoFrame) -> Sighting:
        """Note where a detector has found a face, and who it is."""
        careful = answer.reconstruction.parameters
        self._careful.append(CarefulLook(face.track, frame.index, careful, answer.confidence))
        weight = face.identity_weight
        face.identity = (weight * face.identity + _identity(answer)) / (weight + 1.0)
        face.identity_weight, face.careful_s = weight + 1.0, frame.time_s
        if face.lost or not weight:
            face.shift_px = np.zeros(2)
        face.lost, face.checked_s, face.confidence, face.unmirrored = False, frame.time_s, answer.confidence, 0
        if answer.signals is not None:
            face.points_percent, face.score = answer.signals.points_percent, answer.signals.score
        # The frame's own answer is made as those of the frames around it: another way of looking would be a jump.
        face.landmarks_px = _landmarks_px(answer) - face.shift_px
        return self._note(face, self._looks.look(self._request(face, frame.image_srgb), mirrored=False), frame)

    def _note(self, face: FollowedFace, look: FrameLook, frame: VideoFrame) -> Sighting:
        face.landmarks_px, face.seen_s = look.landmarks68_px, frame.time_s
        roll = float(np.degrees(euler_from_rotation(look.parameters.rotation[0])[2].item()))
        # Not back at once: the answers on both sides of the limit differ a little.
        limit = _TURN_BACK_DEGREES if face.roll_degrees else LARGEST_ROLL_DEGREES
        face.roll_degrees = roll if abs(roll) > limit else 0.0
        return Sighting(face.track, look.parameters, look.landmarks68_px, face.confidence)

    def _look_near(self, face: FollowedFace, frame: VideoFrame) -> Detection | None:
        """What a detector sees of a face about the place where it is expected."""
        expected_px = face.landmarks_px + face.shift_px
        region = window_from_landmarks(expected_px).enlarged(_REGION_OVER_WINDOW)
        cut = crop_image(frame.image_srgb, region, _REGION_PX)
        near = [_in_frame(found, region) for found in self._detector.detect(cut)]
        middle = 0.5 * (expected_px.min(axis=0) + expected_px.max(axis=0))
        off = [(float(np.hypot(*(found.center_px - middle))), number) for number, found in enumerate(near)]
        distance, number = min(off, default=(np.inf, -1))
        return near[number] if distance < 0.25 * region.side_px else None

    def _without_doubles(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Two people who have come to be followed on one face: who has moved less was there before."""
        kept: list[Sighting] = []
        by_number = {face.track: face for face in self.state.faces}

        def speed(sighting: Sighting) -> float:
            return float(np.hypot(*by_number[sighting.track].shift_px))

        for sighting in sorted(sightings, key=lambda one: (speed(one), one.track)):
            boxes = np.array([_box(other.landmarks68_px) for other in kept]).reshape(-1, 4)
            if (intersections_over_unions(boxes, _box(sighting.landmarks68_px)) > SAME_FACE).any():
                self._lose(by_number[sighting.track])
            else:
                kept.append(sighting)
        return kept

    def _search_is_due(self, now_s: float) -> bool:
        followed, state = self._followed, self.state
        if self._largest_face and followed:
            return False
        missing = not followed or any(face.lost and now_s - face.seen_s < 5.0 for face in state.faces)
        return now_s - state.searched_s >= (min(state.gap_s, _NEWCOMERS_S) if missing else _NEWCOMERS_S)

    def _search(self, frame: VideoFrame) -> list[Sighting]:
        """Look for faces all over the picture."""
        state = self.state
        state.searched_s = frame.time_s
        # Twice as long each time: a scene without anybody would else be searched all the time.
        state.gap_s = min(max(_FIRST_GAP_S, 2.0 * state.gap_s), _MISSING_S)
        found = self._detector.detect(frame.image_srgb, largest_face=self._largest_face)
        boxes = np.array([face.box_px for face in self._followed]).reshape(-1, 4)
        new = [one for one in found if not (_share_inside(boxes, one) > SAME_FACE).any()]
        sightings = []
        for answer in self._answers(new, frame):
            taken = np.array([face.box_px for face in self._followed]).reshape(-1, 4)
            same = (intersections_over_unions(taken, _box(_landmarks_px(answer))) > SAME_FACE).any()
            if answer.confidence >= DOUBTFUL_BELOW and not same:
                sightings.append(self._found(self._person(answer, frame), answer, frame))
        if sightings:
            state.gap_s = 0.0
        return sightings

    def _answers(self, found: Sequence[Detection], frame: VideoFrame) -> list[FaceAnswer]:
        requests = [FaceRequest.of_detection(frame.image_srgb, one, self._camera) for one in found]
        return self._checked.answers(requests, fine=False)

    def _person(self, answer: FaceAnswer, frame: VideoFrame) -> FollowedFace:
        """Who a found face is: somebody who was lost, or somebody new."""
        landmarks_px, identity = _landmarks_px(answer), _identity(answer)
        lost = [face for face in self.state.faces if face.lost]
        here = [
            face
            for face in lost
            if frame.time_s - face.seen_s < _REMEMBERED_S
            and intersections_over_unions(face.box_px[None], _box(landmarks_px))[0] > SAME_FACE
        ]
        alike = [(float(np.linalg.norm(face.identity - identity)), face.track) for face in here or lost]
        distance, number = min(alike, default=(np.inf, -1))
        if here or distance < SAME_PERSON_DISTANCE:
            return next(face for face in lost if face.track == number)
        now_s, nothing = frame.time_s, np.zeros_like(identity)
        new = FollowedFace(
            len(self.state.faces), landmarks_px, np.zeros(2), 0.0, now_s, now_s, np.nan, np.nan, nothing, now_s
        )
        self.state.faces.append(new)
        return new


def _landmarks_px(answer: FaceAnswer) -> Float[np.ndarray, "68 2"]:
    return answer.reconstruction.landmarks68_image[0, :, :2].double().numpy()


def _identity(answer: FaceAnswer) -> Float[np.ndarray, " identity"]:
    return answer.reconstruction.parameters.identity[0].double().numpy()


def _box(landmarks_px: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "4"]:
    return np.concatenate((landmarks_px.min(axis=0), landmarks_px.max(axis=0)))


def _share_inside(boxes_px: Float[np.ndarray, "box 4"], found: Detection) -> Float[np.ndarray, " box"]:
    """Share of a detection's box that lies in each box; a detector's box and that of landmarks differ much in size."""
    low, high = np.maximum(boxes_px[:, :2], found.box_px[:2]), np.minimum(boxes_px[:, 2:], found.box_px[2:])
    return (high - low).clip(min=0.0).prod(axis=1) / max(found.area_px, 1e-9)


def _in_frame(found: Detection, region: CropWindow) -> Detection:
    """A detection in a region's crop, told in the frame's px."""
    scale, corner = region.side_px / _REGION_PX, np.array([region.left_px, region.top_px])
    box = (found.box_px.reshape(2, 2) * scale + corner).ravel()
    points = found.points_px * scale + corner
    return replace(found, box_px=box.astype(np.float32), points_px=points.astype(np.float32))
