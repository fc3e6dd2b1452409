"""The skin's maps, the light's files and the lit GLB hold the appearance they were given."""

import io
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from model.export.face_files import FaceFiles
from model.export.glb import write_glb
from model.export.glb_material import SkinMaterial
from model.export.light_files import write_environment
from model.export.maps import LARGEST_F0, Maps, gloss_of, write_maps
from model.export.mesh_part import head_part
from model.face.skeleton import Skeleton
from model.look.appearance import Appearance, Lamp
from model.look.atlas import build_atlas
from model.look.head_shape import head_shape
from model.look.rig import HeadRig
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor

SIDE = 32
# Skin with shade in it: brightness that varies, one colour.
PHOTOGRAPH = np.rint(np.array([200.0, 120.0, 40.0]) * np.random.default_rng(1).uniform(0.8, 1.1, (240, 200, 1))).astype(
    np.uint8
)


@pytest.fixture(scope="module")
def appearance() -> Appearance:
    """Every map with a value of its own in each texel."""
    random = np.random.default_rng(3)
    normal = random.normal(0.0, 0.2, (SIDE, SIDE, 3)) + (0.0, 0.0, 1.0)
    return Appearance(
        diffuse_linear=random.uniform(0.02, 0.8, (SIDE, SIDE, 3)).astype(np.float32),
        specular_f0=random.uniform(0.02, 0.06, (SIDE, SIDE)).astype(np.float32),
        roughness=random.uniform(0.2, 0.8, (SIDE, SIDE)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32),
        known=random.uniform(0.0, 1.0, (SIDE, SIDE)).astype(np.float32),
        environment_linear=random.uniform(0.0, 50.0, (8, 16, 3)).astype(np.float32),
        lamps=(Lamp(np.array([100.0, 200.0, -300.0]), 50.0, np.array([1.0, 2.0, 3.0])),),
        tone_sd=0.25,
    )


