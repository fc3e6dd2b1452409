"""How heads of photographs look: is it still the person when lit, is there a seam along the middle, what is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin
from model.geometry.camera import crop_intrinsics
from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.head_look import HeadLook
from model.look.resolution import resolution_kept
from model.pictures.lit import View, draw_lit, draw_unlit
from model.recognition import RecognitionNetwork, embed_faces

_WINDOW_PX, _WINDOW_OVER_BOX = 256, 1.9
_LAMPS = {"front": (0.0, 0.35, 1.0), "left": (-1.0, 0.3, 0.6), "right": (1.0, 0.3, 0.6)}
_MIDDLE_MM, _BESIDE_MM = 1.0, (2.5, 8.0)
_SEAM_BLUR_MM = 0.6


@dataclass(frozen=True)
class Look:
    """One head.

    Attributes:
        name: Its photograph.
        unlit_cosine: A recognition network's cosine of the photograph and the unlit head in the same view.
        lit_cosine: The same of the lit head, mean over lamps in front, on the left and on the right.
        seam: Mean gradient of the skin across the middle of the face, over that beside it.
        kept: Texels over pixels, by length.
        texture_px: Side of the texture.
    """

    name: str
    unlit_cosine: float
    lit_cosine: float
    seam: float
    kept: float
    texture_px: int


def look_of(
    name: str,
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    head: HeadLook,
    atlases: Sequence[Atlas],
    morphable_model: MorphableModel,
    network: RecognitionNetwork | None,
) -> Look:
    """Measure one head.

    Args:
        name: What the table calls it.
        result: The head.
        photograph_srgb: Its photograph.
        head: Its textures.
        atlases: Texture spaces of its parts, the skin's first, of any resolution.
        morphable_model: Its head model.
        network: What knows faces; without one the cosines are NaN.
    """
    unlit, lit = np.nan, np.nan
    if network is not None:
        photograph, landmarks_px, view = _window(result, photograph_srgb)
        drawn = [draw_unlit(result, head, atlases, view)]
        drawn += [draw_lit(result, head, atlases, view, lamp)[0] for lamp in _LAMPS.values()]
        unlit, *by_lamp = _cosines(network, photograph, drawn, landmarks_px)
        lit = float(np.mean(by_lamp))
    seam = seam_ratio(head.skin.albedo_srgb, atlases[0], morphable_model)
    side = len(head.skin.albedo_srgb)
    return Look(name, unlit, lit, seam, resolution_kept(result, morphable_model, side), side)


def seam_ratio(texture_srgb: UInt8[np.ndarray, "size size 3"], atlas: Atlas, morphable_model: MorphableModel) -> float:
    """Mean gradient of a texture across the middle of the face, over that a few mm beside it.

    1 where nothing shows; a symmetrical face has less; NaN where the texture has no middle. Brightness is averaged over
    half a millimetre first, so that hair and pores do not drown it.
    """
    side = len(atlas.covered)
    if len(texture_srgb) != side:
        texture_srgb = cv2.resize(texture_srgb, (side, side), interpolation=cv2.INTER_AREA)
    values = np.concatenate(
        (morphable_model.mean_mm.cpu().numpy(), facial_skin(morphable_model).cpu().numpy()[:, None]), 1
    )
    texels = atlas.sample(values.astype(np.float32))[atlas.nearest]
    across_mm, on_face = texels[..., 0], atlas.covered & (texels[..., 3] > 0.99)
    # By how much the coordinate across the face grows from texel to texel, and how much the brightness does with it.
    steps = np.stack([cv2.Sobel(across_mm, cv2.CV_32F, *order, ksize=3, scale=0.125) for order in ((1, 0), (0, 1))])
    mm_per_texel = np.linalg.norm(steps, axis=0)
    usual = float(np.median(mm_per_texel[on_face]))
    grey = cv2.cvtColor(texture_srgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(_SEAM_BLUR_MM / usual, 0.5))
    slopes = np.stack([cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3, scale=0.125) for order in ((1, 0), (0, 1))])
    gradient = np.abs((slopes * steps).sum(0)) / np.maximum(mm_per_texel, 1e-6) ** 2
    # Where the coordinate hardly changes, as on the tip of the nose seen from below, it says nothing.
    sound = (
        cv2.erode(
            (on_face & (mm_per_texel > 0.3 * usual) & (mm_per_texel < 3.0 * usual)).astype(np.uint8), np.ones((5, 5))
        )
        > 0
    )
    middle = sound & (np.abs(across_mm) < _MIDDLE_MM)
    beside = sound & (np.abs(across_mm) > _BESIDE_MM[0]) & (np.abs(across_mm) < _BESIDE_MM[1])
    if not middle.any() or not beside.any():
        return float("nan")
    return float(gradient[middle].mean() / max(float(gradient[beside].mean()), 1e-9))


def format_looks(results: Sequence[tuple[str, Look]]) -> Iterator[str]:
    """Lines of a table: each head of each way, and the mean of each way."""
    yield f"{'':<34}{'':<10}{'unlit':>8}{'lit':>8}{'seam':>8}{'kept':>8}{'px':>7}"
    for way in dict.fromkeys(way for way, _ in results):
        of_way = [look for named, look in results if named == way]
        for look in of_way:
            yield _line(look.name[-33:], way, look)
        figures = np.array([[look.unlit_cosine, look.lit_cosine, look.seam, look.kept] for look in of_way])
        unlit, lit, seam, kept = map(float, figures.mean(0))
        yield _line(f"mean of {len(of_way)}", way, Look("", unlit, lit, seam, kept, 0))


def _line(name: str, way: str, look: Look) -> str:
    values = (look.unlit_cosine, look.lit_cosine, look.seam, look.kept)
    return f"{name:<34}{way:<10}" + "".join(f"{value:>8.3f}" for value in values) + f"{look.texture_px or '':>7}"


def _window(
    result: FaceResult, photograph_srgb: UInt8[np.ndarray, "height width 3"]
) -> tuple[UInt8[np.ndarray, "size size 3"], Float[np.ndarray, "68 2"], View]:
    """The face cut out of its photograph, its landmarks there, and the head as the same camera sees it."""
    lowest, highest = result.landmarks68_px.min(0), result.landmarks68_px.max(0)
    side = _WINDOW_OVER_BOX * float((highest - lowest).max())
    left, top = 0.5 * (lowest + highest) - 0.5 * side
    scale = _WINDOW_PX / side
    matrix = np.array([[scale, 0.0, -left * scale + 0.5 * scale - 0.5], [0.0, scale, -top * scale + 0.5 * scale - 0.5]])
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    cut = cv2.warpAffine(photograph_srgb, matrix, (_WINDOW_PX, _WINDOW_PX), flags=how, borderMode=cv2.BORDER_REPLICATE)
    camera = crop_intrinsics(torch.from_numpy(result.intrinsics_px), float(left), float(top), scale).float().numpy()
    points = ((result.landmarks68_px - (left, top)) * scale).astype(np.float32)
    return cut, points, View(result.vertices_camera_mm, result.rotation, result.translation_mm, camera, _WINDOW_PX)


@torch.no_grad()
def _cosines(
    network: RecognitionNetwork,
    photograph: UInt8[np.ndarray, "size size 3"],
    drawn: list[UInt8[np.ndarray, "size size 3"]],
    landmarks_px: Float[np.ndarray, "68 2"],
) -> list[float]:
    pictures = torch.from_numpy(np.stack([photograph, *drawn])).permute(0, 3, 1, 2).float() / 255.0
    points = torch.from_numpy(landmarks_px)[None].expand(len(pictures), -1, -1)
    vectors = torch.nn.functional.normalize(embed_faces(network, pictures, points), dim=1)
    return [float(vectors[0] @ vector) for vector in vectors[1:]]
