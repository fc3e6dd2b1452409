"""Learn a head's albedo, mean and components, from colour photographs.

    python -m tools.learn_albedo --head HEAD --photographs FOLDER [--output HEAD] [--skins FILE] [--picture PNG]

`HEAD` is a `likeness-head-1` file with its `ibug68` landmarks in place; `FOLDER` holds tars of JPEGs with
`annotations.npz` and `landmarks68.npz`. Each photograph is fitted (pose, identity, expression), the colours of all skin
vertices are read where they are seen, light and albedo are separated, hair, glasses and hands are doubted, left and
right are joined, and components come from probabilistic PCA with gaps (`tools/statistics/albedo_learning.py` holds the
priors). Skin that photographs do not show follows the tone of the face; eyes, teeth, tongue are painted.
Deterministic; about 6 minutes on one core.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int

from model.face.assets import HeadAssets, load_head, save_head
from model.render.backends import build_rasterizer
from tools.statistics.albedo_areas import believed_area, landmark_points, symmetric_sides
from tools.statistics.albedo_fill import extend_skin, paint_inner_parts
from tools.statistics.albedo_learning import RANKS, AlbedoLearner
from tools.statistics.albedo_picture import components_picture
from tools.statistics.fitting import FitConfig, PointFit, fit_points, normalized_mean_error, point_model
from tools.statistics.photograph_colors import sample_colors
from tools.statistics.photographs import PhotographLabels, good_meshes, load_aligned_meshes, load_labels
from tools.statistics.skins import save_skins, seen_skins
from tools.statistics.surface import SurfacePoints


def choose_photographs(labels: PhotographLabels, per_source: int, seed: int = 3) -> Int[np.ndarray, " photo"]:
    """Reliable colour photographs that are not full profiles, so many of each source."""
    good = labels.reliable & ~labels.held_out & labels.color
    good &= (np.abs(labels.yaw_deg) < 70) & (labels.size_hw.min(1) >= 90)
    generator = np.random.default_rng(seed)
    rows = [
        generator.permutation(np.flatnonzero(good & (labels.source == s)))[:per_source] for s in ("web", "misc", "aflw")
    ]
    return np.sort(np.concatenate(rows))


def fit_heads(
    head: HeadAssets, folder: Path, labels: PhotographLabels, rows: Int[np.ndarray, " photo"]
) -> tuple[PointFit, Int[np.ndarray, " kept"]]:
    """Fit all, keep the rows whose points the head reaches (the rest are mislabelled or occluded).

    Where there is a good dense mesh, its points on lids, lips, brows and nose sharpen the fit.
    """
    dense = good_meshes(folder, labels, 30.0)[rows]
    stored = head.landmarks["ibug68"]
    points = SurfacePoints(stored.face.astype(np.int64), stored.barycentric)
    parts = [(rows[~dense], points, torch.from_numpy(labels.points68[rows[~dense]]), torch.ones(68))]
    if dense.any():
        inner = _inner_mesh_points(head)
        stored = head.landmarks["mediapipe478"]
        both = SurfacePoints(
            np.concatenate([points.face, stored.face[inner].astype(np.int64)]),
            np.concatenate([points.barycentric, stored.barycentric[inner]]),
        )
        mesh = load_aligned_meshes(folder, labels, rows[dense])[:, inner]
        joined = np.concatenate([labels.points68[rows[dense]], mesh], axis=1)
        weight = torch.cat([torch.full((68,), 0.5), torch.full((len(inner),), 68.0 / len(inner))])
        parts.append((rows[dense], both, torch.from_numpy(joined), weight))
    center = None if head.identity_center is None else torch.from_numpy(head.identity_center)
    fits, errors = [], []
    for part_rows, part_points, part_labels, weight in parts:
        config = FitConfig(iterations=4, batch=128)
        fit = fit_points(
            point_model(head, part_points), part_labels, config, identity_center=center, point_weight=weight
        )
        residual = fit.residual_px[:, :68]
        errors.append(normalized_mean_error(residual, torch.from_numpy(labels.box_px[part_rows].astype(np.float32))))
        fits.append(replace(fit, residual_px=residual))
    fields = PointFit.__dataclass_fields__
    joined_fits = [torch.cat([getattr(fit, name) for fit in fits]) for name in fields]
    error = np.concatenate(errors)
    kept = np.flatnonzero(error < np.percentile(error, 97))
    chosen = torch.from_numpy(kept)
    return PointFit(*(values[chosen] for values in joined_fits)), np.concatenate([part[0] for part in parts])[kept]


def _inner_mesh_points(head: HeadAssets) -> Int[np.ndarray, " inner"]:
    """MediaPipe's points within 14 mm of a brow, the nose, an eye or the mouth of iBUG's, irises left out."""
    stored = head.landmarks["mediapipe478"]
    dense = SurfacePoints(stored.face.astype(np.int64), stored.barycentric).evaluate(head.vertices_mm, head.faces)
    distance = np.linalg.norm(dense[:468, None] - landmark_points(head)[None, 17:], axis=2).min(1)
    return np.flatnonzero(distance < 14.0)[::2]


def learn_albedo(
    head: HeadAssets, folder: Path, per_source: int, skins: int = 0
) -> tuple[HeadAssets, Float[np.ndarray, "skin vertex 3"]]:
    """The head with its albedo replaced by the learned one.

    Args:
        head: With landmarks `ibug68` and its regions.
        folder: Photographs.
        per_source: Photographs taken of each source, at most.
        skins: How many photographs' own skins are wanted.

    Returns:
        The head, albedo arrays mirror-symmetric; and the skins (`tools.statistics.skins`).
    """
    labels = load_labels(folder)
    fits, rows = fit_heads(head, folder, labels, choose_photographs(labels, per_source))
    domain = np.flatnonzero(head.regions["skin"] & head.regions["skin"][head.mirror])
    names = [str(name) for name in labels.name[rows]]
    samples = sample_colors(head, fits, names, folder, domain, build_rasterizer("cpu"))
    print(f"{len(rows)} photographs, {len(domain)} vertices sampled", flush=True)
    sides, half = symmetric_sides(head, domain)
    learner = AlbedoLearner(samples, sides)
    for index, rank in enumerate(RANKS):
        learner.round(rank, index)
        mean = learner.model.mean[sides.core].mean(0).tolist()
        print(
            f"round {index + 1}: {rank} components, residual {learner.residual:.4f}, mean skin {np.round(mean, 3)}",
            flush=True,
        )
    maps = np.zeros((1 + len(learner.model.basis), len(head.vertices_mm), 3), np.float32)
    learned = torch.cat([learner.model.mean[None], learner.model.basis]).numpy()
    maps[:, half] = maps[:, head.mirror[half]] = learned
    seen = np.zeros(len(head.vertices_mm))
    seen[half] = seen[head.mirror[half]] = learner.seen.numpy()
    learned_head = with_albedo(head, maps, seen)
    return learned_head, seen_skins(learned_head, learner, half, skins)


def with_albedo(
    head: HeadAssets, maps: Float[np.ndarray, "map vertex 3"], seen: Float[np.ndarray, " vertex"]
) -> HeadAssets:
    """Extend learned maps (mean first) over the whole head and put them into it."""
    area = believed_area(head)
    typical = np.median(seen[area > 0.5])
    confidence = area * (seen / (0.25 * typical)).clip(0.0, 1.0)
    reference = (confidence > 0.9) & ~head.regions["lips"] & ~head.regions["eyelids"]
    full = extend_skin(head, maps, confidence, reference)
    full = 0.5 * (full + full[:, head.mirror])
    mean, basis = paint_inner_parts(head, full[0].clip(0.0, 1.0), full[1:])
    mean, basis = 0.5 * (mean + mean[head.mirror]), 0.5 * (basis + basis[:, head.mirror])
    # The tone stays first; what was cut off outside the face has changed the others' order a little.
    variance = np.square(basis[1:, head.regions["face"]]).sum((1, 2))
    basis = basis[[0, *(1 + np.argsort(-variance, kind="stable"))]]
    return replace(head, albedo_mean=mean.astype(np.float32), albedo_basis=basis.astype(np.float32))


def main() -> None:
    """Learn, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=None, help="head file to write; default: --head itself")
    parser.add_argument("--skins", type=Path, default=None, help="file of skins for drawn heads to write")
    parser.add_argument("--skin-count", type=int, default=1500)
    parser.add_argument("--picture", type=Path, default=None)
    parser.add_argument("--per-source", type=int, default=2400)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    head, skins = learn_albedo(
        load_head(arguments.head),
        arguments.photographs,
        arguments.per_source,
        0 if arguments.skins is None else arguments.skin_count,
    )
    save_head(head, arguments.output or arguments.head)
    if arguments.skins is not None:
        save_skins(arguments.skins, skins)
    if arguments.picture is not None:
        cv2.imwrite(str(arguments.picture), components_picture(head)[..., ::-1])


if __name__ == "__main__":
    main()
