"""A results folder with toy heads in it, as `infer.py` would leave it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from model.export.face_files import FaceFiles
from model.export.gallery import GalleryFace, GalleryRow, write_gallery
from model.export.viewer_files import write_head_script
from model.face.morphable_model import MorphableModel
from model.face.skeleton import Skeleton
from model.geometry.camera import default_intrinsics
from model.look.atlas import Atlas
from model.look.face_result import FaceResult, face_result
from model.look.hair_mesh import FaceHair, HairMesh
from model.look.hair_texture import HairTexture
from model.look.head_shape import head_shape
from model.look.rig import HeadRig
from model.reconstructor import Reconstructor
from tests.small_world import neutral_parameters

# Everything that means something to HTML, to an address or to a script.
AWFUL_NAME = "it's \"100%\" of <b>&amp; ümläut #1?'.jpg"
FAILED_NAME = "</script><script>alert(1)</script>.jpg"


def toy_face(reconstructor: Reconstructor, translation_mm: tuple[float, float, float] | None = None) -> FaceResult:
    """A toy head with an expression, in a photograph of 200 x 240 px."""
    head = reconstructor.morphable_model
    neutral = neutral_parameters(head)
    parameters = replace(neutral, expression=torch.full_like(neutral.expression, 0.25))
    if translation_mm:
        parameters = replace(parameters, translation_mm=torch.tensor([translation_mm]))
    camera = default_intrinsics(240, 200)
    reconstruction = reconstructor.decode(parameters, camera[None])
    return face_result(reconstruction, head, camera, np.array([10.0, 10.0, 90.0, 120.0]), 0.9)


def face_rig(face: FaceResult, model: MorphableModel) -> HeadRig:
    """The joints of a face whose lips and teeth are the head model's."""
    shape = head_shape(face, model, None, np.zeros(len(face.vertices_mm), np.float32))
    return HeadRig.of(shape, Skeleton.of(model))


def toy_hair(skin_mask: Float[np.ndarray, "height width"]) -> FaceHair:
    """A triangle of brown hair above a head, whose texture covers its lower half.

    Args:
        skin_mask: What of the photograph is skin.
    """
    color = np.tile(np.array([90, 70, 60], np.uint8), (8, 8, 1))
    cover = np.repeat(np.array([0, 255], np.uint8), 4)[:, None].repeat(8, axis=1)
    corners = np.array([[-50.0, 80.0, 0.0], [50.0, 80.0, 0.0], [0.0, 120.0, 0.0]], np.float32)
    uv = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]], np.float32)
    triangle = np.array([[0, 1, 2]], np.int32)
    return FaceHair(skin_mask, HairMesh(corners, np.arange(3), triangle, uv, HairTexture(color, color, cover, cover)))


def write_results(
    output: Path, reconstructor: Reconstructor, *, faces: int = 2, formats: tuple[str, ...] = ("glb", "overlay")
) -> Atlas:
    """Write a page with a file of so many faces and one that failed."""
    files = FaceFiles(reconstructor.morphable_model, 128)
    photograph = np.full((240, 200, 3), (200, 120, 40), np.uint8)
    shown = []
    for index in range(faces):
        folder = f"{AWFUL_NAME}/face{index}"
        (output / folder).mkdir(parents=True)
        if index == 0:
            files.write(toy_face(reconstructor), photograph, output / folder, formats)
        else:
            for file in (output / f"{AWFUL_NAME}/face0").iterdir():
                (output / folder / file.name).write_bytes(file.read_bytes())
        shown.append(GalleryFace(folder, (12.4, -3.6, 0.0)))
    write_head_script(reconstructor.morphable_model, files.atlases, output)
    rows = [
        GalleryRow(f"photos/{AWFUL_NAME}", "ok", "", tuple(shown)),
        GalleryRow(FAILED_NAME, "no_face", "no face <found>", ()),
    ]
    write_gallery(rows, output / "index.html")
    return files.atlas
