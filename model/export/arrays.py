"""`face.npz`: every number of a face."""

from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from model.export.face_result import FaceResult


def write_arrays(result: FaceResult, path: Path) -> None:
    """Write `face.npz`; the README lists its keys, shapes, units and spaces."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            identity=result.identity,
            expression=result.expression,
            expression_names=np.array(result.expression_names),
            albedo=result.albedo,
            lighting=result.lighting,
            rotation=result.rotation,
            translation=result.translation_mm,
            intrinsics=result.intrinsics_px,
            vertices=result.vertices_mm,
            vertices_camera=result.vertices_camera_mm,
            vertices_image=result.vertices_image,
            faces=result.faces,
            albedo_vertex=result.albedo_vertex_linear,
            offsets_mm=result.offsets_mm,
            sigma_mm=result.sigma_mm,
            landmarks68_image=result.landmarks68_px,
            landmarks68_model=result.landmarks68_mm,
            yaw_pitch_roll=result.yaw_pitch_roll_degrees,
            box=result.box_px,
            score=np.float32(result.score),
        )
