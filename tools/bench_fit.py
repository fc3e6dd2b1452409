"""What the fits of stage 0 and 1 are worth: on drawn heads, whose shape is known, and on photographs.

    python -m tools.bench_fit [--heads 24] [--photographs DIR] [--landmark_noise 0.015] [--pictures sheet.png]

Heads are drawn with bumps that the morphable model cannot make (`training.relief`) and with what hides parts of faces,
and are first reconstructed by the network, as in use.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.paths import DEFAULT_CHECKPOINT, DEFAULT_HIERARCHY
from data.image_io import UnreadableImageError, find_images
from data.synthetic import SyntheticConfig, SyntheticFaces
from inference.face_crop import Landmarks, cut_face
from inference.likeness import Likeness
from model.checkpoint import load_reconstructor
from model.face.hierarchy import load_hierarchy
from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics, project
from model.geometry.procrustes import align_similarity
from model.reconstructor import Reconstructor
from model.refine.face import FaceCrop, FittedFace, StageRecord, detached
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.landmarks.fit import fit_landmarks
from model.refine.raster.config import RasterFitConfig
from model.refine.raster.fit import fit_raster
from model.refine.raster.levels import compared_vertices, draw, make_level
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer
from tools.command import run_tool
from training.relief import Relief
from training.synthetic_geometry import HELD_OUT_SEED, geometry_weight
from training.synthetic_heads import MorphableHeadArtist, scene_parameters


@dataclass(frozen=True)
class Case:
    """One face to be fitted.

    Attributes:
        name: For the table.
        crop: Its window, with the landmarks that the fits go by.
        start: The network's answer.
        vertices_mm: The truth in model space; None for photographs.
        albedo_linear: Its true skin, likewise.
    """

    name: str
    crop: FaceCrop
    start: FittedFace
    vertices_mm: Float[Tensor, "1 vertex 3"] | None = None
    albedo_linear: Float[Tensor, "1 vertex 3"] | None = None


@dataclass(frozen=True)
class Fitted:
    """The answers about one face, and what became of the stages."""

    after_landmarks: FittedFace
    after_raster: FittedFace
    landmarks: StageRecord
    raster: StageRecord
    cpu_seconds: float


def bench(
    heads: int = 24,
    photographs: Path | None = None,
    size_px: int = 256,
    landmark_noise: float = 0.0,
    network: bool = True,
    checkpoint: Path = DEFAULT_CHECKPOINT,
    landmarks: LandmarkFitConfig | None = None,
    raster: RasterFitConfig | None = None,
    pictures: Path | None = None,
) -> None:
    """Print the tables.

    Args:
        heads: Drawn heads; 0 for none.
        photographs: A folder of photographs; each one's largest face is fitted.
        size_px: Side of the window.
        landmark_noise: Give the heads' fits their true landmarks with this standard deviation over the size of the
            face, as a good detector would; 0 for the network's own, from which the landmark fit learns nothing.
        network: Start from the network's answer; else from the mean head.
        checkpoint: The network.
        landmarks: Settings of stage 0.
        raster: Settings of stage 1.
        pictures: Where to write what was fitted, one row a face: photograph, start, fit, what is unoccluded.
    """
    torch.set_num_threads(1)
    reconstructor = load_reconstructor(checkpoint)
    model = reconstructor.morphable_model
    configs = landmarks or LandmarkFitConfig(), raster or RasterFitConfig()
    rows = []
    cases: list[tuple[str, Iterator[Case]]] = []
    if heads > 0:
        cases.append(("drawn heads", drawn_heads(reconstructor, heads, size_px, landmark_noise)))
    if photographs is not None:
        cases.append((str(photographs), photograph_cases(reconstructor, photographs, size_px)))
    for title, group in cases:
        table: list[dict[str, float]] = []
        for case in group:
            fitted = fit(model, case, *configs, network=network)
            table.append(figures(model, case, fitted))
            if len(table) == 1:
                print(f"{title}\n{'':<24}" + "".join(f"{name:>11}" for name in table[0]))
            print(f"{case.name[:23]:<24}" + "".join(f"{value:>11.3f}" for value in table[-1].values()), flush=True)
            if pictures is not None:
                rows.append(picture_row(model, case, fitted))
        print_means(table)
    if pictures is not None and rows:
        sheet = (255.0 * np.concatenate(rows)).round().astype(np.uint8)
        cv2.imwrite(str(pictures), sheet[..., ::-1])


def fit(
    model: MorphableModel, case: Case, landmarks: LandmarkFitConfig, raster: RasterFitConfig, *, network: bool = True
) -> Fitted:
    """Run both stages on a case."""
    started = time.process_time()
    first, first_record = fit_landmarks(model, case.crop, case.start if network else None, landmarks)
    second, second_record = fit_raster(model, case.crop, first, raster)
    return Fitted(first, second, first_record, second_record, time.process_time() - started)


def figures(model: MorphableModel, case: Case, fitted: Fitted) -> dict[str, float]:
    """What is printed of a face: mm and linear albedo where the truth is known, %, dB, s of one core."""
    row: dict[str, float] = {}
    if case.vertices_mm is not None and case.albedo_linear is not None:
        faces = {"network": case.start, "stage 0": fitted.after_landmarks, "stage 1": fitted.after_raster}
        row["mean mm"] = shape_error_mm(model, model.mean_mm[None], case.vertices_mm)
        for name, face in faces.items():
            row[f"{name} mm"] = shape_error_mm(model, face.mesh(model).vertices_mm, case.vertices_mm)
        skin = model.region("face") & ~model.region("eyes")
        for name, face in (("albedo", case.start), ("albedo 1", fitted.after_raster)):
            error = model.albedo_linear(face.parameters.albedo) - case.albedo_linear
            row[name] = float(error[0, skin].norm(dim=-1).mean())
    of = fitted.raster.figures
    row["lm 0 %"] = fitted.landmarks.figures.get("residual_before_percent", float("nan"))
    row["lm 1 %"] = of["landmarks_after_percent"]
    row["dB before"], row["dB after"] = of["psnr_before_db"], of["psnr_after_db"]
    row["stat dB 0"], row["stat dB 1"] = of["psnr_statistical_before_db"], of["psnr_statistical_after_db"]
    row["free %"], row["kept"], row["cpu s"] = (
        of["unoccluded_percent"],
        float(fitted.raster.accepted),
        fitted.cpu_seconds,
    )
    return row


def print_means(table: list[dict[str, float]]) -> None:
    """Mean and standard deviation of every column, and how many shapes got worse."""
    if not table:
        return
    values = np.array([list(row.values()) for row in table])
    for name, line in (("mean", np.nanmean(values, 0)), ("standard deviation", np.nanstd(values, 0))):
        print(f"{name:<24}" + "".join(f"{value:>11.3f}" for value in line))
    for stage, before in (("stage 0 mm", "network mm"), ("stage 1 mm", "stage 0 mm")):
        if stage in table[0]:
            worse = sum(row[stage] > row[before] + 0.05 for row in table)
            print(f"{stage[:7]}: shape worse by more than 0.05 mm in {worse} of {len(table)}")


@torch.no_grad()
def shape_error_mm(
    model: MorphableModel, vertices_mm: Float[Tensor, "1 vertex 3"], truth_mm: Float[Tensor, "1 vertex 3"]
) -> float:
    """Mean distance over the face after the best similarity, as `evaluation.shapes` measures it."""
    weight = geometry_weight(model)
    error = align_similarity(vertices_mm, truth_mm, weight) - truth_mm
    return float(error[0, weight >= 1.0].norm(dim=-1).mean())


def drawn_heads(reconstructor: Reconstructor, count: int, size_px: int, landmark_noise: float) -> Iterator[Case]:
    """Heads that no training has seen, with the network's answer."""
    model = reconstructor.morphable_model
    relief = Relief(model, load_hierarchy(DEFAULT_HIERARCHY))
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer("cpu")), relief)
    faces = SyntheticFaces(artist, SyntheticConfig(size=size_px, seed=HELD_OUT_SEED, scale_jitter=0, shift_jitter=0))
    side = reconstructor.image_size
    for index in range(count):
        face = faces.face(index)
        image = torch.from_numpy(face.sample["image_srgb"])
        intrinsics_px = torch.from_numpy(face.sample["intrinsics_px"])
        small = torch.nn.functional.interpolate(image[None], size=(side, side), mode="bilinear", antialias=True)
        with torch.no_grad():
            answer = reconstructor(
                small.clamp(0.0, 1.0), crop_intrinsics(intrinsics_px, 0.0, 0.0, side / size_px)[None]
            )
        points_px = project(answer.parameters.to_camera(answer.landmarks68_mm), intrinsics_px[None])[0, :, :2]
        if landmark_noise > 0.0:
            points_px = torch.from_numpy(face.sample["landmarks68_px"][:, :2])
            box_px = (points_px.amax(0) - points_px.amin(0)).prod().sqrt()
            noise = torch.randn(68, 2, generator=torch.Generator().manual_seed(index))
            points_px = points_px + landmark_noise * box_px * noise
        inside, weight = torch.ones(size_px, size_px), torch.ones(68)
        crop = FaceCrop(image, inside, bool(face.sample["color"]), intrinsics_px, points_px, weight)
        albedo = model.albedo_linear(scene_parameters(face.scene).albedo)
        start = FittedFace(answer.parameters, answer.detail, intrinsics_px)
        yield Case(f"head {index}", crop, start, artist.vertices_mm(face.scene), albedo)


