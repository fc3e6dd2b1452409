"""`face.npz`: every number of a face."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from common.atomic import atomic_path
from model.face.morphable_model import MorphableModel
from model.look.appearance import Appearance
from model.look.face_result import FaceResult

_SAME_NAMES = ("identity", "expression", "albedo", "lighting", "rotation", "faces", "offsets_mm", "sigma_mm")
_OTHER_NAMES = {
    "translation_mm": "translation",
    "intrinsics_px": "intrinsics",
    "vertices_mm": "vertices",
    "vertices_neutral_mm": "vertices_neutral",
    "vertices_camera_mm": "vertices_camera",
    "vertices_image": "vertices_image",
    "albedo_vertex_linear": "albedo_vertex",
    "landmarks68_px": "landmarks68_image",
    "landmarks68_mm": "landmarks68_model",
    "yaw_pitch_roll_degrees": "yaw_pitch_roll",
    "box_px": "box",
}
"""Fields of `FaceResult` and what the file calls them."""


def write_arrays(result: FaceResult, path: Path, appearance: Appearance | None = None) -> None:
    """Write `face.npz`; `docs/results.md` lists its keys, shapes, units and spaces."""
    arrays = {
        **{name: getattr(result, name) for name in _SAME_NAMES},
        **{name: getattr(result, field) for field, name in _OTHER_NAMES.items()},
        "expression_names": np.array(result.expression_names),
        "score": np.float32(result.score),
        "confidence": np.float32(result.confidence),
    }
    if appearance is not None:
        arrays |= _appearance_arrays(appearance)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, model: MorphableModel) -> FaceResult:
    """Read the face of a `face.npz`.

    Args:
        path: The file.
        model: Its head model.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none, or of another head model; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run infer.py with --formats glb npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        components = model.albedo_linear(torch.from_numpy(arrays["albedo"])[None].float())[0].clamp(0.0, 1.0)
        result = FaceResult(
            **{name: arrays[name] for name in _SAME_NAMES},
            **{field: arrays[name] for field, name in _OTHER_NAMES.items()},
            expression_names=tuple(arrays["expression_names"].tolist()),
            albedo_components_linear=components.numpy(),
            score=float(arrays["score"]),
            confidence=float(arrays["confidence"]),
        )
    except (KeyError, ValueError, RuntimeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: not a face as infer.py writes it now ({error})") from error
    if len(result.vertices_mm) != len(model.mean_mm) or result.expression_names != model.expression_names:
        raise ValueError(f"{path}: {len(result.vertices_mm)} vertices of another head model; name its --checkpoint")
    return result


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
