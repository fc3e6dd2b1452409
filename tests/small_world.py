"""The small world: a toy head that has everything a real one has, so that tests need no assets.

An ellipsoid of the size of a head with a nose, mirror-symmetric, about 300 vertices, the 52 ARKit names, both landmark
sets, every region. Its "face" is the half with z > 0.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.encoder.backbone import EncoderConfig
from model.encoder.detail_head import DetailConfig
from model.face.assets import HeadAssets, LandmarkSet
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.parameters import FaceParameters
from model.reconstructor import Reconstructor
from tools.build_hierarchy import coarser, unique_edges

IMAGE_SIZE = 64
"""Crops of the small world, px."""

BACKBONE = "test_resnet"
"""The smallest of timm's residual networks, made for tests."""

RADII_MM = np.array([72.0, 100.0, 85.0])
"""Half width, height and depth of the toy head."""

_MERIDIANS, _PARALLELS = 20, 15

# fmt: off
_SIDED = [
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
]
_SINGLE = [
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "tongueOut",
]
# fmt: on
ARKIT_NAMES = tuple(sorted([f"{name}{side}" for name in _SIDED for side in ("Left", "Right")] + _SINGLE))
"""ARKit's 52 blendshapes."""

# Centres of what the shapes move, in units of the radii (x to the subject's left, y up), on the face's side.
_CENTRES = {
    "brow": (0.35, 0.35),
    "eye": (0.35, 0.15),
    "cheek": (0.5, -0.1),
    "nose": (0.12, -0.05),
    "mouth": (0.25, -0.45),
}
_CENTRES |= {"jaw": (0.0, -0.7), "tongue": (0.0, -0.45)}


@cache
def toy_head(identity_count: int = 6, albedo_count: int = 4) -> HeadAssets:
    """The toy head; the same arrays at every call, so do not write to them."""
    unit, faces, mirror = _sphere()
    vertices_mm = (unit * RADII_MM).astype(np.float32)
    vertices_mm[:, 2] += 22.0 * np.exp(-((unit[:, :2] / (0.22, 0.35)) ** 2).sum(1)) * (unit[:, 2] > 1e-6)
    uv = np.stack((0.5 + np.arctan2(unit[:, 0], unit[:, 2]) / (2 * np.pi), np.arccos(-unit[:, 1]) / np.pi), axis=1)
    return HeadAssets(
        vertices_mm=vertices_mm,
        faces=faces,
        uv=uv.clip(0.0, 1.0).astype(np.float32),
        uv_faces=faces.copy(),
        identity_basis=_smooth_fields(unit, mirror, identity_count, seed=0) * 2.0,
        expression_basis=np.stack([_expression(name, unit) for name in ARKIT_NAMES]),
        expression_names=ARKIT_NAMES,
        albedo_mean=np.tile(np.array([0.5, 0.32, 0.25], np.float32), (len(unit), 1)),
        albedo_basis=np.abs(_smooth_fields(unit, mirror, albedo_count, seed=1)) * 0.05,
        mirror=mirror,
        landmarks={
            "ibug68": _on_surface(ibug68_layout(), unit, faces),
            "mediapipe478": _on_surface(_sunflower(478), unit, faces),
        },
        regions=_regions(unit),
    )


def toy_reconstructor(
    image_size: int = IMAGE_SIZE, backbone: str = BACKBONE, *, points: bool = False, aligned_look: bool = False
) -> Reconstructor:
    """An untrained reconstructor of the toy head, in evaluation mode."""
    encoder = EncoderConfig(backbone, points=points, aligned_look=aligned_look)
    return Reconstructor(encoder, image_size, toy_head()).eval()


def crop_camera(
    batch: int = 1, image_size: int = IMAGE_SIZE, focal_over_size: float = 4.0
) -> Float[Tensor, "batch 3 3"]:
    """Intrinsics of crops whose middle is the principal point."""
    focal_px, middle_px = focal_over_size * image_size, 0.5 * image_size
    return torch.tensor([[focal_px, 0.0, middle_px], [0.0, focal_px, middle_px], [0.0, 0.0, 1.0]]).repeat(batch, 1, 1)


