"""Find where a head's landmarks lie, from labelled photographs.

    python -m tools.fit_landmarks --head HEAD --photographs FOLDER --output tools/head/landmarks.npz [--fits FITS]

`HEAD` is a `likeness-head-1` file whose `ibug68` set holds the source's own 68 vertices. Both sets come out mirror-
symmetric and on the surface: `ibug68` (eyes on the lid margins, lips on their own lip, jaw on the true contour) from
the 68 labels of AFLW photographs with hand-made points, yaw spread evenly; then `mediapipe478` from near-frontal
photographs with a good dense mesh, fitted together with the 68 so that both sets see the same people. The output holds
for each set `SET_point` (mm, mean head), `SET_face`, `SET_corners` (its vertices, for readers that cut or order the
triangles otherwise), `SET_barycentric`, and `mean_identity`; `FITS` gets head and pose
of every photograph. Labels of AFLW2000-3D are not read. About 3 minutes on one core.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator

from common.atomic import atomic_path
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from model.face.assets import HeadAssets, load_head
from tools.statistics.fitting import FitConfig, PointFit, fit_points, normalized_mean_error
from tools.statistics.landmark_positions import MoveConfig, PlacedLandmarks, place_landmarks, point_model
from tools.statistics.photographs import (
    IBUG68_FROM_MEDIAPIPE,
    PhotographLabels,
    good_meshes,
    load_aligned_meshes,
    load_labels,
)
from tools.statistics.semantic_projection import Ibug68Projection, MediapipeProjection, iris_points
from tools.statistics.surface import SurfacePoints

YAW_BINS_DEG = (0.0, 30.0, 60.0, 180.0)
MESH_POINTS = 468
"""MediaPipe's points without the ten of the irises, which are placed on the eyeballs instead."""


