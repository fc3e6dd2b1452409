"""`face.npz`: every number of a face."""

from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from model.look.appearance import Appearance
from model.look.face_result import FaceResult


def write_arrays(result: FaceResult, path: Path, appearance: Appearance | None = None) -> None:
    """Write `face.npz`; `docs/results.md` lists its keys, shapes, units and spaces."""
    arrays = {
        "identity": result.identity,
        "expression": result.expression,
        "expression_names": np.array(result.expression_names),
        "albedo": result.albedo,
        "lighting": result.lighting,
        "rotation": result.rotation,
        "translation": result.translation_mm,
        "intrinsics": result.intrinsics_px,
        "vertices": result.vertices_mm,
        "vertices_neutral": result.vertices_neutral_mm,
        "vertices_camera": result.vertices_camera_mm,
        "vertices_image": result.vertices_image,
        "faces": result.faces,
        "albedo_vertex": result.albedo_vertex_linear,
        "offsets_mm": result.offsets_mm,
        "sigma_mm": result.sigma_mm,
        "landmarks68_image": result.landmarks68_px,
        "landmarks68_model": result.landmarks68_mm,
        "yaw_pitch_roll": result.yaw_pitch_roll_degrees,
        "box": result.box_px,
        "score": np.float32(result.score),
        "confidence": np.float32(result.confidence),
    }
    if appearance is not None:
        arrays |= _appearance_arrays(appearance)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _appearance_arrays(appearance: Appearance) -> dict[str, np.ndarray]:
    """What the ray-traced stage found, but for the maps, which lie in pictures."""
    lamps = appearance.lamps
    return {
        "lamp_position": np.array([lamp.position_mm for lamp in lamps], np.float32).reshape(-1, 3),
        "lamp_radius": np.array([lamp.radius_mm for lamp in lamps], np.float32),
        "lamp_radiance": np.array([lamp.radiance_linear for lamp in lamps], np.float32).reshape(-1, 3),
        "tone_sd": np.array(appearance.tone_sd, np.float32),
        "albedo_known": appearance.known.astype(np.float16),
    }
