"""Find where the labels' points lie on the head, without any photograph, and who the labels' mean person is.

    python -m tools.calibrate_landmarks --source ict_facekit_light.npz --convention ibug68_label_mean.npz \
        --meshes annotations.npz --output tools/head/landmarks.npz

The labels' makers measured with shape models of their own, so the mean faces of these models say what their points
mean: both are registered to the head, and each point is read off where it comes to lie.

`--convention` is the registration of the mean face behind iBUG's 68 as AFLW2000-3D draws them (53,215 vertices, 0.13 mm
in the median): `points_mm` (68,3) on the released head and `mean_identity` (K,), standard deviations. `--meshes` holds
`mesh_mean` (478,3), the mean of MediaPipe's dense mesh (x right, y down, z away from the camera, of any size); it is
registered here. Points come out mirror-symmetric: eyes and inner lips of the dense mesh on the head's own lid margins
and lips, irises on the eyeballs, all else on the skin.

The output holds for each set `SET_point` (mm, mean head), `SET_face`, `SET_corners` (its vertices on the source) and
`SET_barycentric`; `mean_identity`; and `spacing_point` (68,3), which is kept from the file before: where the topology
is dense, so that a new meaning of the labels does not change the head's vertices. About a minute on one core.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.atomic import atomic_path
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from model.face.assets import HeadAssets
from model.face.readers.ict import read_ict_facekit
from tools.statistics.photographs import IBUG68_FROM_MEDIAPIPE
from tools.statistics.registration import Registration, RegistrationConfig, register_points
from tools.statistics.semantic_projection import MediapipeProjection, iris_points
from tools.statistics.surface import SurfacePoints, nearest_on_surface, symmetric_points

MESH_POINTS = 468
"""MediaPipe's points without the ten of the irises, which are placed on the eyeballs instead."""

_FLIP = np.array([-1.0, 1.0, 1.0])
_NEUTRAL_OR_SMILING = (
    "browDown",
    "browInnerUp",
    "browOuterUp",
    "eyeBlink",
    "eyeSquint",
    "eyeWide",
    "jawOpen",
    "mouthClose",
    "mouthSmile",
    "mouthUpperUp",
    "mouthLowerDown",
    "mouthPucker",
)
"""What the mean of many photographs may show beside a neutral face, by the blendshapes' names without the side."""


def read_arrays(path: Path, *names: str) -> list[np.ndarray]:
    """Some arrays of an `.npz` file.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If one of the arrays is.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; it must be an .npz with {', '.join(names)}")
    with np.load(path, allow_pickle=False) as archive:
        if missing := sorted(set(names) - set(archive.files)):
            raise ValueError(f"{path}: {', '.join(missing)} missing")
        return [archive[name] for name in names]


def place_ibug68(head: HeadAssets, points_mm: Float[np.ndarray, "68 3"]) -> SurfacePoints:
    """The 68 on the source's skin."""
    skin = np.flatnonzero((head.regions["face"] | head.regions["head"])[head.faces].all(1))

    def project(points: Float[np.ndarray, "68 3"]) -> SurfacePoints:
        return nearest_on_surface(points, head.vertices_mm, head.faces, skin)

    return symmetric_points(head, points_mm, IBUG68_MIRROR, project)


def register_mediapipe(
    head: HeadAssets, mesh_mean: Float[np.ndarray, "478 3"], ibug68_mm: Float[np.ndarray, "68 3"]
) -> Registration:
    """MediaPipe's mean mesh and the head, brought together: by surfaces, and by lids and lips."""
    mesh = mesh_mean.astype(np.float64) * (1.0, -1.0, -1.0)
    mesh = (0.5 * (mesh + mesh[MEDIAPIPE478_MIRROR] * _FLIP))[:MESH_POINTS]
    # Only a start: of brows, nose, eyes and mouth, whose meaning the two share within millimetres.
    inner = np.arange(17, 68)
    start = mesh[IBUG68_FROM_MEDIAPIPE[inner]], ibug68_mm[inner].astype(np.float64)
    allowed = [i for i, name in enumerate(head.expression_names) if name.startswith(_NEUTRAL_OR_SMILING)]
    return register_points(head, mesh, *start, MediapipeProjection, np.array(allowed), RegistrationConfig())


def place_mediapipe478(head: HeadAssets, registration: Registration) -> SurfacePoints:
    """The 478 on the mean head: what lies under each registered point, irises on the eyeballs."""
    on_mean = registration.points.evaluate(head.vertices_mm, head.faces)
    placed = symmetric_points(head, on_mean, MEDIAPIPE478_MIRROR[:MESH_POINTS], MediapipeProjection(head))
    irises = iris_points(head)
    return SurfacePoints(
        np.concatenate([placed.face, irises.face]), np.concatenate([placed.barycentric, irises.barycentric])
    )


def main() -> None:
    """Place both sets, print how well they fit, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="ICT-FaceKit's light model as .npz")
    parser.add_argument("--convention", type=Path, required=True)
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="an earlier file gives spacing_point")
    arguments = parser.parse_args()
    head = read_ict_facekit(arguments.source)
    head = replace(head, regions={**head.regions, "skin": head.regions["face"] | head.regions["head"]})
    head = replace(head, regions={**head.regions, "eyes": _eyes(head)})
    points_mm, mean_identity = read_arrays(arguments.convention, "points_mm", "mean_identity")
    (mesh_mean,) = read_arrays(arguments.meshes, "mesh_mean")
    (spacing_mm,) = read_arrays(arguments.output, "spacing_point")
    ibug68 = place_ibug68(head, points_mm)
    moved = np.linalg.norm(ibug68.evaluate(head.vertices_mm, head.faces) - points_mm, axis=1)
    print(f"ibug68: {moved.max():.2f} mm from the convention's points at most, mean {moved.mean():.2f}")
    registration = register_mediapipe(head, mesh_mean, points_mm)
    print(
        f"mediapipe478: registered to {np.median(registration.distance_mm):.2f} mm in the median, "
        f"{np.percentile(registration.distance_mm, 95):.2f} at 95 %, identity of norm "
        f"{np.linalg.norm(registration.identity):.2f}"
    )
    arrays: dict[str, np.ndarray] = {"mean_identity": mean_identity.astype(np.float32), "spacing_point": spacing_mm}
    for name, placed in (("ibug68", ibug68), ("mediapipe478", place_mediapipe478(head, registration))):
        arrays[f"{name}_point"] = placed.evaluate(head.vertices_mm, head.faces)
        arrays[f"{name}_face"] = placed.face.astype(np.int32)
        arrays[f"{name}_corners"] = head.faces[placed.face].astype(np.int32)
        arrays[f"{name}_barycentric"] = placed.barycentric.astype(np.float32)
    with atomic_path(arguments.output) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _eyes(head: HeadAssets) -> np.ndarray:
    names = ("left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner")
    return np.any([head.regions[name] for name in names], axis=0)


if __name__ == "__main__":
    main()