def ibug68_layout() -> Float[np.ndarray, "68 2"]:
    """iBUG's 68 on a frontal face, in units of the radii (x to the subject's left, y up)."""
    jaw_angle = np.linspace(np.pi, 2 * np.pi, 17)
    jaw = np.stack((0.9 * np.cos(jaw_angle), 0.1 + 0.95 * np.sin(jaw_angle)), axis=1)
    brow = np.stack((np.linspace(-0.65, -0.15, 5), 0.38 + 0.06 * np.sin(np.linspace(0, np.pi, 5))), axis=1)
    bridge = np.stack((np.zeros(4), np.linspace(0.18, -0.12, 4)), axis=1)
    nostrils = np.stack((np.linspace(-0.15, 0.15, 5), [-0.2, -0.22, -0.24, -0.22, -0.2]), axis=1)
    eye = np.array([(-0.5, 0.15), (-0.42, 0.2), (-0.3, 0.2), (-0.2, 0.15), (-0.3, 0.11), (-0.42, 0.11)])
    # The left side repeats the right one in iBUG's order, which runs along x.
    left_eye = (eye * (-1, 1))[[3, 2, 1, 0, 5, 4]]
    mouth = [_ellipse(12, 0.32, 0.13), _ellipse(8, 0.26, 0.05)]
    return np.concatenate((jaw, brow, brow[::-1] * (-1, 1), bridge, nostrils, eye, left_eye, *mouth))


def _ellipse(count: int, half_width: float, half_height: float) -> Float[np.ndarray, "point 2"]:
    # From the subject's right corner over the upper lip to the left one and back below.
    angle = np.pi - 2 * np.pi * np.arange(count) / count
    return np.stack((half_width * np.cos(angle), -0.47 + half_height * np.sin(angle)), axis=1)


def _sunflower(count: int) -> Float[np.ndarray, "point 2"]:
    index = np.arange(count)
    radius, angle = 0.85 * np.sqrt((index + 0.5) / count), index * np.pi * (3 - np.sqrt(5))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)


