"""Pictures of a lit head as a viewer of its GLB draws it: one lamp and a dim room, without cast shadows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.rotation import rotation_from_euler
from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.hair_mesh import COVER_CUTOFF, HairMesh
from model.look.hair_texture import HairTexture
from model.look.head_look import HeadLook
from model.look.sampling import bytes_of, linear_of
from model.render.backends import build_rasterizer

_DISTANCE_MM, _VIEW_MM = 1200.0, 330.0
_CENTRE_MM = (0.0, -45.0, -55.0)
_ROUGHNESS, _HAIR_ROUGHNESS, _F0 = 0.45, 0.6, 0.04
_ROOM, _ROOM_SLOPE = 0.19, 0.09
"""Light from everywhere, and how much more of it comes from above."""
_LAMP = 1.05
_FLAT = (128, 128, 255)
_BACK_SHARE = 0.35
"""What the inside of hair, seen where its near side is cut out, has of its light."""


@dataclass(frozen=True)
class View:
    """A head before a camera.

    Attributes:
        vertices_mm: Camera space.
        rotation: Model space to camera space.
        translation_mm: Model origin in camera space.
        intrinsics_px: The camera.
        size_px: Side of the picture.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    rotation: Float[np.ndarray, "3 3"]
    translation_mm: Float[np.ndarray, "3"]
    intrinsics_px: Float[np.ndarray, "3 3"]
    size_px: int


def turned_view(
    result: FaceResult, yaw_degrees: float, pitch_degrees: float, size_px: int, vertices_mm: np.ndarray | None = None
) -> View:
    """The head turned about its middle, before a camera at 1.2 m.

    Args:
        result: The head.
        yaw_degrees: Positive towards the subject's left.
        pitch_degrees: Positive downwards.
        size_px: Side of the picture.
        vertices_mm: Other vertices than the result's, in model space: with another expression.
    """
    angles = torch.tensor([math.radians(yaw_degrees), math.radians(pitch_degrees), 0.0])
    rotation = rotation_from_euler(angles).numpy()
    translation_mm = -rotation @ np.array(_CENTRE_MM, np.float32) - np.array([0.0, 0.0, _DISTANCE_MM], np.float32)
    turned = (result.vertices_mm if vertices_mm is None else vertices_mm) @ rotation.T + translation_mm
    focal, middle = size_px * _DISTANCE_MM / _VIEW_MM, 0.5 * size_px
    camera = np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]], np.float32)
    return View(turned.astype(np.float32), rotation, translation_mm, camera, size_px)


def draw_lit(
    result: FaceResult,
    look: HeadLook,
    atlases: Sequence[Atlas],
    view: View,
    lamp: tuple[float, float, float],
) -> tuple[UInt8[np.ndarray, "size size 3"], Bool[np.ndarray, "size size"]]:
    """Draw the head under a lamp.

    Args:
        result: The head.
        look: Its textures.
        atlases: Texture spaces of the parts, of any resolution.
        view: Where it stands.
        lamp: Direction towards the lamp, camera space; any length.

    Returns:
        The picture, black where there is no head, and where there is.
    """
    seen = _fragments(result, look, atlases, view)
    place, covered, occlusion = seen.place, seen.part >= 0, seen.occlusion
    albedo = linear_of(_worn(seen, atlases, {name: texture.albedo_srgb for name, texture in look.textures.items()}))
    relief = np.full((*covered.shape, 3), _FLAT, np.uint8)
    on_skin = seen.part == 0
    relief[on_skin] = _looked_up(look.skin.normal, seen.uv)[on_skin]
    normal = with_relief(seen.normal, place, seen.uv, relief)
    radiance = _radiance(albedo, normal, place, occlusion, lamp, _ROUGHNESS)
    picture = bytes_of(radiance * covered[..., None])
    for hair in _hair_layers(look.hair, view, np.where(covered, place[..., 2], -np.inf)):
        albedo = linear_of(_looked_up(hair.texture.albedo_srgb, hair.uv))
        lit = _radiance(albedo, hair.normal, hair.place, np.ones(covered.shape), lamp, _HAIR_ROUGHNESS)
        picture[hair.shown] = bytes_of(hair.share * lit)[hair.shown]
        covered = covered | hair.shown
    return picture, covered


