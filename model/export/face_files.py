"""All files of one face."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from common.atomic import atomic_path
from model.export.arrays import write_arrays
from model.export.glb import write_glb
from model.export.glb_material import PhotographMaterial, SkinMaterial
from model.export.light_files import write_environment, write_lights
from model.export.maps import quantize, write_maps
from model.export.obj import write_obj
from model.export.picture_files import write_jpeg
from model.export.viewer_files import FACE_SCRIPT, write_face_script
from model.face.morphable_model import MorphableModel
from model.look.appearance import Appearance
from model.look.atlas import Atlas, build_atlas
from model.look.face_result import FaceResult
from model.look.texture import unwrap
from model.pictures.overlay import draw_overlay

TEXTURE_SIDE_PX = 1024


class FaceFiles:
    """Writes faces of one head model; what all faces share is worked out once."""

    def __init__(self, morphable_model: MorphableModel, texture_side_px: int = TEXTURE_SIDE_PX) -> None:
        """Take the head model and the side of the textures."""
        self.morphable_model = morphable_model
        self.texture_side_px = texture_side_px

    @cached_property
    def atlas(self) -> Atlas:
        """The head's texture space."""
        return build_atlas(self.morphable_model, self.texture_side_px)

    def write(
        self,
        result: FaceResult,
        photograph_srgb: UInt8[np.ndarray, "height width 3"],
        folder: Path,
        formats: Sequence[str],
        appearance: Appearance | None = None,
    ) -> None:
        """Write the files of the chosen formats, `glb`, `obj`, `npz`, `overlay` and `maps`, into an existing folder.

        `glb` includes the head that `index.html` shows. With an appearance the GLB's material is lit skin; `maps` are
        written only then.
        """
        if "npz" in formats:
            write_arrays(result, folder / "face.npz", appearance)
        if appearance is not None and "maps" in formats:
            write_maps(quantize(appearance), folder)
            write_environment(appearance.environment_linear, folder / "environment.exr")
            write_lights(appearance, folder / "lights.json")
        if not {"glb", "obj", "overlay"} & set(formats):
            return
        texture = unwrap(result, photograph_srgb, self.morphable_model, self.atlas)
        if "glb" in formats:
            photograph = PhotographMaterial(texture.image_srgb)
            material = photograph if appearance is None else SkinMaterial(quantize(appearance))
            write_glb(result, material, self.morphable_model, self.atlas, folder / "mesh.glb")
            write_face_script(result, texture.image_srgb, folder / FACE_SCRIPT)
        if "obj" in formats:
            write_obj(result, self.morphable_model, folder)
            for name, image in (("texture.png", texture.image_srgb), ("texture_source.png", texture.source)):
                with atomic_path(folder / name) as temporary:
                    Image.fromarray(image).save(temporary, "PNG", compress_level=3)
        if "overlay" in formats:
            picture = draw_overlay(result, photograph_srgb, texture.image_srgb, self.atlas)
            write_jpeg(picture, folder / "overlay.jpg")
