"""A written head in its parts: named meshes with named materials, each within glTF's rules, and the same as an OBJ."""

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.export.face_files import FaceFiles
from model.export.glb import write_glb
from model.export.glb_material import GlossMaterial
from model.export.mesh_part import MeshPart
from model.face.parts import PART_NAMES
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model
from tests.small_gallery import face_rig, toy_face, toy_hair
from tests.small_world import toy_reconstructor

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
PHOTOGRAPH = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("head")
    FaceFiles(released_model(), 128).write(released_face(jawOpen=0.2), PHOTOGRAPH, place, ("glb", "obj"))
    return place


def read(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def values(document: dict, blob: bytes, accessor: dict) -> np.ndarray:
    kind, width = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]], {"VEC4": 4, "VEC3": 3, "VEC2": 2, "SCALAR": 1}
    view = document["bufferViews"][accessor["bufferView"]]
    start = view["byteOffset"] + accessor.get("byteOffset", 0)
    return np.frombuffer(blob[start : start + view["byteLength"]], kind).reshape(-1, width[accessor["type"]])


def test_parts_are_named_nodes_with_meshes_and_materials(folder: Path) -> None:
    document, _ = read(folder / "mesh.glb")
    roots = [document["nodes"][root] for root in document["scenes"][0]["nodes"]]
    assert [root["name"] for root in roots] == ["pose", "camera", *PART_NAMES]
    assert "rotation" in roots[0]["extras"]
    for node, name in zip(roots[2:], PART_NAMES, strict=True):
        mesh = document["meshes"][node["mesh"]]
        assert mesh["name"] == name
        assert document["materials"][mesh["primitives"][0]["material"]]["name"] == name
        assert len(mesh["extras"]["targetNames"]) == len(mesh["primitives"][0]["targets"]) == len(mesh["weights"]) == 52
    # Every part has a texture of its own.
    images = {material["pbrMetallicRoughness"]["baseColorTexture"]["index"] for material in document["materials"]}
    assert len(images) == len(PART_NAMES)


def test_every_mesh_keeps_the_rules_of_the_format(folder: Path) -> None:
    document, blob = read(folder / "mesh.glb")
    for mesh in document["meshes"]:
        (primitive,) = mesh["primitives"]
        attributes = {name: document["accessors"][index] for name, index in primitive["attributes"].items()}
        count = attributes["POSITION"]["count"]
        assert {accessor["count"] for accessor in attributes.values()} == {count}
        position = values(document, blob, attributes["POSITION"])
        np.testing.assert_array_equal(attributes["POSITION"]["min"], position.min(0))
        np.testing.assert_array_equal(attributes["POSITION"]["max"], position.max(0))
        normals = values(document, blob, attributes["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-4)
        uv = values(document, blob, attributes["TEXCOORD_0"])
        assert uv.min() >= 0.0
        assert uv.max() <= 1.0
        indices = values(document, blob, document["accessors"][primitive["indices"]]).ravel()
        assert set(np.unique(indices)) == set(range(count))
        for target in primitive["targets"]:
            accessor = document["accessors"][target["POSITION"]]
            assert accessor["count"] == count
            assert "min" in accessor
            assert "max" in accessor
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])


def test_the_parts_are_the_whole_head(folder: Path) -> None:
    document, _ = read(folder / "mesh.glb")
    triangles = sum(document["accessors"][mesh["primitives"][0]["indices"]]["count"] for mesh in document["meshes"])
    assert triangles == 3 * len(released_model().faces)


def test_the_obj_has_the_same_parts(folder: Path) -> None:
    lines = (folder / "mesh.obj").read_text(encoding="utf-8").splitlines()
    assert [line[2:] for line in lines if line.startswith("o ")] == list(PART_NAMES)
    assert [line[7:] for line in lines if line.startswith("usemtl ")] == list(PART_NAMES)
    corners = np.array([[c.split("/") for c in line.split()[1:]] for line in lines if line.startswith("f ")], int)
    assert len(corners) == len(released_model().faces)
    for column, keyword in ((0, "v "), (1, "vt "), (2, "vn ")):
        count = sum(line.startswith(keyword) for line in lines)
        np.testing.assert_array_equal(np.unique(corners[..., column]), np.arange(1, count + 1))
    materials = (folder / "mesh.mtl").read_text(encoding="utf-8")
    for name in PART_NAMES:
        picture = "texture.png" if name == "skin" else f"{name}.png"
        assert f"newmtl {name}\n" in materials
        assert f"map_Kd {picture}\n" in materials
        assert Image.open(folder / picture).size[0] > 0