def draw_unlit(
    result: FaceResult, look: HeadLook, atlases: Sequence[Atlas], view: View
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw the head as the photograph shows it, black where there is none; arguments as of `draw_lit`."""
    seen = _fragments(result, look, atlases, view)
    picture = _worn(seen, atlases, {name: texture.image_srgb for name, texture in look.textures.items()})
    for hair in _hair_layers(look.hair, view, np.where(seen.part >= 0, seen.place[..., 2], -np.inf)):
        picture[hair.shown] = _looked_up(hair.texture.image_srgb, hair.uv)[hair.shown]
    return picture


@dataclass(frozen=True)
class _Seen:
    """What each pixel sees.

    Attributes:
        part: Number of the part's atlas, -1 off the head.
        place: Camera space, mm.
        normal: Unit normals.
        uv: Texture coordinates in the part's textures.
        occlusion: Share of light from everywhere.
    """

    part: Int[np.ndarray, "size size"]
    place: Float[np.ndarray, "size size 3"]
    normal: Float[np.ndarray, "size size 3"]
    uv: Float[np.ndarray, "size size 2"]
    occlusion: Float[np.ndarray, "size size"]


def _fragments(result: FaceResult, look: HeadLook, atlases: Sequence[Atlas], view: View) -> _Seen:
    vertices = torch.from_numpy(view.vertices_mm)
    normals = vertex_normals(vertices[None], torch.from_numpy(result.faces))[0]
    occlusion = torch.from_numpy(look.skin.vertex_occlusion)[:, None]
    split = torch.from_numpy(np.concatenate([atlas.vertex for atlas in atlases]))
    uv = torch.from_numpy(np.concatenate([atlas.uv for atlas in atlases]))
    starts = np.cumsum([0, *(len(atlas.uv) for atlas in atlases)])
    parts = [atlas.faces + start for atlas, start in zip(atlases, starts, strict=False)]
    faces = torch.from_numpy(np.concatenate(parts).astype(np.int32))
    image = project(vertices[None], torch.from_numpy(view.intrinsics_px)[None])[:, split]
    values = torch.cat((vertices[split], normals[split], uv, occlusion[split]), dim=1)
    rasterizer = build_rasterizer("cpu")
    fragments = rasterizer.rasterize(image, faces, view.size_px, view.size_px)
    drawn = rasterizer.interpolate(values[None], fragments, faces)[0].numpy()
    ends = np.cumsum([len(atlas.faces) for atlas in atlases])
    face_index = fragments.face_index[0].numpy()
    return _Seen(
        part=np.where(face_index < 0, -1, np.searchsorted(ends, face_index, side="right")),
        place=drawn[..., :3],
        normal=drawn[..., 3:6] / np.maximum(np.linalg.norm(drawn[..., 3:6], axis=-1, keepdims=True), 1e-6),
        uv=drawn[..., 6:8],
        occlusion=drawn[..., 8],
    )


@dataclass(frozen=True)
class _HairLayer:
    """One side of a shell of hair, where nothing is before it.

    Attributes:
        texture: Its colours.
        shown: Where it is.
        place: Camera space, mm.
        normal: Unit normals, towards the camera.
        uv: Texture coordinates.
        share: Of the light that arrives.
    """

    texture: HairTexture
    shown: Bool[np.ndarray, "size size"]
    place: Float[np.ndarray, "size size 3"]
    normal: Float[np.ndarray, "size size 3"]
    uv: Float[np.ndarray, "size size 2"]
    share: float


def _hair_layers(hair: HairMesh | None, view: View, nearest_mm: Float[np.ndarray, "size size"]) -> Iterator[_HairLayer]:
    """The far side of hair, which is seen where the near one is cut out, then the near one.

    Args:
        hair: The shell.
        view: Where the head stands.
        nearest_mm: z of what else each pixel sees, camera space.
    """
    if hair is None:
        return
    _, first, whole = np.unique(hair.welded, return_index=True, return_inverse=True)
    vertices = (hair.vertices_mm @ view.rotation.T + view.translation_mm).astype(np.float32)
    joined = torch.from_numpy(whole[hair.faces].astype(np.int32))
    normals = vertex_normals(torch.from_numpy(vertices[first])[None], joined)[0][whole]
    image = project(torch.from_numpy(vertices)[None], torch.from_numpy(view.intrinsics_px)[None])
    corners = vertices[hair.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    near = (across * corners.mean(1)).sum(1) < 0.0
    values = torch.cat((torch.from_numpy(vertices), normals, torch.from_numpy(hair.uv)), dim=1)[None]
    rasterizer = build_rasterizer("cpu")
    for side, share in ((~near, _BACK_SHARE), (near, 1.0)):
        if not side.any():
            continue
        faces = torch.from_numpy(hair.faces[side])
        fragments = rasterizer.rasterize(image, faces, view.size_px, view.size_px)
        drawn = rasterizer.interpolate(values, fragments, faces)[0].numpy()
        place, uv = drawn[..., :3], drawn[..., 6:8]
        normal = drawn[..., 3:6] / np.maximum(np.linalg.norm(drawn[..., 3:6], axis=-1, keepdims=True), 1e-6)
        cover = _looked_up(np.repeat(hair.texture.cover[..., None], 3, axis=-1), uv)[..., 0]
        shown = (fragments.face_index[0].numpy() >= 0) & (cover > 255 * COVER_CUTOFF) & (place[..., 2] > nearest_mm)
        yield _HairLayer(hair.texture, shown, place, normal if share == 1.0 else -normal, uv, share)
        nearest_mm = np.where(shown, place[..., 2], nearest_mm)


def _radiance(
    albedo: Float[np.ndarray, "size size 3"],
    normal: Float[np.ndarray, "size size 3"],
    place: Float[np.ndarray, "size size 3"],
    occlusion: Float[np.ndarray, "size size"],
    lamp: tuple[float, float, float],
    roughness: float,
) -> Float[np.ndarray, "size size 3"]:
    """Linear light of a surface under the lamp, in the room."""
    towards = np.array(lamp, np.float32) / np.linalg.norm(lamp)
    eye = -place / np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1e-6)
    lit = np.clip(normal @ towards, 0.0, None)
    room = (_ROOM + _ROOM_SLOPE * normal[..., 1]) * occlusion
    shine = lit * gloss(normal, eye, towards, lit, roughness)
    return albedo * (room + _LAMP * lit)[..., None] + shine[..., None]


def _worn(
    seen: _Seen, atlases: Sequence[Atlas], pictures_srgb: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]
) -> UInt8[np.ndarray, "size size 3"]:
    """Each part's picture where it is seen, black off the head."""
    worn = np.zeros((*seen.part.shape, 3), np.uint8)
    for number, atlas in enumerate(atlases):
        here = seen.part == number
        worn[here] = _looked_up(pictures_srgb[atlas.part], seen.uv)[here]
    return worn


def _looked_up(
    texture: UInt8[np.ndarray, "side side 3"], uv: Float[np.ndarray, "size size 2"]
) -> UInt8[np.ndarray, "size size 3"]:
    texels = (uv * (1.0, -1.0) * len(texture) + (0.0, len(texture)) - 0.5).astype(np.float32)
    return cv2.remap(texture, texels[..., 0], texels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def with_relief(
    normal: Float[np.ndarray, "size size 3"],
    place: Float[np.ndarray, "size size 3"],
    uv: Float[np.ndarray, "size size 2"],
    encoded: UInt8[np.ndarray, "size size 3"],
) -> Float[np.ndarray, "size size 3"]:
    """Normals turned by a normal map, in the frame in which u grows over the picture."""
    along_x, along_y = np.gradient(place, axis=1), np.gradient(place, axis=0)
    (ux, vx), (uy, vy) = (np.moveaxis(np.gradient(uv, axis=axis), -1, 0) for axis in (1, 0))
    side = np.sign(ux * vy - uy * vx)[..., None]
    tangent = (along_x * vy[..., None] - along_y * vx[..., None]) * side
    tangent -= (tangent * normal).sum(-1, keepdims=True) * normal
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    upwards = (along_y * ux[..., None] - along_x * uy[..., None]) * side
    bitangent = np.cross(normal, tangent)
    bitangent *= np.sign((bitangent * upwards).sum(-1, keepdims=True))
    bump = encoded.astype(np.float32) / 127.5 - 1.0
    turned = bump[..., :1] * tangent + bump[..., 1:2] * bitangent + bump[..., 2:] * normal
    return turned / np.maximum(np.linalg.norm(turned, axis=-1, keepdims=True), 1e-6)


def gloss(
    normal: Float[np.ndarray, "*pixel 3"],
    eye: Float[np.ndarray, "*pixel 3"],
    towards: Float[np.ndarray, "3"],
    lit: Float[np.ndarray, "*pixel"],
    roughness: float,
) -> Float[np.ndarray, "*pixel"]:
    """GGX with Smith's shadowing and Schlick's Fresnel, as glTF has them, times pi: the lamp's radiance."""
    half = eye + towards
    half /= np.maximum(np.linalg.norm(half, axis=-1, keepdims=True), 1e-6)
    across, seen = (normal * half).sum(-1).clip(0.0, 1.0), (normal * eye).sum(-1).clip(1e-3, 1.0)
    alpha = roughness**4
    spread = alpha / (math.pi * np.square(np.square(across) * (alpha - 1.0) + 1.0))
    k = (roughness + 1.0) ** 2 / 8.0
    shadowing = 0.25 / ((lit * (1.0 - k) + k) * (seen * (1.0 - k) + k))
    fresnel = _F0 + (1.0 - _F0) * (1.0 - (eye * half).sum(-1).clip(0.0, 1.0)) ** 5
    return math.pi * spread * shadowing * fresnel
