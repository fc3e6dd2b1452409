"""`diffuse.png`, `specular.png`, `roughness.png`, `normal.png`, `occlusion.png`: the skin as texture maps."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.atomic import atomic_path
from model.export.picture_files import write_png
from model.face.morphable_model import MorphableModel
from model.look.appearance import Appearance
from model.look.atlas import Atlas
from model.look.materials import statistical_materials
from model.look.texture import Texture

GLOSS_PX = 512
"""Side of the maps that vary by region only."""
LARGEST_F0 = 0.08
"""White in `specular.png`, as in Burley's "specular" (SIGGRAPH course notes, 2012): 0.5 is a reflectance of 0.04."""


@dataclass(frozen=True)
class Maps:
    """The maps as they lie in the files; row 0 is the top, v = 1. What varies by region only is coarser.

    Attributes:
        diffuse_srgb: Diffuse albedo, sRGB.
        specular: Reflectance at normal incidence over `LARGEST_F0`, linear.
        roughness: Perceptual roughness, linear.
        normal: Tangent-space normals as glTF has them: 255 (n + 1) / 2, green up.
        occlusion: Share of the light from everywhere that arrives, linear.
    """

    diffuse_srgb: UInt8[np.ndarray, "texture texture 3"]
    specular: UInt8[np.ndarray, "coarse coarse"]
    roughness: UInt8[np.ndarray, "coarse coarse"]
    normal: UInt8[np.ndarray, "texture texture 3"]
    occlusion: UInt8[np.ndarray, "coarse coarse"]


@dataclass(frozen=True)
class Gloss:
    """How a skin reflects, as it lies in the files.

    Attributes:
        specular: Reflectance at normal incidence over `LARGEST_F0`, linear.
        roughness: Perceptual roughness, linear.
    """

    specular: UInt8[np.ndarray, "coarse coarse"]
    roughness: UInt8[np.ndarray, "coarse coarse"]


def gloss_by_region(morphable_model: MorphableModel, atlas: Atlas) -> Gloss:
    """What the regions of any face are like, before any photograph."""
    materials = statistical_materials(morphable_model)
    values = torch.stack((materials.f0 / LARGEST_F0, materials.roughness), dim=1).cpu().numpy()
    drawn = _bytes(atlas.coarse(values, GLOSS_PX))
    return Gloss(drawn[..., 0], drawn[..., 1])


def gloss_of(appearance: Appearance) -> Gloss:
    """What the ray-traced stage found.

    Raises:
        ValueError: If a map holds what is not a number.
    """
    for name in ("specular_f0", "roughness"):
        if not np.isfinite(getattr(appearance, name)).all():
            raise ValueError(f"the appearance's map {name} holds values that are not finite")
    return Gloss(_bytes(appearance.specular_f0 / LARGEST_F0), _bytes(appearance.roughness))


def skin_maps(texture: Texture, gloss: Gloss) -> Maps:
    """The maps of a face: its textures, and how it reflects."""
    occlusion = cv2.resize(texture.occlusion, gloss.roughness.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return Maps(texture.albedo_srgb, gloss.specular, gloss.roughness, texture.normal, occlusion)


def write_maps(maps: Maps, folder: Path) -> None:
    """Write the pictures into a folder; grey ones have one channel."""
    files = {
        "diffuse.png": maps.diffuse_srgb,
        "specular.png": maps.specular,
        "roughness.png": maps.roughness,
        "normal.png": maps.normal,
        "occlusion.png": maps.occlusion,
    }
    for name, values in files.items():
        with atomic_path(folder / name) as temporary:
            write_png(values, temporary)


def _bytes(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
