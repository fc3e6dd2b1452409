"""The OBJ files of ICT-FaceKit's download."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.face.readers.ict_folder import IDENTITY_COUNT, displacement, pack, read_obj

SHARED = Path(__file__).parents[4] / "shared" / "data" / "ict-facekit"
SAMPLE, PACKED = SHARED / "upstream-sample" / "FaceXModel", SHARED / "ict_facekit_light.npz"

POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.5], [0.0, 1.0, 0.0], [2.0, 0.5, 0.0]])
SURFACE = """
vt 0 0
vt 1 0
vt 1 1
vt 0 1
mtllib made_up.mtl
usemtl M_Face
f 1/1 2/2 3/3 4/4
f 2/2 5/1 3/3
"""


def write_obj(path: Path, points: np.ndarray, surface: str = SURFACE) -> None:
    path.write_text("# made up\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in points) + surface)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_up_folder(tmp_path)


def made_up_folder(tmp_path: Path) -> Path:
    """A model of five vertices, two identities and two expressions in the layout of the download."""
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    write_obj(folder / "generic_neutral_mesh.obj", POINTS)
    write_obj(folder / "identity000.obj", POINTS + (0.5, 0.0, 0.0))
    write_obj(folder / "identity001.obj", POINTS + (0.0, 0.25, 0.0))
    write_obj(folder / "jawOpen.obj", POINTS - (0.0, 1.0, 0.0))
    write_obj(folder / "cheekRaiser_L.obj", POINTS + (0.0, 0.0, 2.0))
    indices = {"expressions": ["jawOpen"], "idx_to_landmark_verts": [4, 0, 2]}
    (folder / "vertex_indices.json").write_text(json.dumps(indices))
    return folder


def test_a_made_up_model_is_packed(folder: Path) -> None:
    arrays = pack(folder, identity_count=2)
    np.testing.assert_array_equal(arrays["neutral"], POINTS.astype(np.float32))
    np.testing.assert_array_equal(arrays["faces"], [[0, 1, 2, 3], [1, 4, 2, -1]])
    np.testing.assert_array_equal(arrays["uv_faces"], [[0, 1, 2, 3], [1, 0, 2, -1]])
    np.testing.assert_array_equal(arrays["uv"], [[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(arrays["identity"][:, 3], [[0.5, 0.0, 0.0], [0.0, 0.25, 0.0]])
    # An expression that is not listed is packed too; their order is that of their names, whatever the system's.
    assert arrays["expression_names"].tolist() == ["cheekRaiser_L", "jawOpen"]
    np.testing.assert_array_equal(arrays["expression"][:, 0], [[0.0, 0.0, 2.0], [0.0, -1.0, 0.0]])
    np.testing.assert_array_equal(arrays["landmarks68"], [4, 0, 2])


def test_identities_beyond_the_count_are_no_expressions(folder: Path) -> None:
    assert "identity001" not in pack(folder, identity_count=1)["expression_names"]


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "jawOpen.obj").unlink()
    (folder / "generic_neutral_mesh.obj").unlink()
    with pytest.raises(FileNotFoundError, match=r"2 files missing: generic_neutral_mesh\.obj, jawOpen\.obj"):
        pack(folder, identity_count=2)
    with pytest.raises(FileNotFoundError, match=r"100 files missing: generic.*identity008\.obj, \.\.\.$"):
        pack(folder)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vertex_indices\.json.*FaceXModel"):
        pack(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"expressions": []}'])
def test_a_list_of_indices_that_is_none_is_named(folder: Path, text: str) -> None:
    (folder / "vertex_indices.json").write_text(text)
    with pytest.raises(ValueError, match=r"vertex_indices\.json"):
        pack(folder)


@pytest.mark.parametrize(
    "line", ["v 1 2", "vt 0.5", "v a b c", "f 1 2 3", "f 1/1 2/2", "f -1/1 -2/2 -3/3", "f 1//1 2//2 3//3"]
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.obj"
    write_obj(path, POINTS, f"{line}\n")
    with pytest.raises(ValueError, match=r"broken\.obj, line 7"):
        read_obj(path)


@pytest.mark.parametrize("change", ["fewer vertices", "other faces"])
def test_a_mesh_that_is_not_the_neutral_one_is_named(folder: Path, change: str) -> None:
    points, surface = (POINTS[:4], SURFACE) if change == "fewer vertices" else (POINTS, SURFACE.replace("f 2", "f 1"))
    write_obj(folder / "jawOpen.obj", points, surface)
    with pytest.raises(ValueError, match=r"jawOpen\.obj: not the mesh of generic_neutral_mesh\.obj"):
        pack(folder, identity_count=2)


@pytest.mark.slow
@pytest.mark.skipif(not (SAMPLE.is_dir() and PACKED.is_file()), reason="shared/data/ict-facekit is missing")
def test_the_real_files_give_the_packed_model() -> None:
    neutral = read_obj(SAMPLE / "generic_neutral_mesh.obj")
    with np.load(PACKED, allow_pickle=False) as packed:
        np.testing.assert_allclose(neutral.vertices, packed["neutral"], atol=1e-6)
        np.testing.assert_array_equal(neutral.faces, packed["faces"])
        np.testing.assert_array_equal(neutral.uv_faces, packed["uv_faces"])
        np.testing.assert_allclose(neutral.uv, packed["uv"], atol=1e-6)
        assert len(packed["identity"]) == IDENTITY_COUNT
        np.testing.assert_array_equal(displacement(SAMPLE / "identity000.obj", neutral), packed["identity"][0])
        row = packed["expression_names"].tolist().index("jawOpen")
        np.testing.assert_array_equal(displacement(SAMPLE / "jawOpen.obj", neutral), packed["expression"][row])
        indices = json.loads((SAMPLE / "vertex_indices.json").read_text(encoding="utf-8"))
        np.testing.assert_array_equal(indices["idx_to_landmark_verts"], packed["landmarks68"])
