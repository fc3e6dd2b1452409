"""`diffuse.png`, `specular.png`, `roughness.png`, `normal.png`: the skin as texture maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from common.atomic import atomic_path
from model.look.appearance import Appearance
from model.render.color import linear_to_srgb

LARGEST_F0 = 0.08
"""White in `specular.png`, as in Burley's "specular" (SIGGRAPH course notes, 2012): 0.5 is a reflectance of 0.04."""


@dataclass(frozen=True)
class Maps:
    """The maps as they lie in the files; row 0 is the top, v = 1.

    Attributes:
        diffuse_srgb: Diffuse albedo, sRGB.
        specular: Reflectance at normal incidence over `LARGEST_F0`, linear.
        roughness: Perceptual roughness, linear.
        normal: Tangent-space normals as glTF has them: 255 (n + 1) / 2, green up.
    """

    diffuse_srgb: UInt8[np.ndarray, "texture texture 3"]
    specular: UInt8[np.ndarray, "texture texture"]
    roughness: UInt8[np.ndarray, "texture texture"]
    normal: UInt8[np.ndarray, "texture texture 3"]


def quantize(appearance: Appearance) -> Maps:
    """Round an appearance to 8 bits.

    Raises:
        ValueError: If a map holds what is not a number.
    """
    for name in ("diffuse_linear", "specular_f0", "roughness", "normal"):
        if not np.isfinite(getattr(appearance, name)).all():
            raise ValueError(f"the appearance's map {name} holds values that are not finite")
    srgb = linear_to_srgb(torch.from_numpy(np.ascontiguousarray(appearance.diffuse_linear)).clamp(0.0, 1.0)).numpy()
    return Maps(
        diffuse_srgb=_bytes(srgb),
        specular=_bytes(appearance.specular_f0 / LARGEST_F0),
        roughness=_bytes(appearance.roughness),
        normal=_bytes(0.5 * (appearance.normal + 1.0)),
    )


def write_maps(maps: Maps, folder: Path) -> None:
    """Write the four pictures into a folder; grey ones have one channel."""
    files = {
        "diffuse.png": maps.diffuse_srgb,
        "specular.png": maps.specular,
        "roughness.png": maps.roughness,
        "normal.png": maps.normal,
    }
    for name, values in files.items():
        with atomic_path(folder / name) as temporary:
            Image.fromarray(values).save(temporary, "PNG", compress_level=3)


def _bytes(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
