"""How BlazeFace's answer becomes the network's crop: the rule for six points in `data/alignment.py`, by least squares.

    python -m tools.calibrate_window --data shards/train

Every fifth photograph is left out of the fit, and says how good the rule is; the rule itself is then fitted to all.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data.alignment import CropWindow, WindowRule, window_features, window_from_landmarks
from data.blazeface import BlazeFace
from data.detection import Detection
from data.search import FaceSearch, plan_search
from data.shards import decode_sample, list_shards, read_shard
from evaluation.metrics import intersection_over_union, landmark_box

_RIDGE = 1e-3
_LEAST_OVERLAP = 0.3
_SMALLEST_PX = 40.0
_LEFT_OUT = 5


def detected(folder: Path, per_shard: int) -> Iterator[tuple[Detection, CropWindow]]:
    """Faces of labelled photographs as BlazeFace sees them, with the window of their landmarks."""
    search = FaceSearch(BlazeFace())
    for shard in list_shards(folder):
        members = list(read_shard(shard).items())
        for key, content in members[:: max(len(members) // per_shard, 1)]:
            sample = decode_sample({"__key__": key, **content})
            if sample.landmarks68_px is None or sample.landmarks68_weight == 0.0:
                continue
            points = sample.landmarks68_px[:, :2].astype(np.float64)
            height, width = sample.patch_srgb.shape[:2]
            faces = search.find(sample.patch_srgb, plan_search(width, height, _SMALLEST_PX))
            best = max(faces, key=lambda face: intersection_over_union(face.box_px, landmark_box(points)), default=None)
            if best and intersection_over_union(best.box_px, landmark_box(points)) > _LEAST_OVERLAP:
                yield best, window_from_landmarks(points)


def fit_rule(pairs: Sequence[tuple[Detection, CropWindow]]) -> WindowRule:
    """The rule that explains the windows best."""
    features = [window_features(face) for face, _ in pairs]
    odd, even = np.stack([one for one, _ in features]), np.stack([one for _, one in features])
    centers = np.array([(np.array(w.center_px) - face.center_px) / face.side_px for face, w in pairs])
    sides = np.log([window.side_px / face.side_px for face, window in pairs])
    return WindowRule(_solve(odd, centers[:, 0]), _solve(even, centers[:, 1]), _solve(even, sides))


def _solve(
    features: Float[np.ndarray, "face feature"], wanted: Float[np.ndarray, " face"]
) -> Float[np.ndarray, " feature"]:
    gram = features.T @ features + _RIDGE * len(features) * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ wanted)


def errors_percent(rule: WindowRule, pairs: Sequence[tuple[Detection, CropWindow]]) -> tuple[float, float]:
    """Mean distance of centres and mean difference of sides, in percent of the landmarks' window's side."""
    off = []
    for face, window in pairs:
        odd, even = window_features(face)
        center = face.center_px + face.side_px * np.array([odd @ rule.center_x, even @ rule.center_y])
        side = face.side_px * np.exp(even @ rule.log_side)
        distance = np.linalg.norm(center - window.center_px)
        off.append((distance / window.side_px, abs(side / window.side_px - 1.0)))
    center_off, side_off = 100.0 * np.mean(off, axis=0)
    return float(center_off), float(side_off)


def main() -> None:
    """Read the command line, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of shards of training photographs")
    parser.add_argument("--per-shard", type=int, default=60, help="photographs of each shard")
    arguments = parser.parse_args()
    pairs = list(detected(arguments.data, arguments.per_shard))
    fitted = [pair for index, pair in enumerate(pairs) if index % _LEFT_OUT]
    center, side = errors_percent(fit_rule(fitted), pairs[::_LEFT_OUT])
    print(f"{len(pairs)} faces; those left out: centre off by {center:.1f} % of the side, side by {side:.1f} %")
    for name, values in vars(fit_rule(pairs)).items():
        print(f"{name}=np.array({np.round(values, 3).tolist()}),")


if __name__ == "__main__":
    main()
