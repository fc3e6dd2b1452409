"""What covers a part of a head in a GLB: a texture that holds its own light, or a surface that is to be lit."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import UInt8

from model.export.glb_buffer import GlbBuffer
from model.export.maps import LARGEST_F0, Maps
from model.look.hair_mesh import COVER_CUTOFF
from model.render.color import linear_to_srgb

_DIELECTRIC_F0 = 0.04
"""Reflectance at normal incidence that glTF gives whatever is not metal (index of refraction 1.5)."""
_COAT_ROUGHNESS = 0.03
_QUALITY, _NORMAL_QUALITY = 93, 95
"""Of the JPEGs: a normal map shows every block in a highlight."""
_HAIR_ROUGHNESS = 0.6
_FLAT_NORMAL = np.array([128, 128, 255])


@runtime_checkable
class GlbMaterial(Protocol):
    """The material of a part."""

    @property
    def lit(self) -> bool:
        """Whether the viewer lights it, so that normals matter."""
        ...

    @property
    def cut_out(self) -> bool:
        """Whether a fourth channel of its texture says where there is something."""
        ...

    @property
    def needs_tangents(self) -> bool:
        """Whether it has a normal map, which is stated in the frame of the mesh's tangents."""
        ...

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        ...


@dataclass(frozen=True)
class PhotographMaterial:
    """The photograph on the head.

    Attributes:
        texture_srgb: `Texture.image_srgb`.
    """

    texture_srgb: UInt8[np.ndarray, "size size 3"]

    @property
    def cut_out(self) -> bool:
        """Not: it covers all of its part."""
        return False

    @property
    def lit(self) -> bool:
        """Not: the light is in the texture."""
        return False

    @property
    def needs_tangents(self) -> bool:
        """Not: no normal is looked at."""
        return False

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        material = gltf.Material(
            name=name,
            # The texture holds the photograph's own light; lit once more it would be too dark on one side.
            extensions={"KHR_materials_unlit": {}},
            # The neck is open below.
            doubleSided=True,
            pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                baseColorTexture=_jpeg(self.texture_srgb, buffer), metallicFactor=0.0, roughnessFactor=0.6
            ),
        )
        return _added(material, document)


@dataclass(frozen=True)
class SkinMaterial:
    """Skin without light: diffuse albedo, reflectance, roughness and normals. Maps of one value become factors.

    Attributes:
        maps: The maps.
    """

    maps: Maps

    @property
    def cut_out(self) -> bool:
        """Not: it covers all of its part."""
        return False

    @property
    def lit(self) -> bool:
        """By the viewer's light."""
        return True

    @property
    def needs_tangents(self) -> bool:
        """Unless the normal map says nothing."""
        return self._has_relief

    @cached_property
    def _has_relief(self) -> bool:
        return bool((np.abs(self.maps.normal - _FLAT_NORMAL) > 1).any())

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        maps = self.maps
        surface = gltf.PbrMetallicRoughness(baseColorTexture=_jpeg(maps.diffuse_srgb, buffer), metallicFactor=0.0)
        material = gltf.Material(name=name, doubleSided=True, pbrMetallicRoughness=surface)
        if np.ptp(maps.roughness) == 0 and np.ptp(maps.occlusion) == 0:
            surface.roughnessFactor = float(maps.roughness.flat[0]) / 255.0
        else:
            surface.roughnessFactor = 1.0
            packed = buffer.exact_texture(_packed(maps))
            surface.metallicRoughnessTexture = gltf.TextureInfo(index=packed)
            material.occlusionTexture = gltf.OcclusionTextureInfo(index=packed)
        if self.needs_tangents:
            texture = buffer.photographic_texture(maps.normal, _NORMAL_QUALITY)
            material.normalTexture = gltf.NormalMaterialTexture(index=texture, scale=1.0)
        material.extensions = {"KHR_materials_specular": _reflectance(maps.specular, buffer)}
        return _added(material, document)