def choose_photographs(
    labels: PhotographLabels, per_bin: int, seed: int = 0
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held_out"]]:
    """AFLW rows with trusted hand-made points, evenly over six bins of |yaw|; the held-out half is disjoint."""
    good = labels.reliable & ~labels.held_out & (labels.source == "aflw") & (labels.hand_residual < 0.06)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(good))
    bins = np.minimum(np.abs(labels.yaw_deg[rows]) // 15, 5)
    chosen = [rows[bins == k] for k in range(6)]
    return np.concatenate([c[:per_bin] for c in chosen]), np.concatenate([c[per_bin:][:per_bin] for c in chosen])


def _tensors(labels: PhotographLabels, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(labels.points68[rows]), torch.from_numpy(labels.box_px[rows].astype(np.float32))


def place_ibug68(head: HeadAssets, labels: PhotographLabels, rows: Int[np.ndarray, " train"]) -> PlacedLandmarks:
    """The 68 on the surface, from the source's own vertices."""
    projection = Ibug68Projection(head)
    return place_landmarks(
        head, projection.start_mm, IBUG68_MIRROR, projection, *_tensors(labels, rows), FitConfig(), MoveConfig()
    )


def choose_meshes(folder: Path, labels: PhotographLabels, count: int, seed: int = 1) -> Int[np.ndarray, " photo"]:
    """Near-frontal photographs whose dense mesh agrees with the hand-made points."""
    good = good_meshes(folder, labels, 25.0) & ~labels.held_out & (labels.size_hw.min(1) >= 100)
    return np.random.default_rng(seed).permutation(np.flatnonzero(good))[:count]


def place_mediapipe478(
    head: HeadAssets, folder: Path, labels: PhotographLabels, anchor: PlacedLandmarks, count: int = 600
) -> PlacedLandmarks:
    """The 478 on the surface: mean mesh warped onto the 68, then refined on photographs."""
    rows = choose_meshes(folder, labels, count)
    mesh = load_aligned_meshes(folder, labels, rows)[:, :MESH_POINTS]
    points68, box = _tensors(labels, rows)
    anchor_mm = anchor.points.evaluate(head.vertices_mm, head.faces)
    start_mm = _warp_mean_mesh(np.load(folder / "annotations.npz")["mesh_mean"], anchor_mm)[:MESH_POINTS]
    # 468 points of one smooth network are worth about as much as the 68.
    weight = torch.cat([torch.ones(68), torch.full((MESH_POINTS,), 68.0 / MESH_POINTS)])
    placed = place_landmarks(
        head,
        start_mm,
        MEDIAPIPE478_MIRROR[:MESH_POINTS],
        MediapipeProjection(head),
        torch.cat([points68, torch.from_numpy(mesh)], dim=1),
        box,
        FitConfig(),
        MoveConfig(rounds=2),
        anchor=anchor,
        point_weight=weight,
    )
    irises = iris_points(head)
    points = SurfacePoints(
        np.concatenate([placed.points.face, irises.face]),
        np.concatenate([placed.points.barycentric, irises.barycentric]),
    )
    return PlacedLandmarks(points, anchor.mean_identity)


def _warp_mean_mesh(
    mesh_mean: Float[np.ndarray, "478 3"], points68_mm: Float[np.ndarray, "68 3"]
) -> Float[np.ndarray, "478 3"]:
    """Similarity, then a smoothing thin-plate spline, from MediaPipe's mean mesh to the 68 of the head."""
    mesh = mesh_mean.astype(np.float64) * (1.0, -1.0, -1.0)
    use = np.array([8, *range(17, 68)])
    start, goal = mesh[IBUG68_FROM_MEDIAPIPE[use]], points68_mm[use].astype(np.float64)
    start_mean, goal_mean = start.mean(0), goal.mean(0)
    left, spread, right = np.linalg.svd((goal - goal_mean).T @ (start - start_mean))
    sign = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    scale = (spread * sign).sum() / ((start - start_mean) ** 2).sum()
    aligned = scale * (mesh - start_mean) @ (left * sign @ right).T + goal_mean
    anchors = aligned[IBUG68_FROM_MEDIAPIPE[use]]
    warped = aligned + RBFInterpolator(anchors, goal - anchors, smoothing=30.0)(aligned)
    return (0.5 * (warped + warped[MEDIAPIPE478_MIRROR] * (-1.0, 1.0, 1.0))).astype(np.float32)


def report(head: HeadAssets, points: PlacedLandmarks, labels: PhotographLabels, rows: np.ndarray, title: str) -> None:
    """Print the NME a fitted head leaves on photographs, by |yaw|."""
    points68, box = _tensors(labels, rows)
    center = torch.from_numpy(points.mean_identity)
    fits = fit_points(point_model(head, points.points), points68, FitConfig(), identity_center=center)
    error, yaw = normalized_mean_error(fits.residual_px, box), np.abs(labels.yaw_deg[rows])
    bins = zip(YAW_BINS_DEG[:-1], YAW_BINS_DEG[1:], strict=True)
    numbers = " / ".join(f"{error[(yaw >= low) & (yaw < high)].mean():.2f}" for low, high in bins)
    spread = (fits.identity - center).square().mean().sqrt()
    print(
        f"{title}: NME {numbers} % on {len(rows)} held-out photographs, identities spread {spread:.2f} sd", flush=True
    )


def save_fits(path: Path, fits: PointFit, error: np.ndarray, mean_identity: np.ndarray) -> None:
    """Write the head and pose of every photograph; image axes x right, y up from the top-left corner (y <= 0)."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            identity=fits.identity.numpy().astype(np.float16),
            expression=fits.expression.numpy().astype(np.float16),
            rotation=fits.rotation.numpy(),
            scale=fits.scale.numpy(),
            shift_px=fits.shift_px.numpy(),
            nme_percent=error.astype(np.float32),
            mean_identity=mean_identity,
        )


def main() -> None:
    """Place both sets, print what they leave, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--fits", type=Path, default=None)
    parser.add_argument("--per-yaw-bin", type=int, default=200, help="photographs per 15 degrees of |yaw|")
    arguments = parser.parse_args()
    head, labels = load_head(arguments.head), load_labels(arguments.photographs)
    train, held_out = choose_photographs(labels, arguments.per_yaw_bin)
    projection = Ibug68Projection(head)
    before = PlacedLandmarks(projection(projection.start_mm), np.zeros(len(head.identity_basis), np.float32))
    report(head, before, labels, held_out, "source's own ibug68")
    ibug68 = place_ibug68(head, labels, train)
    report(head, ibug68, labels, held_out, "placed ibug68")
    mediapipe478 = place_mediapipe478(head, arguments.photographs, labels, ibug68)
    arrays: dict[str, np.ndarray] = {"mean_identity": ibug68.mean_identity}
    for name, placed in (("ibug68", ibug68.points), ("mediapipe478", mediapipe478.points)):
        arrays[f"{name}_point"] = placed.evaluate(head.vertices_mm, head.faces)
        arrays[f"{name}_face"] = placed.face.astype(np.int32)
        arrays[f"{name}_corners"] = head.faces[placed.face].astype(np.int32)
        arrays[f"{name}_barycentric"] = placed.barycentric
    with atomic_path(arguments.output) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    if arguments.fits is not None:
        points68, box = _tensors(labels, np.arange(len(labels.name)))
        center = torch.from_numpy(ibug68.mean_identity)
        fits = fit_points(point_model(head, ibug68.points), points68, FitConfig(iterations=4), identity_center=center)
        save_fits(arguments.fits, fits, normalized_mean_error(fits.residual_px, box), ibug68.mean_identity)


if __name__ == "__main__":
    main()