def photograph_cases(reconstructor: Reconstructor, folder: Path, size_px: int) -> Iterator[Case]:
    """The largest face of each photograph, with the network's answer and its landmarks."""
    cpu = torch.device("cpu")
    likeness = Likeness.of_network(reconstructor, cpu)
    for path in find_images([folder]):
        try:
            heads = likeness.reconstruct(path, largest_face=True)
        except UnreadableImageError as error:
            print(f"{path.name}: {error}")
            continue
        if not heads:
            print(f"{path.name}: no face was found")
            continue
        image, answer = heads[0].photograph_srgb, heads[0].reconstruction
        points = Landmarks(answer.landmarks68_image[0, :, :2].double().numpy(), np.ones(68))
        _, crop = cut_face(image, points, torch.from_numpy(heads[0].camera.intrinsics_px), size_px, cpu)
        start = detached(FittedFace(answer.parameters, answer.detail, crop.intrinsics_px))
        yield Case(path.stem, crop, start)


@torch.no_grad()
def picture_row(model: MorphableModel, case: Case, fitted: Fitted) -> Float[np.ndarray, "height width 3"]:
    """Photograph, start, fit with the skin of the components, fit, and what is unoccluded."""
    level = make_level(case.crop, case.crop.size_px)
    fit_face = fitted.after_raster

    def drawn(face: FittedFace) -> Tensor:
        mesh = face.mesh(model)
        skin = mesh.albedo_linear.clamp(0.0, 1.0)
        view = draw(
            model,
            build_rasterizer(),
            level,
            mesh.vertices_camera_mm,
            skin,
            compared_vertices(model),
            face.intrinsics_px,
        )
        return linear_to_srgb(view.image_linear(face.parameters.lighting))[0]

    bare = fit_face
    if fit_face.detail is not None:
        nothing = torch.zeros_like(fit_face.detail.albedo_linear)
        bare = replace(fit_face, detail=replace(fit_face.detail, albedo_linear=nothing))
    mask = fit_face.unoccluded
    shown = torch.zeros_like(level.image_srgb[0, 0]) if mask is None else mask
    tiles = [level.image_srgb[0].permute(1, 2, 0), drawn(case.start), drawn(bare), drawn(fit_face)]
    return torch.cat([*tiles, shown[..., None].expand(-1, -1, 3)], dim=1).numpy()


if __name__ == "__main__":
    run_tool(bench)
