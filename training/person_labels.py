"""Labels of a person's parts, made from what is at hand: a matte, the fitted head and colour.

Nobody drew these labels. The matte says what is person, the head model projected into the photograph says where face,
ears and neck lie, and the colours of what is surely skin and surely hair decide the rest. Where the three leave doubt,
the pixel is not labelled.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from model.face.morphable_model import MorphableModel
from model.face.regions import any_region
from model.person.classes import BACKGROUND, HAIR, OTHER, SKIN, UNKNOWN
from model.person.guided import guided_filter
from model.render.backends import build_rasterizer

_NOTHING, _FACE, _FEATURE, _EAR, _SKULL, _NECK = range(6)
"""What the projected head shows at a pixel; features are eyes, lips and what lies behind them."""
_PRIOR = {
    # Log-probabilities of (skin, hair, other) by what the head shows, above the brows and below them.
    _NOTHING: ((-4.0, 0.0, -3.0), (-2.5, -0.5, -0.7)),
    _FACE: ((-0.3, -1.0, -5.0), (0.0, -4.0, -4.5)),
    _FEATURE: ((0.0, -8.0, -8.0), (0.0, -8.0, -8.0)),
    _EAR: ((-1.0, -0.5, -4.0), (-0.7, -0.7, -3.5)),
    _SKULL: ((-3.0, 0.0, -4.0), (-2.0, -0.2, -3.0)),
    _NECK: ((-0.5, -2.5, -3.0), (-0.4, -2.5, -1.5)),
}
_FEWEST_PIXELS = 40
_SURE = 0.62
"""Below this posterior a pixel is not labelled."""


@dataclass(frozen=True)
class ProjectedHead:
    """A fitted head in a photograph.

    Attributes:
        vertices_image: x and y in px, depth in mm.
        landmarks68_px: iBUG's points.
    """

    vertices_image: Float[np.ndarray, "vertex 3"]
    landmarks68_px: Float[np.ndarray, "68 2"]


@dataclass(frozen=True)
class _Layout:
    """What is known of a photograph before its colours are looked at.

    Attributes:
        part: What the projected head shows at each pixel.
        above: How far a pixel lies above the line of the brows, in heights of the face; negative below.
        below: How far it lies below the chin, in the same unit.
        aside: How far it lies beside the face's middle line, in the same unit.
        face_px: Height of the face, brows to chin.
    """

    part: Int[np.ndarray, "size size"]
    above: Float[np.ndarray, "size size"]
    below: Float[np.ndarray, "size size"]
    aside: Float[np.ndarray, "size size"]
    face_px: float


def label_person(
    image_srgb: UInt8[np.ndarray, "size size 3"],
    matte: UInt8[np.ndarray, "size size"],
    head: ProjectedHead,
    model: MorphableModel,
) -> UInt8[np.ndarray, "size size"]:
    """Class of each pixel of a photograph, `UNKNOWN` where it is in doubt.

    Args:
        image_srgb: A square photograph of one person.
        matte: 255 on the person.
        head: The fitted head, in px of this photograph.
        model: Its head model.
    """
    layout = _layout(head, model, len(image_srgb))
    color = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    color = cv2.GaussianBlur(color, (0, 0), 0.7)
    person = matte > 128
    likelihood = _likelihood(color, person, layout)
    posterior = _smooth(likelihood + _prior(layout, falling=0.5), image_srgb)
    # Once more, now that it is known whether hair falls past the chin: then it goes on, and else it is clothes.
    beside = person & (np.abs(layout.below) < 0.2) & (layout.part == _NOTHING) & (layout.aside > 0.25)
    falling = float(posterior[beside, 1].mean()) if beside.sum() > _FEWEST_PIXELS else 0.0
    posterior = _smooth(likelihood + _prior(layout, falling), image_srgb)
    order = np.array([SKIN, HAIR, OTHER], np.uint8)
    label = order[posterior.argmax(-1)]
    label[posterior.max(-1) < _SURE] = UNKNOWN
    label[person & (layout.part == _FEATURE)] = SKIN
    label = _hang_together(label, layout, person)
    label = whole_face(label, head.landmarks68_px)
    label[~person] = BACKGROUND
    # The matte's edge is soft where it is in doubt, and there it is wrong most often.
    label[(matte > 64) & (matte < 192)] = UNKNOWN
    return label


def _layout(head: ProjectedHead, model: MorphableModel, size: int) -> _Layout:
    faces = model.faces.cpu()
    vertices_image = torch.from_numpy(head.vertices_image)[None]
    seen = build_rasterizer("cpu").rasterize(vertices_image, faces, size, size).face_index[0].numpy()
    kind = np.full(len(model.mirror), _SKULL)
    for value, names in (
        (_NECK, ("neck",)),
        (_FACE, ("face",)),
        (_EAR, ("ears",)),
        (_FEATURE, ("eyes", "eyelids", "lips", "mouth_inner", "teeth", "tongue", "eye_sockets")),
    ):
        kind[any_region(model, *names).cpu().numpy()] = value
    part = np.where(seen < 0, _NOTHING, kind[faces.numpy()[:, 0]][seen.clip(min=0)])
    points = head.landmarks68_px
    brow, chin = points[17:27].mean(0), points[8]
    face_px = max(float(np.linalg.norm(chin - brow)), 1.0)
    down = (chin - brow) / face_px
    y, x = np.mgrid[:size, :size] + 0.5
    along = (x - brow[0]) * down[0] + (y - brow[1]) * down[1]
    across = (x - brow[0]) * -down[1] + (y - brow[1]) * down[0]
    return _Layout(part, -along / face_px, along / face_px - 1.0, np.abs(across) / face_px, face_px)


def _likelihood(
    color: Float[np.ndarray, "size size 3"], person: Bool[np.ndarray, "size size"], layout: _Layout
) -> Float[np.ndarray, "size size 3"]:
    """Log-likelihood of each pixel's colour as skin, hair and other, up to a common number."""
    # Below the brows: a fringe lies on the forehead, not there.
    core = person & (layout.part == _FACE) & (layout.above < -0.08)
    core = cv2.erode(core.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    flat = color.reshape(-1, 3)
    skin = _Gaussian.of(color[core] if core.sum() > _FEWEST_PIXELS else flat, keep=0.6)
    skin_distance = skin.distance(flat).reshape(person.shape)
    beyond = ~np.isin(layout.part, (_FACE, _FEATURE))
    hair = _mixture(color, person & beyond & (layout.above > -0.2) & (skin_distance > 6.0), flat)
    # What is coloured as the hair is may be hair that falls down, so it does not say how clothes look.
    cloth = _mixture(color, person & (layout.below > 0.25) & (skin_distance > 6.0) & (hair < -4.0), flat)
    return np.stack((-0.5 * np.minimum(skin_distance, 30.0), hair, np.maximum(cloth, -5.0)), axis=-1)


def _prior(layout: _Layout, falling: float) -> Float[np.ndarray, "size size 3"]:
    """Log-probability of skin, hair and other by place; `falling`, in [0, 1]: how much hair there is at the chin."""
    prior = np.zeros((*layout.part.shape, 3), np.float32)
    for part, (high, low) in _PRIOR.items():
        here = layout.part == part
        prior[here & (layout.above > 0.0)] = high
        prior[here & (layout.above <= 0.0)] = low
    # Hair below the chin becomes the less likely the lower and the farther out; clothes the more.
    sunk = np.clip(layout.below, 0.0, 2.0)
    outer = np.clip(layout.aside - 0.9, 0.0, 2.0)
    prior[..., 1] -= (3.0 - 2.6 * falling) * sunk + 2.0 * outer * (layout.below > 0.0)
    prior[..., 2] += np.where(layout.below > 0.05, (1.0 - 0.7 * falling) * (sunk + 0.5), 0.0)
    return prior


@dataclass(frozen=True)
class _Gaussian:
    mean: Float[np.ndarray, "3"]
    precision: Float[np.ndarray, "3 3"]

    @classmethod
    def of(cls, colors: Float[np.ndarray, "pixel 3"], keep: float) -> "_Gaussian":
        """Of the part of the colours nearest to their median, so that what is not of the kind does not widen it."""
        middle = np.median(colors, axis=0)
        distance = (((colors - middle) / (2.0, 1.0, 1.0)) ** 2).sum(1)
        near = colors[distance <= np.quantile(distance, keep)]
        spread = np.cov(near.T) if len(near) > 3 else np.zeros((3, 3))
        # Lightness changes with light and shadow far more than the nearest part shows.
        covariance = 1.8 * spread + np.diag((12.0**2, 3.5**2, 3.5**2))
        return cls(middle.astype(np.float32), np.linalg.inv(covariance).astype(np.float32))

    def distance(self, colors: Float[np.ndarray, "pixel 3"]) -> Float[np.ndarray, " pixel"]:
        """Squared Mahalanobis distance."""
        difference = colors - self.mean
        return ((difference @ self.precision) * difference).sum(1)


def _mixture(
    color: Float[np.ndarray, "size size 3"], seeds: Bool[np.ndarray, "size size"], flat: Float[np.ndarray, "pixel 3"]
) -> Float[np.ndarray, "size size"]:
    """Log-likelihood of up to three colours that the seeds have."""
    some = color[seeds]
    if len(some) < _FEWEST_PIXELS:
        return np.full(seeds.shape, -6.0, np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    cv2.setRNGSeed(0)
    _, kind, _ = cv2.kmeans(some, 3, np.empty((0, 1), np.int32), criteria, 1, cv2.KMEANS_PP_CENTERS)
    best = np.full(len(flat), np.inf, np.float32)
    for index in range(3):
        share = some[kind[:, 0] == index]
        if len(share) > 0.08 * len(some):
            best = np.minimum(best, _Gaussian.of(share, keep=0.9).distance(flat))
    return -0.5 * np.minimum(best, 30.0).reshape(seeds.shape)


def _smooth(
    scores: Float[np.ndarray, "size size 3"], image_srgb: UInt8[np.ndarray, "size size 3"]
) -> Float[np.ndarray, "size size 3"]:
    """Posterior, smoothed along what looks alike (a guided filter; He et al., ECCV 2010), twice."""
    guide = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    for _ in range(2):
        posterior = np.exp(scores - scores.max(-1, keepdims=True))
        posterior /= posterior.sum(-1, keepdims=True)
        smooth = np.stack([guided_filter(guide, posterior[..., k], 4, 2e-3) for k in range(3)], axis=-1)
        smooth = np.clip(smooth, 1e-3, 1.0)
        scores = np.log(smooth) + 0.35 * scores
    posterior = np.exp(scores - scores.max(-1, keepdims=True))
    return posterior / posterior.sum(-1, keepdims=True)


def whole_face(
    label: UInt8[np.ndarray, "size size"], landmarks68_px: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "size size"]:
    """Brows and beards that are islands of hair within the face are skin; islands of clothes there are unknown."""
    label, inside = label.copy(), np.zeros(label.shape, np.uint8)
    hull = cv2.convexHull(landmarks68_px.astype(np.float32))[:, 0]
    cv2.fillConvexPoly(inside, np.rint(hull).astype(np.int32), 1)
    for kind, instead in ((HAIR, SKIN), (OTHER, UNKNOWN)):
        count, component = cv2.connectedComponents((label == kind).astype(np.uint8), connectivity=4)
        for index in range(1, count):
            here = component == index
            if inside[here].mean() > 0.6:
                label[here] = instead
    return label


def _hang_together(
    label: UInt8[np.ndarray, "size size"], layout: _Layout, person: Bool[np.ndarray, "size size"]
) -> UInt8[np.ndarray, "size size"]:
    """Hair is one with what grows on the skull: what is not joined to it is clothes; specks of anything are dropped."""
    hair = ((label == HAIR) & person).astype(np.uint8)
    count, component, stats, _ = cv2.connectedComponentsWithStats(hair, connectivity=4)
    for index in range(1, count):
        here = component == index
        if stats[index, cv2.CC_STAT_AREA] < 0.01 * layout.face_px**2:
            label[here] = UNKNOWN
        elif not (here & (layout.above > -0.35)).any():
            label[here] = OTHER if (here & (layout.below > 0.0)).any() else UNKNOWN
    skin = ((label == SKIN) & person).astype(np.uint8)
    count, component, stats, _ = cv2.connectedComponentsWithStats(skin, connectivity=4)
    for index in range(1, count):
        here = component == index
        # Arms and hands are skin by their colour, and no part of the head.
        if not np.isin(layout.part[here], (_FACE, _FEATURE, _EAR, _NECK)).any():
            label[here] = OTHER if layout.below[here].mean() > 0.3 else UNKNOWN
    return label