@pytest.fixture(scope="module")
def folder(appearance: Appearance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("face")
    reconstructor = toy_reconstructor()
    files = FaceFiles(reconstructor.morphable_model, SIDE)
    files.write(toy_face(reconstructor), PHOTOGRAPH, place, ("npz", "glb", "maps"), appearance)
    return place


def decoded(srgb: np.ndarray) -> np.ndarray:
    """The definition of sRGB (IEC 61966-2-1), written once more."""
    values = srgb / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def read_glb(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def picture(document: dict, blob: bytes, texture: int) -> np.ndarray:
    view = document["bufferViews"][document["images"][document["textures"][texture]["source"]]["bufferView"]]
    return np.asarray(Image.open(io.BytesIO(blob[view["byteOffset"] :][: view["byteLength"]])))


def test_the_pictures_decode_to_the_maps(folder: Path, appearance: Appearance) -> None:
    maps = {path.stem: np.asarray(Image.open(path)).astype(float) for path in folder.glob("*.png")}
    assert set(maps) == {"diffuse", "specular", "roughness", "normal", "occlusion"}
    assert maps["specular"].shape == maps["roughness"].shape == (SIDE, SIDE)
    np.testing.assert_allclose(LARGEST_F0 * maps["specular"] / 255.0, appearance.specular_f0, atol=0.0002)
    np.testing.assert_allclose(maps["roughness"] / 255.0, appearance.roughness, atol=0.0021)
    np.testing.assert_allclose(np.linalg.norm(2.0 * maps["normal"] / 255.0 - 1.0, axis=-1), 1.0, atol=0.01)


def test_the_light_reads_back(folder: Path, appearance: Appearance) -> None:
    environment = np.asarray(OpenEXR.File(str(folder / "environment.exr")).channels()["RGB"].pixels, np.float32)
    np.testing.assert_allclose(environment, appearance.environment_linear, rtol=1e-3)
    lights = json.loads((folder / "lights.json").read_text(encoding="utf-8"))
    (lamp,) = lights["lamps"]
    assert lamp == {"position_mm": [100.0, 200.0, -300.0], "radius_mm": 50.0, "radiance_linear": [1.0, 2.0, 3.0]}
    assert lights["tone_sd"] == 0.25
    assert lights["units"]["radius_mm"] == "mm"


def test_radiance_beyond_half_precision_stays_finite(tmp_path: Path) -> None:
    write_environment(np.full((2, 4, 3), 1e6, np.float32), tmp_path / "a.exr")
    assert np.isfinite(OpenEXR.File(str(tmp_path / "a.exr")).channels()["RGB"].pixels).all()


def test_what_is_no_number_is_refused(appearance: Appearance, tmp_path: Path) -> None:
    broken = appearance.roughness.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="roughness"):
        gloss_of(replace(appearance, roughness=broken))
    with pytest.raises(ValueError, match=r"a\.exr"):
        write_environment(np.full((2, 4, 3), np.inf, np.float32), tmp_path / "a.exr")
    assert not list(tmp_path.iterdir())


def test_the_glb_shades_as_the_maps_say(folder: Path, appearance: Appearance) -> None:
    document, blob = read_glb(folder / "mesh.glb")
    (material,) = document["materials"]
    assert document["extensionsUsed"] == ["KHR_materials_specular"]
    surface = material["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0.0
    base = picture(document, blob, surface["baseColorTexture"]["index"])
    diffuse = np.asarray(Image.open(folder / "diffuse.png"))
    assert np.abs(base.astype(int) - diffuse).mean() < 4.0
    rough = picture(document, blob, surface["metallicRoughnessTexture"]["index"])[..., 1] * surface["roughnessFactor"]
    np.testing.assert_allclose(rough / 255.0, appearance.roughness, atol=0.0021)
    packed = picture(document, blob, material["occlusionTexture"]["index"])
    np.testing.assert_array_equal(packed[..., 0], np.asarray(Image.open(folder / "occlusion.png")))
    reflectance = material["extensions"]["KHR_materials_specular"]
    # The specification: F0 = 0.04 * specularColorFactor * specularColorTexture (sRGB) * specularFactor, 1 by default.
    assert "specularFactor" not in reflectance
    color = decoded(picture(document, blob, reflectance["specularColorTexture"]["index"]))
    f0 = 0.04 * np.array(reflectance["specularColorFactor"]) * color
    np.testing.assert_allclose(f0, np.repeat(appearance.specular_f0[..., None], 3, axis=-1), atol=0.0006)


def test_maps_of_one_value_are_factors(tmp_path: Path) -> None:
    flat = np.full((SIDE, SIDE), 102, np.uint8)
    up = np.tile(np.array([128, 128, 255], np.uint8), (SIDE, SIDE, 1))
    material = SkinMaterial(Maps(up, np.full_like(flat, 153), flat, up, np.full_like(flat, 255)))
    reconstructor = toy_reconstructor()
    head = reconstructor.morphable_model
    face = toy_face(reconstructor)
    shape = head_shape(face, head, None, np.zeros(len(face.vertices_mm), np.float32))
    rig = HeadRig.of(shape, Skeleton.of(head))
    write_glb(face, [head_part(shape, rig, build_atlas(head, SIDE), material)], rig, tmp_path / "mesh.glb")
    document, _ = read_glb(tmp_path / "mesh.glb")
    (written,) = document["materials"]
    assert len(document["images"]) == 1
    assert "normalTexture" not in written
    assert "occlusionTexture" not in written
    assert "TANGENT" not in document["meshes"][0]["primitives"][0]["attributes"]
    assert written["pbrMetallicRoughness"]["roughnessFactor"] == pytest.approx(0.4, abs=0.002)
    assert written["extensions"]["KHR_materials_specular"] == {
        "specularColorFactor": pytest.approx([1.2] * 3, abs=0.01)
    }


def test_maps_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    grey = np.full((SIDE, SIDE), 102, np.uint8)
    color = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    write_maps(Maps(color, grey, grey, color, grey), tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "diffuse.png")), color)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "roughness.png")), grey)