@pytest.mark.parametrize("lit", [True, False])
def test_hair_is_a_part_of_all_files_cut_out_by_its_texture(tmp_path: Path, *, lit: bool) -> None:
    reconstructor = toy_reconstructor()
    files = FaceFiles(reconstructor.morphable_model, 64, lit=lit)
    photograph = np.full((240, 200, 3), (200, 120, 40), np.uint8)
    hair = toy_hair(np.ones(photograph.shape[:2], np.float32))
    files.write(toy_face(reconstructor), photograph, tmp_path, ("glb", "obj"), hair=hair)
    document, blob = read(tmp_path / "mesh.glb")
    assert [mesh["name"] for mesh in document["meshes"]][-1] == "hair"
    material = document["materials"][-1]
    assert (material["alphaMode"], material["name"]) == ("MASK", "hair")
    assert ("KHR_materials_unlit" in material.get("extensions", {})) != lit
    source = document["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]["source"]
    view = document["bufferViews"][document["images"][source]["bufferView"]]
    encoded = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    picture = np.asarray(Image.open(tmp_path / "hair.png"))
    for cover in (np.asarray(Image.open(io.BytesIO(encoded)))[..., 3], picture[..., 3]):
        np.testing.assert_array_equal(cover[:, 0], np.repeat([0, 255], 4))
    np.testing.assert_array_equal(picture[0, 0, :3], (90, 70, 60))
    page = (tmp_path / "viewer.js").read_text(encoding="utf-8")
    face = json.loads(page[page.index("(") + 1 : page.rindex(")")])
    assert [part["name"] for part in face["parts"]] == ["hair"]
    assert face["textures"]["hair"]["albedo"].startswith("data:image/webp;base64,")


def square(material: GlossMaterial, moved: Sequence[float]) -> MeshPart:
    vertices = np.float32([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]])
    morphs = np.zeros((52, 4, 3), np.float32)
    morphs[3] = moved
    faces, uv = np.array([[0, 1, 2], [0, 2, 3]]), vertices[:, :2] / 10.0
    weights = np.tile(np.eye(6, dtype=np.float32)[2], (4, 1))
    return MeshPart("hair", vertices, np.arange(4), faces, uv, morphs, material, weights)


def test_a_part_of_ones_own_is_written_as_it_is(tmp_path: Path) -> None:
    picture = np.full((8, 8, 3), (120, 90, 60), np.uint8)
    part = square(GlossMaterial(picture, 0.4, coat=0.5), (0.0, 2.0, 0.0))
    face = released_face()
    write_glb(face, [part], face_rig(face, released_model()), tmp_path / "mesh.glb")
    document, blob = read(tmp_path / "mesh.glb")
    (mesh,), (material,) = document["meshes"], document["materials"]
    assert (mesh["name"], material["name"]) == ("hair", "hair")
    position = values(document, blob, document["accessors"][mesh["primitives"][0]["attributes"]["POSITION"]])
    np.testing.assert_allclose(position, 0.001 * part.vertices_mm)
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == pytest.approx(0.4)
    assert material["extensions"]["KHR_materials_clearcoat"]["clearcoatFactor"] == pytest.approx(0.5)
    assert document["extensionsUsed"] == ["KHR_materials_clearcoat"]
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    encoded = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert np.abs(np.asarray(Image.open(io.BytesIO(encoded))).astype(int) - picture).max() <= 3
    np.testing.assert_allclose(part.posed_mm(np.eye(52, dtype=np.float32)[3])[:, 1], part.vertices_mm[:, 1] + 2.0)
    np.testing.assert_allclose(part.normals(part.vertices_mm), np.tile([0.0, 0.0, 1.0], (4, 1)), atol=1e-6)
