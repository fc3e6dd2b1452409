import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
import trimesh

from common.mesh_options import MeshOptions
from model.export.face_files import FaceFiles
from model.export.glb_buffer import GlbBuffer, glb_bytes
from model.face.morphable_model import MorphableModel
from model.geometry.camera import default_intrinsics
from model.look.atlas import Atlas
from model.look.face_result import FaceResult, face_result
from model.look.texture import Texture, draw_texture, vertex_colors
from tests.small_world import neutral_parameters, toy_reconstructor

PHOTOGRAPH = np.random.default_rng(0).integers(0, 255, (240, 200, 3), dtype=np.uint8)


def unwrap(result: FaceResult, photograph: np.ndarray, head: MorphableModel, atlas: Atlas) -> Texture:
    """The textures of a face's skin."""
    return draw_texture(vertex_colors(result, photograph, head, atlas), result, photograph, head, atlas)


@pytest.fixture(scope="module")
def made() -> tuple[FaceResult, MorphableModel]:
    reconstructor = toy_reconstructor()
    head = reconstructor.morphable_model
    neutral = neutral_parameters(head)
    parameters = replace(neutral, expression=torch.full_like(neutral.expression, 0.25))
    camera = default_intrinsics(*PHOTOGRAPH.shape[:2])
    reconstruction = reconstructor.decode(parameters, camera[None])
    return face_result(reconstruction, head, camera, np.array([10.0, 10.0, 90.0, 120.0]), 0.9), head


@pytest.mark.slow
def test_the_meshes_read_back_as_the_head(made: tuple[FaceResult, MorphableModel], tmp_path: Path) -> None:
    result, head = made
    files = FaceFiles(head, 128)
    files.write(result, PHOTOGRAPH, tmp_path, ("glb", "obj"))
    rows = [line.split() for line in (tmp_path / "mesh.obj").read_text().splitlines()]
    vertices = np.array([row[1:] for row in rows if row and row[0] == "v"], float)
    np.testing.assert_allclose(vertices, result.vertices_mm, atol=1e-3)
    loaded = trimesh.load(tmp_path / "mesh.obj", process=False, force="mesh")
    assert isinstance(loaded, trimesh.Trimesh)
    assert len(loaded.faces) == len(result.faces)
    document = pygltflib.GLTF2().load(str(tmp_path / "mesh.glb"))
    assert document is not None
    mesh = document.meshes[0]
    assert mesh.extras["targetNames"] == list(result.expression_names)
    np.testing.assert_allclose(mesh.weights, result.expression)
    neutral = trimesh.load(tmp_path / "mesh.glb", process=False, force="mesh")
    assert isinstance(neutral, trimesh.Trimesh)
    basis = head.expression_basis.unflatten(-1, (-1, 3)).numpy()
    expected = result.vertices_mm - np.einsum("e,evx->vx", result.expression, basis)
    np.testing.assert_allclose(neutral.vertices, 0.001 * expected[files.atlas.vertex], atol=1e-6)


def test_the_texture_shows_the_photograph_where_it_was_seen(made: tuple[FaceResult, MorphableModel]) -> None:
    result, head = made
    atlas = FaceFiles(head, 256).atlas
    photograph = np.full((240, 200, 3), (200, 120, 40), np.uint8)
    texture = unwrap(result, photograph, head, atlas)
    seen = texture.source[..., 0] == 255
    assert seen.any()
    assert np.abs(texture.image_srgb[seen].astype(int) - (200, 120, 40)).max() <= 1
    total = texture.source[atlas.covered].astype(int).sum(-1)
    assert np.abs(total - 255).max() <= 2


def test_a_profile_and_a_face_beyond_the_border_are_textured_too(made: tuple[FaceResult, MorphableModel]) -> None:
    result, head = made
    atlas = FaceFiles(head, 128).atlas
    shifted = replace(result, vertices_image=result.vertices_image + np.float32([150.0, 0.0, 0.0]))
    texture = unwrap(shifted, PHOTOGRAPH, head, atlas)
    assert texture.image_srgb.shape == (128, 128, 3)


def test_no_step_shows_where_the_photograph_ends(made: tuple[FaceResult, MorphableModel]) -> None:
    result, head = made
    atlas = FaceFiles(head, 256).atlas
    photograph = np.full((240, 200, 3), (150, 110, 90), np.uint8)
    texture = unwrap(result, photograph, head, atlas)
    blue, red = texture.source[..., 2].astype(int), texture.source[..., 0].astype(int)
    border = (blue > 240) & (blue < 255) & (red < 15)
    assert border.any()
    assert np.abs(texture.image_srgb[border].astype(int) - (150, 110, 90)).mean() < 12


