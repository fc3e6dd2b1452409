"""Pictures of a head whose parts wear textures, lit from a few directions that cast its own shadows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy.sparse import csr_matrix, diags

from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.look.sampling import bytes_of, linear_of
from model.look.self_shadow import lit_from
from model.pictures.distant_light import DistantLight
from model.pictures.lit import gloss, with_relief
from model.render.backends import build_rasterizer

_SAME_MM = 1e-3
"""Vertices so near to one another were split from one at a seam of the texture."""
_HIGHLIGHTS, _LOBE_ROUGHNESS = 4, 0.6
"""Most directions that make highlights, and the least roughness under lobes, which stand for a wide part of the sky."""
_SOFTER = 4
"""How often a shadow is spread to the neighbouring vertices: a depth map's pixels would be seen."""
_SUPERSAMPLE = 2
_BACK_SHARE = 0.35
"""What the inside of hair, seen where its near side is cut out, has of its light."""


@dataclass(frozen=True)
class PicturePart:
    """A mesh with its surface.

    Attributes:
        name: Of the part.
        vertices_mm: Model space, at rest.
        faces: Triangles, counter-clockwise seen from outside.
        uv: Texture coordinates in [0, 1], v up.
        morphs_mm: Displacement at weight 1 of each expression.
        color_srgb: Its colour without light, or in the photograph's light where it is not lit; the last channel of
            four says where there is a surface at all.
        roughness: Perceptual roughness.
        lit: Whether light makes a difference.
        normal: Its normal map, None without one.
        cutoff: Least of the fourth channel, [0, 1]; None where all of it is there.
    """

    name: str
    vertices_mm: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "vertex 2"]
    morphs_mm: Float[np.ndarray, "expression vertex 3"]
    color_srgb: UInt8[np.ndarray, "rows columns channel"]
    roughness: float
    lit: bool
    normal: UInt8[np.ndarray, "rows2 columns2 3"] | None = None
    cutoff: float | None = None


@dataclass(frozen=True)
class _Posed:
    """A part in camera space."""

    part: PicturePart
    vertices_mm: Float[np.ndarray, "vertex 3"]
    normals: Float[np.ndarray, "vertex 3"]
    reached: Float[np.ndarray, "vertex light"]


