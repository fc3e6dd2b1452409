"""All files of one face."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from common.atomic import atomic_path
from model.export.arrays import write_arrays
from model.export.glb import write_glb
from model.export.glb_material import GlbMaterial, GlossMaterial, PhotographMaterial, SkinMaterial
from model.export.light_files import write_environment, write_lights
from model.export.maps import quantize, write_maps
from model.export.mesh_part import MeshPart, hair_part, head_part
from model.export.obj import write_obj
from model.export.picture_files import write_jpeg
from model.export.viewer_files import FACE_SCRIPT, write_face_script
from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from model.look.appearance import Appearance
from model.look.atlas import Atlas, build_atlas
from model.look.face_result import FaceResult
from model.look.hair_mesh import FaceHair
from model.look.texture import draw_texture, vertex_colors
from model.pictures.overlay import draw_overlay
from model.render.color import linear_to_srgb

TEXTURE_SIDE_PX = 1024
_SIDES_PX = {"eyes": 512, "mouth": 256, "teeth": 256, "tongue": 128}
"""Of the textures of what is no skin."""
_ROUGHNESS = {"eyes": 0.35, "mouth": 0.45, "teeth": 0.25, "tongue": 0.4}
_COAT = {"eyes": 1.0}
"""An eyeball is as wet as its cornea is clear."""


class FaceFiles:
    """Writes faces of one head model; what all faces share is worked out once."""

    def __init__(self, morphable_model: MorphableModel, texture_side_px: int = TEXTURE_SIDE_PX) -> None:
        """Take the head model and the side of the skin's texture."""
        self.morphable_model = morphable_model
        self.texture_side_px = texture_side_px

    @property
    def atlas(self) -> Atlas:
        """The texture space of the head's skin."""
        return self.atlases[0]

    @cached_property
    def atlases(self) -> tuple[Atlas, ...]:
        """The texture spaces of the head's parts, the skin's first."""
        return tuple(
            build_atlas(self.morphable_model, _SIDES_PX.get(part.name, self.texture_side_px), part)
            for part in head_parts(self.morphable_model)
        )

    def write(
        self,
        result: FaceResult,
        photograph_srgb: UInt8[np.ndarray, "height width 3"],
        folder: Path,
        formats: Sequence[str],
        appearance: Appearance | None = None,
        hair: FaceHair | None = None,
    ) -> None:
        """Write the files of the chosen formats, `glb`, `obj`, `npz`, `overlay` and `maps`, into an existing folder.

        `glb` includes the head that `index.html` shows. With an appearance the GLB's materials are lit; `maps` are
        written only then. With `hair` the head's textures take only what its mask lets them, and hair is a part.
        """
        if "npz" in formats:
            write_arrays(result, folder / "face.npz", appearance)
        if appearance is not None and "maps" in formats:
            write_maps(quantize(appearance), folder)
            write_environment(appearance.environment_linear, folder / "environment.exr")
            write_lights(appearance, folder / "lights.json")
        if not {"glb", "obj", "overlay"} & set(formats):
            return
        model = self.morphable_model
        skin_mask = None if hair is None else hair.skin_mask
        colors = vertex_colors(result, photograph_srgb, model, self.atlas, skin_mask)
        textures = {
            atlas.part: draw_texture(colors, result, photograph_srgb, model, atlas, skin_mask) for atlas in self.atlases
        }
        images = {name: texture.image_srgb for name, texture in textures.items()}
        mesh = None if hair is None else hair.mesh
        shell = [] if mesh is None else [hair_part(mesh, model.expression_count, lit=False)]
        shell_images = {part.name: part.material.texture_srgb for part in shell}
        if "glb" in formats:
            lit = [] if mesh is None else [hair_part(mesh, model.expression_count, lit=True)]
            parts = self._parts(result, images, appearance) + (shell if appearance is None else lit)
            write_glb(result, parts, folder / "mesh.glb")
            write_face_script(result, images | shell_images, folder / FACE_SCRIPT, shell)
        if "obj" in formats:
            pictures = images | shell_images
            files = {name: "texture.png" if name == "skin" else f"{name}.png" for name in pictures}
            write_obj(result, self._parts(result, images, None) + shell, files, folder)
            pictures = {files[name]: image for name, image in pictures.items()}
            for name, image in {**pictures, "texture_source.png": textures["skin"].source}.items():
                with atomic_path(folder / name) as temporary:
                    Image.fromarray(image).save(temporary, "PNG", compress_level=3)
        if "overlay" in formats:
            write_jpeg(draw_overlay(result, photograph_srgb, images, self.atlases, mesh), folder / "overlay.jpg")

    def _parts(
        self,
        result: FaceResult,
        images_srgb: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
        appearance: Appearance | None,
    ) -> list[MeshPart]:
        """The head's meshes, in the photograph's own light, or, with an appearance, to be lit."""
        return [
            head_part(result, self.morphable_model, atlas, self._material(result, images_srgb, atlas, appearance))
            for atlas in self.atlases
        ]

    def _material(
        self,
        result: FaceResult,
        images_srgb: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
        atlas: Atlas,
        appearance: Appearance | None,
    ) -> GlbMaterial:
        if appearance is None:
            return PhotographMaterial(images_srgb[atlas.part])
        if atlas is self.atlas:
            return SkinMaterial(quantize(appearance))
        linear = torch.from_numpy(atlas.sample(result.albedo_vertex_linear)[atlas.nearest]).clamp(0.0, 1.0)
        albedo_srgb = np.rint(255.0 * linear_to_srgb(linear).numpy()).astype(np.uint8)
        return GlossMaterial(albedo_srgb, _ROUGHNESS[atlas.part], _COAT.get(atlas.part, 0.0))