def _sphere() -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"], Int[np.ndarray, " vertex"]]:
    """A unit sphere of rings about y, mirror-symmetric in x, counter-clockwise from outside."""
    longitude = 2 * np.pi * np.arange(_MERIDIANS) / _MERIDIANS
    latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, _PARALLELS + 2)[1:-1]
    rings = [
        np.stack((np.cos(a) * np.sin(longitude), np.full(_MERIDIANS, np.sin(a)), np.cos(a) * np.cos(longitude)), axis=1)
        for a in latitude
    ]
    vertices = np.concatenate((*rings, [[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]))
    bottom, top = len(vertices) - 2, len(vertices) - 1
    faces: list[tuple[int, int, int]] = []
    for column in range(_MERIDIANS):
        right = (column + 1) % _MERIDIANS
        faces.append((bottom, right, column))
        faces.append((top, (_PARALLELS - 1) * _MERIDIANS + column, (_PARALLELS - 1) * _MERIDIANS + right))
        for row in range(_PARALLELS - 1):
            a, b = row * _MERIDIANS + column, row * _MERIDIANS + right
            c, d = a + _MERIDIANS, b + _MERIDIANS
            # The diagonals of the left half mirror those of the right.
            faces += [(a, b, d), (a, d, c)] if column < _MERIDIANS // 2 else [(a, b, c), (b, d, c)]
    column_mirror = (-np.arange(_MERIDIANS)) % _MERIDIANS
    mirror = (np.arange(_PARALLELS)[:, None] * _MERIDIANS + column_mirror).ravel()
    # Exactly symmetric, not to rounding.
    mirror = np.concatenate((mirror, [bottom, top]))
    vertices = 0.5 * (vertices + vertices[mirror] * (-1, 1, 1))
    return vertices, np.array(faces, np.int32), mirror.astype(np.int32)


def _smooth_fields(
    unit: Float[np.ndarray, "vertex 3"], mirror: Int[np.ndarray, " vertex"], count: int, seed: int
) -> Float[np.ndarray, "component vertex 3"]:
    """Random smooth displacements of length about 1, each of them mirror-symmetric."""
    generator = np.random.default_rng(seed)
    frequency, phase = generator.normal(0.0, 1.5, (count, 3, 3)), generator.uniform(0, 2 * np.pi, (count, 1, 3))
    field = np.sin(np.einsum("vx,kxc->kvc", unit, frequency) + phase)
    return (0.5 * (field + field[:, mirror] * (-1, 1, 1))).astype(np.float32)


def _expression(name: str, unit: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "vertex 3"]:
    """A bump of 8 mm where the name says, downwards for what opens or lowers and upwards otherwise."""
    x, y = next(centre for part, centre in _CENTRES.items() if name.startswith(part))
    downwards = any(word in name for word in ("Open", "Down", "Frown", "Blink", "Lower"))
    if name.endswith("Right") and name[: -len("Right")] in _SIDED:
        centres = [(-x, y)]
    elif name.endswith("Left") and name[: -len("Left")] in _SIDED:
        centres = [(x, y)]
    else:
        centres = [(x, y), (-x, y)] if x else [(0.0, y)]
    weight = sum(np.exp(-(((unit[:, :2] - centre) / 0.3) ** 2).sum(1)) for centre in centres) * (unit[:, 2] > 1e-6)
    # A little of another direction for each name, so that no two shapes are the same; a left and a right one mirror.
    if len(centres) == 1 and x:
        name = name.replace("Right", "Left")
    direction = np.array([0.0, -8.0 if downwards else 8.0, 2.0 + 0.1 * ARKIT_NAMES.index(name)])
    return (weight[:, None] * direction).astype(np.float32)


def _on_surface(
    layout: Float[np.ndarray, "point 2"], unit: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> LandmarkSet:
    """The points of the front at given x and y: looks along z for the triangle that holds each."""
    corners = unit[faces][:, :, :2]
    front = np.flatnonzero(unit[faces][:, :, 2].mean(1) > 0)
    a, b, c = (corners[front, k] for k in range(3))
    inverse = np.linalg.inv(np.stack((b - a, c - a), axis=-1))
    face, barycentric = [], []
    for point in layout:
        bc = np.einsum("fij,fj->fi", inverse, point - a)
        weights = np.concatenate((1.0 - bc.sum(1, keepdims=True), bc), axis=1)
        best = int(weights.min(1).argmax())
        inside = weights[best].clip(0.0, 1.0)
        face.append(front[best])
        barycentric.append(inside / inside.sum())
    return LandmarkSet(np.array(face, np.int32), np.array(barycentric, np.float32))


def _regions(unit: Float[np.ndarray, "vertex 3"]) -> dict[str, Bool[np.ndarray, " vertex"]]:
    x, y, z = unit.T
    front = z > 0.1

    def near(centre_x: float, centre_y: float, radius: float) -> Bool[np.ndarray, " vertex"]:
        return front & ((x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2)

    left_eye, right_eye, lips = near(0.35, 0.15, 0.16), near(-0.35, 0.15, 0.16), near(0.0, -0.47, 0.3)
    face = front & (y > -0.9) & (y < 0.7)
    nobody = np.zeros(len(unit), bool)
    return {
        "face": face,
        "skin": ~(left_eye | right_eye),
        "lips": lips,
        "eyes": left_eye | right_eye,
        "left_eye": left_eye,
        "right_eye": right_eye,
        "eyelids": near(0.35, 0.15, 0.25) | near(-0.35, 0.15, 0.25),
        "nose": near(0.0, -0.05, 0.25),
        "ears": (np.abs(x) > 0.85) & (np.abs(y) < 0.3),
        "neck": y < -0.9,
        "scalp": ~front & (y > 0.0),
        "mouth_inner": nobody,
        "teeth": nobody,
        "tongue": nobody,
    }


@cache
def toy_hierarchy(levels: int = 3) -> MeshHierarchy:
    """The toy head's graph, each level with a third of the vertices of the one before."""
    head = toy_head()
    vertices, mirror = head.vertices_mm.astype(np.float64), head.mirror.astype(np.int64)
    edges = unique_edges(np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]]))
    built = []
    for _ in range(levels):
        level = coarser(vertices, edges, mirror, len(vertices) // 3)
        built.append(level)
        place = np.full(len(vertices), -1)
        place[level.vertices] = np.arange(len(level.vertices))
        vertices, mirror, edges = vertices[level.vertices], place[mirror[level.vertices]], level.edges
    return MeshHierarchy(len(head.vertices_mm), "0" * 64, tuple(built))


def toy_decoding_reconstructor(channels: tuple[int, ...] = (8, 8, 8)) -> Reconstructor:
    """An untrained reconstructor of the toy head with a mesh decoder, in evaluation mode."""
    detail = DetailConfig(channels=channels)
    return Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, toy_head(), detail, toy_hierarchy()).eval()


def neutral_parameters(model: MorphableModel, batch: int = 1) -> FaceParameters:
    """The mean face of a head before the camera."""
    return FaceParameters.neutral(batch, model.identity_count, model.expression_count, model.albedo_count)