@dataclass(frozen=True)
class GlossMaterial:
    """A part of one gloss that is to be lit: teeth, tongue, the mouth's lining, eyeballs under their cornea.

    Attributes:
        albedo_srgb: Its colour without light.
        roughness: Perceptual roughness, [0, 1].
        coat: Share of a clear, smooth layer over it: 1 on an eyeball.
    """

    albedo_srgb: UInt8[np.ndarray, "size size 3"]
    roughness: float
    coat: float = 0.0

    @property
    def cut_out(self) -> bool:
        """Not: it covers all of its part."""
        return False

    @property
    def lit(self) -> bool:
        """By the viewer's light."""
        return True

    @property
    def needs_tangents(self) -> bool:
        """Not: it has no normal map."""
        return False

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        material = gltf.Material(
            name=name,
            doubleSided=True,
            pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                baseColorTexture=_jpeg(self.albedo_srgb, buffer), metallicFactor=0.0, roughnessFactor=self.roughness
            ),
        )
        if self.coat > 0.0:
            coat = {"clearcoatFactor": self.coat, "clearcoatRoughnessFactor": _COAT_ROUGHNESS}
            material.extensions = {"KHR_materials_clearcoat": coat}
        return _added(material, document)


@dataclass(frozen=True)
class HairMaterial:
    """A shell of hair, cut out by its texture.

    Attributes:
        texture_srgb: Colour and cover.
        lit: Whether it is to be lit; else the texture holds the photograph's light.
    """

    texture_srgb: UInt8[np.ndarray, "size size 4"]
    lit: bool

    @property
    def cut_out(self) -> bool:
        """By its cover."""
        return True

    @property
    def needs_tangents(self) -> bool:
        """Not: it has no normal map."""
        return False

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        texture = gltf.TextureInfo(index=buffer.exact_texture(self.texture_srgb))
        material = gltf.Material(
            name=name,
            # Cut, not blended: what is blended has to be sorted by whoever draws it, and seldom is.
            alphaMode=gltf.MASK,
            alphaCutoff=COVER_CUTOFF,
            doubleSided=True,
            pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=_HAIR_ROUGHNESS
            ),
        )
        if not self.lit:
            material.extensions = {"KHR_materials_unlit": {}}
        return _added(material, document)


def _jpeg(texture_srgb: UInt8[np.ndarray, "height width 3"], buffer: GlbBuffer) -> gltf.TextureInfo:
    return gltf.TextureInfo(index=buffer.photographic_texture(texture_srgb, _QUALITY))


def _added(material: gltf.Material, document: gltf.GLTF2) -> int:
    document.materials.append(material)
    document.extensionsUsed = sorted({*document.extensionsUsed, *(material.extensions or {})})
    return len(document.materials) - 1


def _packed(maps: Maps) -> UInt8[np.ndarray, "size size 3"]:
    # glTF reads occlusion from red, roughness from green and metalness from blue.
    return np.stack((maps.occlusion, maps.roughness, np.zeros_like(maps.roughness)), axis=-1)


def _reflectance(specular: UInt8[np.ndarray, "size size"], buffer: GlbBuffer) -> dict[str, object]:
    """KHR_materials_specular: F0 = 0.04 * specularColorFactor * specularColorTexture, which is sRGB.

    The colour, not `specularFactor`: that would lessen the reflection at grazing angles as well, which is whole for
    every F0 in Schlick's formula.
    """
    f0_of_byte = LARGEST_F0 * np.arange(256, dtype=np.float32) / 255.0
    largest = float(f0_of_byte[specular.max()])
    factor = {"specularColorFactor": [largest / _DIELECTRIC_F0] * 3}
    if largest == 0.0 or np.ptp(specular) == 0:
        return dict(factor)
    share = torch.from_numpy(f0_of_byte / largest).clamp(max=1.0)
    encoded = np.rint(255.0 * linear_to_srgb(share).numpy()).astype(np.uint8)[specular]
    texture = buffer.exact_texture(np.repeat(encoded[..., None], 3, axis=-1))
    return {**factor, "specularColorTexture": {"index": texture}}