class PartView:
    """Draws a head with any expression and pose; what does not change is worked out once."""

    def __init__(self, parts: Sequence[PicturePart]) -> None:
        """Take the parts."""
        self._parts = list(parts)
        self._welds, self._neighbours = [], []
        for part in self._parts:
            places = np.round(part.vertices_mm / _SAME_MM).astype(np.int64)
            _, first, whole = np.unique(places, axis=0, return_index=True, return_inverse=True)
            self._welds.append((first, whole.reshape(-1)))
            self._neighbours.append(_mean_of_neighbours(whole.reshape(-1)[part.faces], len(first)))

    def draw(
        self,
        weights: Float[np.ndarray, " expression"],
        rotation: Float[np.ndarray, "3 3"],
        translation_mm: Float[np.ndarray, "3"],
        intrinsics_px: Float[np.ndarray, "3 3"],
        size_px: int,
        light: DistantLight,
        background: int = 40,
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Draw a square picture.

        Args:
            weights: Blendshape weights.
            rotation: Model space to camera space.
            translation_mm: Model origin in camera space.
            intrinsics_px: The camera.
            size_px: Side of the picture.
            light: What lights it.
            background: Grey behind it.
        """
        posed = self._posed(weights, rotation, translation_mm, light)
        fine_px, camera_px = _SUPERSAMPLE * size_px, np.diag([_SUPERSAMPLE, _SUPERSAMPLE, 1.0]) @ intrinsics_px
        picture = np.full((fine_px, fine_px, 3), background, np.uint8)
        nearest_mm = np.full((fine_px, fine_px), -np.inf)
        whole = [one for one in posed if one.part.cutoff is None]
        for one in [*whole, *(one for one in posed if one.part.cutoff is not None)]:
            corners = one.vertices_mm[one.part.faces]
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            near = (across * corners.mean(1)).sum(1) < 0.0
            sides = (
                [(np.ones(len(near), bool), 1.0)] if one.part.cutoff is None else [(~near, _BACK_SHARE), (near, 1.0)]
            )
            for faces, share in sides:
                if faces.any():
                    _draw_part(picture, nearest_mm, one, one.part.faces[faces], camera_px, light, share)
        return cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)

    def _posed(
        self,
        weights: Float[np.ndarray, " expression"],
        rotation: Float[np.ndarray, "3 3"],
        translation_mm: Float[np.ndarray, "3"],
        light: DistantLight,
    ) -> list[_Posed]:
        places, normals, faces, start = [], [], [], 0
        for part, (first, whole) in zip(self._parts, self._welds, strict=True):
            moved = part.vertices_mm + np.tensordot(weights.astype(np.float32), part.morphs_mm, 1)
            here = (moved @ rotation.T + translation_mm).astype(np.float32)
            joined = torch.from_numpy(whole[part.faces].astype(np.int32))
            normals.append(vertex_normals(torch.from_numpy(here[first])[None], joined)[0].numpy()[whole])
            places.append(here)
            faces.append(part.faces + start)
            start += len(here)
        if any(part.lit for part in self._parts):
            # The whole head shadows itself, hair included.
            reached = lit_from(np.concatenate(places), np.concatenate(faces).astype(np.int32), light.directions)
        else:
            reached = np.ones((start, len(light.directions)), np.float32)
        by_part = []
        ends = np.cumsum([len(place) for place in places])[:-1]
        for own, (first, whole), mean in zip(np.split(reached, ends), self._welds, self._neighbours, strict=True):
            soft = own[first]
            for _ in range(_SOFTER):
                soft = mean @ soft
            by_part.append(soft[whole])
        return [_Posed(*one) for one in zip(self._parts, places, normals, by_part, strict=True)]


def _mean_of_neighbours(faces: Int[np.ndarray, "face 3"], count: int) -> csr_matrix:
    """The matrix that gives each vertex the mean of itself and its neighbours."""
    one, other = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    rows, columns = np.concatenate((one, other, np.arange(count))), np.concatenate((other, one, np.arange(count)))
    matrix = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count))
    matrix.data[:] = 1.0
    return csr_matrix(diags(1.0 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix, dtype=np.float32)


def _draw_part(
    picture: UInt8[np.ndarray, "size size 3"],
    nearest_mm: Float[np.ndarray, "size size"],
    posed: _Posed,
    faces: Int[np.ndarray, "face 3"],
    intrinsics_px: Float[np.ndarray, "3 3"],
    light: DistantLight,
    share: float,
) -> None:
    """Draw some triangles of a part where nothing is before them; picture and depth are changed."""
    part, corner, size = posed.part, *_window(posed.vertices_mm, intrinsics_px, len(picture))
    if size < 1:
        return
    rows, columns = slice(corner[1], corner[1] + size), slice(corner[0], corner[0] + size)
    camera = intrinsics_px.copy()
    camera[:2, 2] -= corner
    image = project(torch.from_numpy(posed.vertices_mm)[None], torch.from_numpy(camera).float()[None])
    values = torch.from_numpy(np.concatenate((posed.vertices_mm, posed.normals, part.uv), axis=1).astype(np.float32))
    rasterizer, triangles = build_rasterizer("cpu"), torch.from_numpy(faces.astype(np.int32))
    fragments = rasterizer.rasterize(image, triangles, size, size)
    drawn = rasterizer.interpolate(values[None], fragments, triangles)[0].numpy()
    place, uv, seen = drawn[..., :3], drawn[..., 6:8], fragments.face_index[0].numpy()
    color = _looked_up(part.color_srgb, uv)
    nearest, under = nearest_mm[rows, columns], picture[rows, columns]
    shown = (seen >= 0) & (place[..., 2] > np.pad(nearest, _missing(nearest, size), constant_values=np.inf))
    if part.cutoff is not None:
        shown &= color[..., 3] > 255.0 * part.cutoff
    inside = shown[: nearest.shape[0], : nearest.shape[1]]
    if not shown.any():
        return
    nearest[inside] = place[..., 2][shown]
    if not part.lit:
        under[inside] = color[..., :3][shown]
        return
    normal = drawn[..., 3:6] / np.maximum(np.linalg.norm(drawn[..., 3:6], axis=-1, keepdims=True), 1e-6)
    if part.normal is not None:
        normal = with_relief(normal, place, uv, _looked_up(part.normal, uv))
    # Only what is seen asks the lights: most of the square is background.
    weights = fragments.barycentric[0].numpy()[shown]
    reached = np.einsum("pk,pkl->pl", weights, posed.reached[faces[seen[shown]]])
    albedo = linear_of(color[..., :3][shown])
    radiance = _radiance(albedo, normal[shown], place[shown], reached, light, part.roughness, turned=share < 1.0)
    under[inside] = bytes_of(share * radiance)


def _window(
    vertices_mm: Float[np.ndarray, "vertex 3"], intrinsics_px: Float[np.ndarray, "3 3"], size_px: int
) -> tuple[Int[np.ndarray, "2"], int]:
    """The square of a picture that shows a part: its corner and its side, 0 where it shows none of it."""
    image = project(torch.from_numpy(vertices_mm)[None], torch.from_numpy(intrinsics_px).float()[None])[
        0, :, :2
    ].numpy()
    low = np.clip(np.floor(image.min(axis=0)).astype(int) - 1, 0, size_px)
    high = np.clip(np.ceil(image.max(axis=0)).astype(int) + 1, 0, size_px)
    return low, int(max(high - low)) if (high > low).all() else 0


def _missing(there: Float[np.ndarray, "row column"], size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """What the part of a square within the picture lacks of the whole."""
    return (0, size - there.shape[0]), (0, size - there.shape[1])


def _radiance(
    albedo: Float[np.ndarray, "pixel 3"],
    normal: Float[np.ndarray, "pixel 3"],
    place: Float[np.ndarray, "pixel 3"],
    reached: Float[np.ndarray, "pixel light"],
    light: DistantLight,
    roughness: float,
    *,
    turned: bool,
) -> Float[np.ndarray, "pixel 3"]:
    """Linear light of what is seen.

    Args:
        albedo: Linear RGB.
        normal: Unit normals.
        place: Camera space, mm.
        reached: How far each light is seen from there.
        light: The lights.
        roughness: Perceptual roughness.
        turned: Whether it is the inside of a surface that is seen.
    """
    eye = -place / np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1e-6)
    normal = -normal if turned else normal
    arriving = np.clip(normal @ light.directions.T, 0.0, None) * reached
    radiance = albedo * (arriving @ light.strength)
    roughness = max(roughness, _LOBE_ROUGHNESS) if light.lobes else roughness
    for number in np.argsort(-light.strength.sum(1))[:_HIGHLIGHTS]:
        towards = light.directions[number]
        lit = np.clip(normal @ towards, 0.0, None)
        shine = arriving[:, number] * gloss(normal, eye, towards, lit, roughness)
        radiance += shine[:, None] * light.strength[number]
    return radiance


def _looked_up(
    texture: UInt8[np.ndarray, "rows columns channel"], uv: Float[np.ndarray, "size size 2"]
) -> UInt8[np.ndarray, "size size channel"]:
    height, width = texture.shape[:2]
    texels = (uv * (width, -height) + (0.0, height) - 0.5).astype(np.float32)
    return cv2.remap(texture, texels[..., 0], texels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