def test_the_lit_heads_expressions_turn_its_normals(tmp_path: Path) -> None:
    grey = np.full((SIDE, SIDE), 102, np.uint8)
    bumps = np.random.default_rng(0).integers(100, 156, (SIDE, SIDE, 3), dtype=np.uint8)
    material = SkinMaterial(Maps(bumps, grey, grey, bumps, grey))
    reconstructor = toy_reconstructor()
    head, face = reconstructor.morphable_model, toy_face(reconstructor)
    shape = head_shape(face, head, None, np.zeros(len(face.vertices_mm), np.float32))
    rig = HeadRig.of(shape, Skeleton.of(head))
    write_glb(face, [head_part(shape, rig, build_atlas(head, SIDE), material)], rig, tmp_path / "mesh.glb")
    document, blob = read_glb(tmp_path / "mesh.glb")

    def read(view_index: int, kind: type) -> np.ndarray:
        view = document["bufferViews"][view_index]
        return np.frombuffer(blob[view["byteOffset"] :][: view["byteLength"]], kind)

    primitive = document["meshes"][0]["primitives"][0]
    accessors = document["accessors"]
    names = document["meshes"][0]["extras"]["targetNames"]
    accessor = accessors[primitive["targets"][names.index("jawOpen")]["NORMAL"]]
    turned = read(accessor["bufferView"], np.float32).reshape(-1, 3).copy()
    if "sparse" in accessor:
        rows = read(accessor["sparse"]["indices"]["bufferView"], np.uint32)
        turned[rows] = read(accessor["sparse"]["values"]["bufferView"], np.float32).reshape(-1, 3)
    moved = turned.any(axis=1)
    normals = read(accessors[primitive["attributes"]["NORMAL"]]["bufferView"], np.float32).reshape(-1, 3)
    tangents = read(accessors[primitive["attributes"]["TANGENT"]]["bufferView"], np.float32).reshape(-1, 4)
    np.testing.assert_allclose((tangents[:, :3] * normals).sum(1), 0.0, atol=1e-5)
    assert np.abs(turned).max() > 0.05
    np.testing.assert_allclose(np.linalg.norm(normals[moved] + turned[moved], axis=1), 1.0, atol=1e-4)


def test_without_a_refinement_the_head_is_lit_skin_too(tmp_path: Path) -> None:
    reconstructor = toy_reconstructor()
    FaceFiles(reconstructor.morphable_model, SIDE).write(
        toy_face(reconstructor), PHOTOGRAPH, tmp_path, ("glb", "maps", "npz")
    )
    assert {path.name for path in tmp_path.iterdir()} == {"mesh.glb", "viewer.js", "face.npz"}
    document, _ = read_glb(tmp_path / "mesh.glb")
    assert document["extensionsUsed"] == ["KHR_materials_specular"]
    assert "NORMAL" in document["meshes"][0]["primitives"][0]["targets"][0]
    with np.load(tmp_path / "face.npz") as face:
        assert "lamp_position" not in face.files


def test_an_unlit_head_shows_the_photograph(tmp_path: Path) -> None:
    reconstructor = toy_reconstructor()
    FaceFiles(reconstructor.morphable_model, SIDE, lit=False).write(
        toy_face(reconstructor), PHOTOGRAPH, tmp_path, ("glb",)
    )
    document, blob = read_glb(tmp_path / "mesh.glb")
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert "NORMAL" not in document["meshes"][0]["primitives"][0]["targets"][0]
    shown = picture(document, blob, document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["index"])
    assert np.abs(shown.astype(int) - PHOTOGRAPH[0, 0]).min(axis=(0, 1)).max() < 8


def test_the_arrays_hold_the_lamps(folder: Path, appearance: Appearance) -> None:
    with np.load(folder / "face.npz", allow_pickle=False) as face:
        np.testing.assert_allclose(face["lamp_position"], [[100.0, 200.0, -300.0]])
        np.testing.assert_allclose(face["lamp_radiance"], [[1.0, 2.0, 3.0]])
        np.testing.assert_allclose(face["albedo_known"], appearance.known, atol=0.001)
        assert {"identity", "vertices", "vertices_neutral", "albedo_vertex"} <= set(face.files)
