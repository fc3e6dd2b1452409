"""Meshes of known shape as parts of a head."""

import numpy as np
import trimesh

from model.export.glb_material import PhotographMaterial
from model.export.mesh_part import MeshPart

RADIUS_MM = 40.0


def ball(*, open_below_mm: float | None = None, name: str = "skin") -> MeshPart:
    """A ball about the origin that one expression lifts by 10 mm, its texture red above and blue below.

    Args:
        open_below_mm: Leaves out what lies lower, as a head ends at its neck.
        name: Of the part.
    """
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=RADIUS_MM)
    vertices, faces = np.asarray(sphere.vertices, np.float32), np.asarray(sphere.faces, np.int32)
    if open_below_mm is not None:
        faces = faces[vertices[faces][..., 1].min(1) > open_below_mm]
    lift = np.zeros((1, len(vertices), 3), np.float32)
    lift[..., 1] = 10.0
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0], picture[1] = (255, 0, 0), (0, 0, 255)
    return MeshPart(
        name=name,
        vertices_mm=vertices,
        welded=np.arange(len(vertices)),
        faces=faces,
        uv=np.stack((np.full(len(vertices), 0.5), 0.5 + 0.5 * vertices[:, 1] / RADIUS_MM), axis=1).astype(np.float32),
        morphs_mm=lift,
        material=PhotographMaterial(picture),
        joint_weights=np.ones((len(vertices), 1), np.float32),
    )
