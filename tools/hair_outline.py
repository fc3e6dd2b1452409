"""How well the hair of heads fits their photographs.

    python -m tools.hair_outline --images FOLDER_OR_PHOTOGRAPHS [--output sheet.png]

Prints, for the largest face of each photograph: the intersection over union of hair and of head with hair, mask against
mesh as the photograph's camera sees it; the mean distance of the two outlines over the height of the face, brows to
chin; and how far the head comes through its hair at any of its expressions. A photograph whose hair reaches its border
is counted as far as it is seen. `--output` draws mesh and mask over each photograph.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from jsonargparse import auto_cli

from data.alignment import transform_points
from inference.head import Head
from inference.inputs import list_inputs
from inference.likeness import Likeness
from model.face.morphable_model import MorphableModel
from model.look.face_result import FaceResult
from model.look.hair_grid import grid_place, outer_radius, scalp_template
from model.look.hair_mesh import COVER_CUTOFF, HairMesh
from model.look.hair_shell import project_points
from model.person.classes import HAIR, SKIN
from model.person.mask import PersonMask
from model.render.backends import build_rasterizer

_TILE_PX = 320


@dataclass(frozen=True)
class OutlineFit:
    """How well the hair of one head fits.

    Attributes:
        hair_iou: Hair of the mesh against hair of the mask.
        head_iou: Head with hair, above the chin or covered by hair, against skin and hair of the mask there.
        outline_percent: Mean distance of the outline of the mask's head and hair to the mesh's, % of the face's height.
        pierced_mm: How far skin comes out of the hair at any expression; 0 or less where none does.
    """

    hair_iou: float
    head_iou: float
    outline_percent: float
    pierced_mm: float


def main(images: list[Path], output: Path | None = None) -> None:
    """Measure the hair of the largest face of each photograph.

    Args:
        images: Photographs and folders of them.
        output: Picture to draw; none by default.
    """
    likeness = Likeness.load()
    fits, tiles = [], []
    print("photograph                      hair IoU  head IoU  outline %  pierced mm")
    for item in list_inputs(images, output or Path("results")):
        for head in likeness.reconstruct(str(item.path), largest_face=True):
            mask = likeness.hair_maker.mask(head.photograph_srgb, head.result)
            if head.hair is None or head.hair.mesh is None:
                print(f"{item.path.name:30s}  no hair")
                continue
            drawn = seen_classes(head.result, head.hair.mesh, mask)
            fit = outline_fit(head.result, head.hair.mesh, mask, drawn, likeness.morphable_model)
            fits.append(fit)
            print(
                f"{item.path.name:30s}  {fit.hair_iou:8.3f}  {fit.head_iou:8.3f}  {fit.outline_percent:9.2f}  "
                f"{fit.pierced_mm:10.2f}",
                flush=True,
            )
            tiles.append(_tile(head, mask, drawn))
    if fits:
        means = [np.mean([getattr(fit, name) for fit in fits]) for name in ("hair_iou", "head_iou", "outline_percent")]
        worst = max(fit.pierced_mm for fit in fits)
        print(f"{'mean; worst':30s}  {means[0]:8.3f}  {means[1]:8.3f}  {means[2]:9.2f}  {worst:10.2f}")
    if output is not None and tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 6)
        rows = [np.concatenate(tiles[start : start + 6], axis=1) for start in range(0, len(tiles), 6)]
        cv2.imwrite(str(output), np.concatenate(rows)[..., ::-1])


def seen_classes(result: FaceResult, hair: HairMesh, mask: PersonMask) -> UInt8[np.ndarray, "size size"]:
    """What the photograph's camera sees of head and hair: 0 nothing, 1 the head, 2 hair; in the mask's window."""
    size, rasterizer = len(mask.share), build_rasterizer("cpu")

    def drawn(image: Float[np.ndarray, "vertex 3"], faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        local = np.concatenate((transform_points(mask.to_window, image[:, :2]), image[:, 2:]), axis=1)
        vertices = torch.from_numpy(local.astype(np.float32))[None]
        triangles = torch.from_numpy(np.ascontiguousarray(faces, np.int32))
        fragments = rasterizer.rasterize(vertices, triangles, size, size)
        return fragments.face_index[0].numpy(), fragments.barycentric[0].numpy()

    seen = (drawn(result.vertices_image, result.faces)[0] >= 0).astype(np.uint8)
    image = project_points(hair.vertices_mm.astype(np.float64), result)
    corners = image[:, :2][hair.faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    near = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0.0
    for front in (False, True):
        faces = hair.faces[near == front]
        if not len(faces):
            continue
        index, weight = drawn(image, faces)
        uv = (hair.uv[faces[index.clip(min=0)]] * weight[..., None]).sum(-2)
        texels = hair.texture.cover
        column, row = (uv * (1, -1) + (0, 1)).clip(0, 1 - 1e-6).transpose(2, 0, 1) * len(texels)
        covered = (index >= 0) & (texels[row.astype(int), column.astype(int)] > 255 * COVER_CUTOFF)
        # The far side is seen beside the head only.
        seen[covered & (front | (seen == 0))] = 2
    return seen


def outline_fit(
    result: FaceResult,
    hair: HairMesh,
    mask: PersonMask,
    drawn: UInt8[np.ndarray, "size size"],
    model: MorphableModel,
) -> OutlineFit:
    """Compare mesh and mask.

    Args:
        result: The face.
        hair: Its hair.
        mask: Of its photograph.
        drawn: `seen_classes` of them.
        model: The head model.
    """
    known = mask.known > 0.5
    kind = mask.share.argmax(-1)
    points = transform_points(mask.to_window, result.landmarks68_px)
    face_px = float(np.linalg.norm(points[8] - points[17:27].mean(0)))
    down = (points[8] - points[17:27].mean(0)) / face_px
    y, x = np.mgrid[: len(kind), : len(kind)] + 0.5
    above_chin = ((x - points[8, 0]) * down[0] + (y - points[8, 1]) * down[1]) < 0.0
    wanted = known & ((kind == HAIR) | (kind == SKIN) & above_chin)
    made = known & ((drawn == 2) | (drawn == 1) & above_chin & (kind != 3))
    return OutlineFit(
        hair_iou=_iou((kind == HAIR) & known, (drawn == 2) & known),
        head_iou=_iou(wanted, made),
        outline_percent=100.0 * _outline_distance_px(wanted, made, known) / face_px,
        pierced_mm=pierced_mm(result, hair, model),
    )


def pierced_mm(result: FaceResult, hair: HairMesh, model: MorphableModel) -> float:
    """How far the skin comes out of the hair at the most, over all expressions at full weight; without the ears."""
    template = scalp_template(model)
    basis = model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()
    rest = result.vertices_mm - np.einsum("e,evx->vx", result.expression, basis)
    place = grid_place(hair.vertices_mm.astype(np.float64))
    texels = hair.texture.cover
    column, row = (hair.uv * (1, -1) + (0, 1)).clip(0, 1 - 1e-6).T * len(texels)
    covered = texels[row.astype(int), column.astype(int)] > 255 * COVER_CUTOFF
    worst = -np.inf
    for offsets in (*basis, np.zeros_like(rest)):
        radius = outer_radius(rest + offsets, template.bare_faces)
        cell = radius[place[:, 1].astype(int).clip(0, len(radius) - 1), place[:, 0].astype(int) % radius.shape[1]]
        worst = max(worst, float((cell - place[:, 2])[covered].max(initial=-np.inf)))
    return worst


def _iou(first: Bool[np.ndarray, "size size"], second: Bool[np.ndarray, "size size"]) -> float:
    return float((first & second).sum() / max(int((first | second).sum()), 1))


def _outline_distance_px(
    wanted: Bool[np.ndarray, "size size"], made: Bool[np.ndarray, "size size"], known: Bool[np.ndarray, "size size"]
) -> float:
    """Mean distance of the wanted outline's pixels to the made outline, where the photograph goes on on both sides."""
    inner = cv2.erode(known.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    lines = [
        cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        for area in (wanted, made)
    ]
    if not (lines[0] & inner).any() or not lines[1].any():
        return float("nan")
    distance = cv2.distanceTransform((~lines[1]).astype(np.uint8), cv2.DIST_L2, 5)
    return float(distance[lines[0] & inner].mean())


def _tile(head: Head, mask: PersonMask, drawn: UInt8[np.ndarray, "size size"]) -> UInt8[np.ndarray, "tile tile 3"]:
    size = len(drawn)
    picture = cv2.warpAffine(head.photograph_srgb, mask.to_window, (size, size)).astype(np.float32)
    picture[drawn == 2] = 0.6 * picture[drawn == 2] + 0.4 * np.array((220, 40, 220))
    hair = (mask.share.argmax(-1) == HAIR).astype(np.uint8)
    picture[cv2.morphologyEx(hair, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0] = (0, 255, 0)
    return cv2.resize(picture.astype(np.uint8), (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
