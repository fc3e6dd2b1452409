"""A caricature of a written head: the same parts and textures, another shape, and errors that say what to do."""

from pathlib import Path

import numpy as np
import pytest

from common.mesh_options import MeshOptions
from inference.exaggerate_command import main
from model.export.arrays import read_arrays
from model.export.face_files import FaceFiles
from model.export.glb_stored import read_glb
from model.face.parts import PART_NAMES
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model
from tests.small_gallery import toy_hair

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
PHOTOGRAPH = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "face0"
    folder.mkdir()
    hair = toy_hair(np.ones(PHOTOGRAPH.shape[:2], np.float32))
    face, files = released_face(7, mouthSmileLeft=0.5), FaceFiles(released_model(), 64)
    files.write(face, PHOTOGRAPH, folder, ("glb", "obj", "npz"), hair=hair, mesh=MeshOptions(units="cm"))
    return folder


def test_a_caricature_at_1_is_the_head_itself(head: Path, tmp_path: Path) -> None:
    assert main([str(head), "--factor", "1", "--output", str(tmp_path)]) == 0
    before, after = read_glb(head / "mesh.glb"), read_glb(tmp_path / "mesh.glb")
    assert [part.name for part in after.parts] == [*PART_NAMES, "hair"]
    for one, other in zip(before.parts, after.parts, strict=True):
        np.testing.assert_allclose(other.vertices_mm, one.vertices_mm, atol=0.02 if one.name == "skin" else 0.6)
        np.testing.assert_array_equal(other.faces, one.faces)
        np.testing.assert_allclose(other.uv, one.uv, atol=1e-6)
        assert [image for image, _ in other.material.images.values()] == [
            image for image, _ in one.material.images.values()
        ]
        assert other.material.cut_out == (one.name == "hair")


def test_all_files_hold_the_same_caricature(head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(head), "--factor", "1.6", "--region", "nose=2.0", "ears=1.2", "--output", str(tmp_path)]) == 0
    assert "mesh.glb" in capsys.readouterr().out
    assert {path.name for path in head.iterdir()} - {path.name for path in tmp_path.iterdir()} <= {
        "viewer.js",
        "texture_source.png",
    }
    model = released_model()
    before, after = (read_arrays(folder / "face.npz", model) for folder in (head, tmp_path))
    assert np.linalg.norm(after.vertices_mm - before.vertices_mm, axis=1).max() > 2.0
    morphs = model.expression_basis.unflatten(-1, (-1, 3)).numpy()
    expressed = np.einsum("e,evx->vx", after.expression, morphs)
    np.testing.assert_allclose(after.vertices_neutral_mm + after.offsets_mm + expressed, after.vertices_mm, atol=1e-3)
    np.testing.assert_array_equal(after.expression, before.expression)
    lines = (tmp_path / "mesh.obj").read_text(encoding="utf-8").splitlines()
    assert "in cm," in lines[0]
    places = 10.0 * np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    skin = read_glb(tmp_path / "mesh.glb").parts[0]
    posed = skin.vertices_mm + np.einsum("e,evx->vx", after.expression, skin.morphs_mm)
    np.testing.assert_allclose(places.min(0)[1], posed.min(0)[1], atol=0.01)
    assert "map_d hair.png" in (tmp_path / "mesh.mtl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--factor", "9"], "expected 0"), (["--region", "nose"], "nose=2.0"), (["--region", "chin=2"], "nose, mouth")],
)
def test_a_request_that_cannot_be_met_writes_nothing(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([str(head), *arguments, "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_head_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "--formats glb npz" in capsys.readouterr().err
    (tmp_path / "mesh.glb").write_bytes(b"no head")
    np.savez(tmp_path / "face.npz", identity=np.zeros(3))
    assert main([str(tmp_path)]) == 2
    assert "face.npz: not a face" in capsys.readouterr().err
