"""`MeshPart`: what an exported head is made of. Whoever adds a part, hair for example, makes one of these."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from model.export.glb_material import GlbMaterial, HairMaterial
from model.geometry.mesh import vertex_normals
from model.look.atlas import Atlas
from model.look.hair_mesh import HairMesh
from model.look.head_shape import HeadShape
from model.look.rig import HeadRig


@dataclass(frozen=True)
class MeshPart:
    """A mesh with a material of its own.

    Attributes:
        name: Of mesh, node and material: `skin`, `eyes`, `mouth`, `teeth`, `tongue`, ...
        vertices_mm: Model space, at rest: without any expression. Split where the texture is.
        welded: Equal numbers mark vertices that were split from one: normals are those of the whole.
        faces: Triangles, counter-clockwise seen from outside.
        uv: Texture coordinates in [0, 1], v up, in the material's textures.
        morphs_mm: Displacement of each vertex at weight 1, one for each of the face's expressions, zeros where an
            expression leaves the part alone.
        material: What covers it.
        joint_weights: How far each vertex follows each joint of the skeleton; rows sum to 1.
    """

    name: str
    vertices_mm: Float[np.ndarray, "vertex 3"]
    welded: Int[np.ndarray, " vertex"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "vertex 2"]
    morphs_mm: Float[np.ndarray, "expression vertex 3"]
    material: GlbMaterial
    joint_weights: Float[np.ndarray, "vertex joint"]

    def posed_mm(self, weights: Float[np.ndarray, " expression"]) -> Float[np.ndarray, "vertex 3"]:
        """The vertices with an expression."""
        return self.vertices_mm + np.einsum("e,evx->vx", weights, self.morphs_mm).astype(np.float32)

    @cached_property
    def whole(self) -> tuple[Int[np.ndarray, " place"], Int[np.ndarray, " vertex"]]:
        """The first vertex of each place of the unsplit mesh, and the place of each vertex."""
        _, first, whole = np.unique(self.welded, return_index=True, return_inverse=True)
        return first, whole

    def normals(self, vertices_mm: Float[np.ndarray, "*shape vertex 3"]) -> Float[np.ndarray, "*shape vertex 3"]:
        """Unit normals of the part with its vertices at these places, the same on both sides of a texture seam.

        Several shapes at once take a fraction of the time of one after the other.
        """
        first, whole = self.whole
        points = torch.from_numpy(np.ascontiguousarray(vertices_mm[..., first, :], np.float32))
        triangles = torch.from_numpy(whole[self.faces].astype(np.int32))
        normals = vertex_normals(points.reshape(-1, len(first), 3), triangles).numpy()
        return normals[:, whole].reshape(vertices_mm.shape)


def hair_part(hair: HairMesh, expression_count: int, rig: HeadRig, *, lit: bool) -> MeshPart:
    """The part `hair`. It is one with the skull: no expression moves it, and none brings skin through it.

    Args:
        hair: The mesh.
        expression_count: Expressions of the head.
        rig: The head's joints.
        lit: Whether it is to be lit; else it holds the photograph's light.
    """
    return MeshPart(
        name="hair",
        vertices_mm=hair.vertices_mm,
        welded=hair.welded,
        faces=hair.faces,
        uv=hair.uv,
        morphs_mm=np.zeros((expression_count, len(hair.vertices_mm), 3), np.float32),
        material=HairMaterial(hair.texture.with_cover(lit=lit), lit=lit),
        joint_weights=rig.weights_at(hair.vertices_mm),
    )


def head_part(shape: HeadShape, rig: HeadRig, atlas: Atlas, material: GlbMaterial) -> MeshPart:
    """A part of the head model.

    Args:
        shape: The head.
        rig: Its joints.
        atlas: Texture space of the part.
        material: What covers it.
    """
    return MeshPart(
        name=atlas.part,
        vertices_mm=shape.rest_mm[atlas.vertex],
        welded=atlas.vertex,
        faces=atlas.faces,
        uv=atlas.uv,
        morphs_mm=shape.morphs_mm[:, atlas.vertex],
        material=material,
        joint_weights=rig.weights[atlas.vertex],
    )