def test_the_morph_targets_are_the_expressions(made: tuple[FaceResult, MorphableModel], tmp_path: Path) -> None:
    result, head = made
    files = FaceFiles(head, 64)
    files.write(result, PHOTOGRAPH, tmp_path, ("glb",))
    content = (tmp_path / "mesh.glb").read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    document, blob = json.loads(content[20 : 20 + length]), content[28 + length :]

    def read(view_index: int, kind: type) -> np.ndarray:
        view = document["bufferViews"][view_index]
        return np.frombuffer(blob[view["byteOffset"] :][: view["byteLength"]], kind)

    basis = head.expression_basis.unflatten(-1, (-1, 3)).numpy()
    for target, shape in zip(document["meshes"][0]["primitives"][0]["targets"], basis, strict=True):
        accessor = document["accessors"][target["POSITION"]]
        # Importers stumble over an accessor without a view, though sparse rows could do without.
        moved = read(accessor["bufferView"], np.float32).reshape(-1, 3).copy()
        assert len(moved) == accessor["count"]
        if "sparse" in accessor:
            assert not moved.any()
            assert document["bufferViews"][accessor["bufferView"]]["byteStride"] == 12
            rows = read(accessor["sparse"]["indices"]["bufferView"], np.uint32)
            assert (np.diff(rows.astype(int)) > 0).all()
            moved[rows] = read(accessor["sparse"]["values"]["bufferView"], np.float32).reshape(-1, 3)
        np.testing.assert_allclose(moved, 0.001 * shape[files.atlas.vertex], atol=2e-5)
        np.testing.assert_allclose(accessor["max"], moved.max(0), atol=1e-6)


@pytest.mark.parametrize("moving", [0, 3, 90])
def test_sparse_rows_are_written_where_they_save_something(moving: int) -> None:
    document = pygltflib.GLTF2()
    buffer = GlbBuffer(document)
    displacements = np.zeros((100, 3), np.float32)
    displacements[:moving] = [0.01, -0.02, 0.0]
    accessors = [document.accessors[buffer.sparse_accessor(displacements)] for _ in range(3)]
    # All of them rest on one view of zeros, or each is written whole.
    assert len({accessor.bufferView for accessor in accessors}) == (3 if moving == 90 else 1)
    for accessor in accessors:
        assert (accessor.sparse is None) == (moving == 90)
        assert accessor.min == pytest.approx([0.0, -0.02 if moving else 0.0, 0.0])
        assert accessor.max == pytest.approx([0.01 if moving else 0.0, 0.0, 0.0])
    assert all(view.byteOffset % 4 == 0 for view in document.bufferViews)


def test_expressions_that_leave_a_part_alone_share_one_accessor() -> None:
    document = pygltflib.GLTF2()
    buffer = GlbBuffer(document)
    still = np.zeros((100, 3), np.float32)
    moved = still + np.float32(0.01)
    assert buffer.sparse_accessor(still) == buffer.sparse_accessor(1e-7 * moved)
    assert len({buffer.sparse_accessor(each) for each in (still, still[:50], moved, 2.0 * moved)}) == 4


def test_a_glb_is_what_pygltflib_reads_and_would_write(tmp_path: Path) -> None:
    document = pygltflib.GLTF2(scene=0, scenes=[pygltflib.Scene(nodes=[0])], nodes=[pygltflib.Node(name="é", mesh=0)])
    buffer = GlbBuffer(document)
    attributes = pygltflib.Attributes(POSITION=buffer.sparse_accessor(np.eye(3, dtype=np.float32)))
    document.meshes = [pygltflib.Mesh(primitives=[pygltflib.Primitive(attributes=attributes)], extras={"none": None})]
    document.materials = [pygltflib.Material(extensions={"KHR_materials_unlit": {}})]
    document.buffers = [pygltflib.Buffer(byteLength=len(buffer.data))]
    document.set_binary_blob(bytes(buffer.data))
    (tmp_path / "ours.glb").write_bytes(glb_bytes(document))
    document.save_binary(str(tmp_path / "theirs.glb"))
    ours, theirs = (pygltflib.GLTF2().load(str(tmp_path / f"{name}.glb")) for name in ("ours", "theirs"))
    assert ours is not None
    assert theirs is not None
    theirs.meshes[0].extras["none"] = None  # pygltflib drops what a user's own data say is empty.
    assert ours.to_json() == theirs.to_json()
    assert ours.binary_blob() == theirs.binary_blob() == bytes(buffer.data)
    assert ours.materials[0].extensions == {"KHR_materials_unlit": {}}


def test_a_black_and_white_photograph_gives_a_black_and_white_head(made: tuple[FaceResult, MorphableModel]) -> None:
    result, head = made
    atlas = FaceFiles(head, 128).atlas
    grey = np.repeat(PHOTOGRAPH[..., :1], 3, axis=2)
    texture = unwrap(result, grey, head, atlas).image_srgb.astype(int)
    assert np.ptp(texture, axis=2).max() <= 1


def test_units_scale_the_obj_and_say_so(made: tuple[FaceResult, MorphableModel], tmp_path: Path) -> None:
    result, head = made
    for units, length in (("mm", 1.0), ("m", 0.001)):
        FaceFiles(head, 64).write(result, PHOTOGRAPH, tmp_path, ("obj",), mesh=MeshOptions(units=units))
        for name in ("mesh.obj", "mesh_neutral.obj"):
            lines = (tmp_path / name).read_text().splitlines()
            assert f"in {units}," in lines[0]
            places = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
            basis = head.expression_basis.unflatten(-1, (-1, 3)).numpy()
            at_rest = result.vertices_mm - np.einsum("e,evx->vx", result.expression, basis)
            expected = result.vertices_mm if name == "mesh.obj" else at_rest
            np.testing.assert_allclose(places, length * expected, atol=2e-4 * length)
