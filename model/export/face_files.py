"""All files of one face."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import UInt8

from common.atomic import atomic_path
from common.mesh_options import MESH_DEFAULTS, MeshOptions, Units
from common.texture_sizes import TEXTURE_SIDES
from model.export.arrays import write_arrays
from model.export.glb import write_glb
from model.export.glb_material import GlbMaterial, GlossMaterial, PhotographMaterial, SkinMaterial
from model.export.light_files import write_environment, write_lights
from model.export.maps import Gloss, Maps, gloss_by_region, gloss_of, skin_maps, write_maps
from model.export.mesh_part import MeshPart, hair_part, head_part
from model.export.obj import write_obj
from model.export.picture_files import write_jpeg, write_png
from model.export.splats import head_splats, write_splats
from model.export.viewer_files import FACE_SCRIPT, PageTexture, write_face_script
from model.export.volume import head_volume, write_volume
from model.face.morphable_model import MorphableModel
from model.face.parts import head_parts
from model.face.skeleton import Skeleton
from model.look.appearance import Appearance
from model.look.atlas import Atlas, build_atlas
from model.look.caricature import mean_placement
from model.look.face_result import FaceResult
from model.look.face_track import FaceTrack
from model.look.hair_mesh import FaceHair
from model.look.head_look import HeadLook, head_look
from model.look.head_shape import HeadShape
from model.look.lips import LipSeam
from model.look.resolution import texture_side
from model.look.rig import HeadRig, moved_by_bones
from model.pictures.overlay import draw_overlay

_SIDES_PX = {"eyes": 512, "mouth": 256, "teeth": 512, "tongue": 128}
"""Of the textures of what is no skin."""
_ROUGHNESS = {"eyes": 0.35, "mouth": 0.45, "teeth": 0.25, "tongue": 0.4}
_COAT = {"eyes": 1.0}
"""An eyeball is as wet as its cornea is clear."""


class FaceFiles:
    """Writes faces of one head model; what all faces share is worked out once."""

    def __init__(self, morphable_model: MorphableModel, texture_size: int | None = None, *, lit: bool = True) -> None:
        """Take the head model and what the textures shall be like.

        Args:
            morphable_model: The head model.
            texture_size: Side of the skin's textures in px; None for as many as each photograph has detail for.
            lit: Whether the GLB's head is skin that the viewer lights, or else the photograph with its own light.
        """
        self.morphable_model = morphable_model
        self._texture_size = texture_size
        self._lit = lit
        self._skin_atlases: dict[int, Atlas] = {}
        # Faces are written by several threads, and an atlas of 4096 px takes half a gigabyte.
        self._building = Lock()

    @property
    def atlas(self) -> Atlas:
        """The texture space of the head's skin at the least resolution that it has: its vertices are those of any."""
        return self._skin_atlas(self._texture_size or TEXTURE_SIDES[0])

    @property
    def atlases(self) -> tuple[Atlas, ...]:
        """The texture spaces of the head's parts, the skin's first, at its least resolution."""
        return (self.atlas, *self._other_atlases)

    def atlases_of(self, side_px: int) -> tuple[Atlas, ...]:
        """The texture spaces of the head's parts, the skin's first, at a resolution of the skin."""
        return (self._skin_atlas(side_px), *self._other_atlases)

    @cached_property
    def lip_seam(self) -> LipSeam | None:
        """Where the head's lips meet."""
        return LipSeam.of(self.morphable_model)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The joints of the head model."""
        return Skeleton.of(self.morphable_model)

    @cached_property
    def gloss(self) -> Gloss:
        """How faces reflect of which nothing else is known."""
        return gloss_by_region(self.morphable_model, self.atlas)

    def look(
        self,
        result: FaceResult,
        photograph_srgb: UInt8[np.ndarray, "height width 3"],
        appearance: Appearance | None = None,
        hair: FaceHair | None = None,
    ) -> HeadLook:
        """A face in its parts, as its files show it: its shape, and textures at the resolution that its files have.

        Args:
            result: The face.
            photograph_srgb: Its photograph.
            appearance: What a ray-traced refinement found of its skin.
            hair: What of the photograph is skin, and the hair.
        """
        model = self.morphable_model
        atlases = self.atlases_of(self._texture_size or texture_side(result, model))
        return head_look(result, photograph_srgb, model, atlases, self.lip_seam, appearance, hair)

    def write(
        self,
        result: FaceResult,
        photograph_srgb: UInt8[np.ndarray, "height width 3"],
        folder: Path,
        formats: Sequence[str],
        appearance: Appearance | None = None,
        hair: FaceHair | None = None,
        mesh: MeshOptions = MESH_DEFAULTS,
        track: FaceTrack | None = None,
    ) -> None:
        """Write the files of the chosen formats, all but `pictures`, into an existing folder.

        `mesh` says how meshes are written. `glb` includes the head that `index.html` shows; `maps` are written only
        with an appearance. With `hair` the skin takes only what its mask lets it, and hair is a part.
        With a `track` the GLB moves.
        """
        if "npz" in formats:
            write_arrays(result, folder / "face.npz", appearance)
        if not self.shows(formats, appearance):
            return
        look = self.look(result, photograph_srgb, appearance, hair)
        shown = replace(result, vertices_mm=look.shape.posed_mm(result.expression))
        rig = HeadRig.of(look.shape, self.skeleton)
        maps = skin_maps(look.skin, self.gloss if appearance is None else gloss_of(appearance))
        if appearance is not None and "maps" in formats:
            write_maps(maps, folder)
            write_environment(appearance.environment_linear, folder / "environment.exr")
            write_lights(appearance, folder / "lights.json")
        if "glb" in formats:
            shape, moved = self._moved(look, rig, result, mesh)
            parts = self._parts(replace(look, shape=shape), moved, maps if self._lit else None)
            height_px, width_px = photograph_srgb.shape[:2]
            write_glb(result, parts, moved, folder / "mesh.glb", (width_px, height_px), mesh.pose, track)
            placement = mean_placement(look.shape.rest_mm, self.morphable_model)
            write_face_script(result, look, folder / FACE_SCRIPT, self._own_parts(look, rig), placement)
        if "obj" in formats:
            self._write_obj(result, look, rig, folder, mesh.units)
        if "usd" in formats:
            self._write_usd(result, look, rig, folder, (photograph_srgb.shape[1], photograph_srgb.shape[0]), mesh)
        if {"splats", "volume"} & set(formats):
            self._write_whole(result, look, rig, folder, formats)
        if "overlay" in formats:
            images = {name: texture.image_srgb for name, texture in look.textures.items()}
            write_jpeg(draw_overlay(shown, photograph_srgb, images, self.atlases, look.hair), folder / "overlay.jpg")

    @staticmethod
    def shows(formats: Sequence[str], appearance: Appearance | None) -> bool:
        """Whether files of these formats show the head, so that it needs a look, and its hair; numbers do not."""
        seen = {"glb", "obj", "usd", "overlay", "splats", "volume"}
        return bool(seen & set(formats)) or (appearance is not None and "maps" in formats)

    @cached_property
    def _other_atlases(self) -> tuple[Atlas, ...]:
        """The texture spaces of what is no skin."""
        parts = head_parts(self.morphable_model)[1:]
        return tuple(build_atlas(self.morphable_model, _SIDES_PX[part.name], part) for part in parts)

    def _skin_atlas(self, side_px: int) -> Atlas:
        with self._building:
            if side_px not in self._skin_atlases:
                self._skin_atlases[side_px] = build_atlas(self.morphable_model, side_px)
            return self._skin_atlases[side_px]

    def _write_whole(
        self, result: FaceResult, look: HeadLook, rig: HeadRig, folder: Path, formats: Sequence[str]
    ) -> None:
        """The head as what is no mesh."""
        parts = self._parts(look, rig, None)
        if "splats" in formats:
            splats = head_splats(parts, result.expression, _photographed(look))
            write_splats(splats, folder / "splats.ply")
        if "volume" in formats:
            write_volume(head_volume(parts, result.expression), folder)

    def _write_obj(self, result: FaceResult, look: HeadLook, rig: HeadRig, folder: Path, units: Units) -> None:
        pictures = _photographed(look)
        files = {name: "texture.png" if name == "skin" else f"{name}.png" for name in pictures}
        write_obj(result, self._parts(look, rig, None), files, folder, units)
        named = {files[name]: image for name, image in pictures.items()}
        for name, image in {**named, "texture_source.png": look.skin.source}.items():
            with atomic_path(folder / name) as temporary:
                write_png(image, temporary)

    def _write_usd(
        self,
        result: FaceResult,
        look: HeadLook,
        rig: HeadRig,
        folder: Path,
        picture_px: tuple[int, int],
        mesh: MeshOptions,
    ) -> None:
        # Late: an optional package.
        from model.export.usd import write_usd

        shape, moved = self._moved(look, rig, result, mesh)
        parts = self._parts(replace(look, shape=shape), moved, None)
        textures = look.textures.items()
        pictures = {name: texture.albedo_srgb if self._lit else texture.image_srgb for name, texture in textures}
        if look.hair is not None:
            pictures["hair"] = look.hair.texture.with_cover(lit=self._lit)
        write_usd(result, parts, moved, pictures, folder / "mesh.usdz", picture_px, mesh.pose)

    @staticmethod
    def _moved(look: HeadLook, rig: HeadRig, result: FaceResult, mesh: MeshOptions) -> tuple[HeadShape, HeadRig]:
        """The head and its joints, whichever of them opens the jaw."""
        if mesh.rig == "shapes":
            return look.shape, rig
        return moved_by_bones(look.shape, rig, result.expression_names)

    def _parts(self, look: HeadLook, rig: HeadRig, maps: Maps | None) -> list[MeshPart]:
        """The head's meshes: with the skin's maps to be lit, without them in the photograph's own light."""
        textures = look.textures

        def material(part: str) -> GlbMaterial:
            if maps is None:
                return PhotographMaterial(textures[part].image_srgb)
            if part == "skin":
                return SkinMaterial(maps)
            return GlossMaterial(textures[part].albedo_srgb, _ROUGHNESS[part], _COAT.get(part, 0.0))

        parts = [head_part(look.shape, rig, atlas, material(atlas.part)) for atlas in self.atlases]
        if look.hair is None:
            return parts
        return [*parts, hair_part(look.hair, self.morphable_model.expression_count, rig, lit=maps is not None)]

    def _own_parts(self, look: HeadLook, rig: HeadRig) -> list[tuple[MeshPart, PageTexture]]:
        """What the page cannot take from the head that all faces share."""
        if look.hair is None:
            return []
        texture = look.hair.texture
        covered = PageTexture(texture.with_cover(lit=False), texture.with_cover(lit=True))
        return [(hair_part(look.hair, self.morphable_model.expression_count, rig, lit=True), covered)]


def _photographed(look: HeadLook) -> dict[str, UInt8[np.ndarray, "_ _ _"]]:
    """The picture of each part in the photograph's own light; that of hair has a fourth channel."""
    pictures: dict[str, np.ndarray] = {name: texture.image_srgb for name, texture in look.textures.items()}
    if look.hair is not None:
        pictures["hair"] = look.hair.texture.with_cover(lit=False)
    return pictures
