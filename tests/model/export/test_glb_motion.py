"""A track as the animation of a GLB: played by the format's own rules, the head is where the track says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.mesh_options import MeshOptions
from model.export.face_files import FaceFiles
from model.export.glb_reader import HeadFileError, read_glb_head
from model.geometry.rotation import rotation_from_euler
from model.look.face_result import FaceResult
from model.look.face_track import FaceTrack
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model
from tests.small_gallery import toy_hair
from tests.small_glb import Glb

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
PHOTOGRAPH = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)
COUNT = 4


@pytest.fixture(scope="module")
def face() -> FaceResult:
    return released_face(5, jawOpen=0.6, mouthSmileLeft=0.4)


@pytest.fixture(scope="module")
def track(face: FaceResult) -> FaceTrack:
    weights = np.zeros((COUNT, 2), np.float32)
    weights[:, 0], weights[2, 1] = [0.0, 1.0, 0.0, 1.0], 0.7
    angles = torch.tensor([[0.1 * k, -0.05 * k, 0.02 * k] for k in range(COUNT)])
    places = face.translation_mm + np.arange(COUNT, dtype=np.float32)[:, None] * (5.0, -3.0, 20.0)
    return FaceTrack(
        frame=np.array([0, 1, 5, 6]),
        time_s=np.array([0.0, 0.04, 0.2, 0.24]),
        frames_per_second=25.0,
        expression_names=("jawOpen", "eyeBlinkLeft"),
        expression=weights,
        rotation=rotation_from_euler(angles).numpy(),
        translation_mm=places.astype(np.float32),
        confidence=np.ones(COUNT),
    )


def written(face: FaceResult, track: FaceTrack, folder: Path, options: MeshOptions) -> Glb:
    hair = toy_hair(np.ones(PHOTOGRAPH.shape[:2], np.float32))
    FaceFiles(released_model(), 64).write(face, PHOTOGRAPH, folder, ("glb",), None, hair, options, track)
    return Glb.read(folder / "mesh.glb")


def play(glb: Glb, row: int) -> dict[str, float]:
    """Put the nodes where the animation has them in a frame; the weights of that frame."""
    (animation,) = glb.document["animations"]
    weights = np.zeros(0)
    for channel in animation["channels"]:
        sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
        times = glb.values(sampler["input"])[:, 0]
        values = glb.values(sampler["output"]).reshape(len(times), -1)
        if target["path"] == "weights":
            weights = values[row]
        else:
            glb.document["nodes"][target["node"]][target["path"]] = values[row].tolist()
    names = glb.mesh("skin")["extras"]["targetNames"]
    return dict(zip(names, weights.tolist(), strict=True))


def seen_mm(face: FaceResult, track: FaceTrack, row: int, folder: Path) -> np.ndarray:
    """The skin in camera space, by the morph targets of a file without an animation."""
    FaceFiles(released_model(), 64).write(face, PHOTOGRAPH, folder, ("glb",))
    head = read_glb_head(folder)
    (skin,) = (part for part in head.parts if part.name == "skin")
    rest = skin.vertices_mm + np.tensordot(track.weights_of(head.expression_names)[row], skin.morphs_mm, 1)
    return rest @ track.rotation[row].T + track.translation_mm[row]


@pytest.mark.parametrize("rig", ["shapes", "bones"])
@pytest.mark.parametrize("row", [1, 2, 3])
def test_before_the_camera_at_the_origin_each_frame_is_the_tracks(
    face: FaceResult, track: FaceTrack, tmp_path: Path, rig: str, row: int
) -> None:
    glb = written(face, track, tmp_path, MeshOptions(pose="photograph", rig=rig))
    points = glb.points("skin", play(glb, row))
    assert np.abs(1000.0 * points - seen_mm(face, track, row, tmp_path)).max() < 0.1


def test_a_head_at_the_origin_moves_from_the_photographs_pose_on(
    face: FaceResult, track: FaceTrack, tmp_path: Path
) -> None:
    glb = written(face, track, tmp_path, MeshOptions())
    points = 1000.0 * glb.points("skin", play(glb, 3))
    in_camera = points @ face.rotation.T + face.translation_mm
    assert np.abs(in_camera - seen_mm(face, track, 3, tmp_path)).max() < 0.1


def test_times_and_names(face: FaceResult, track: FaceTrack, tmp_path: Path) -> None:
    glb = written(face, track, tmp_path, MeshOptions())
    (animation,) = glb.document["animations"]
    times = glb.document["accessors"][animation["samplers"][0]["input"]]
    assert np.allclose(glb.values(animation["samplers"][0]["input"])[:, 0], track.time_s)
    assert (times["min"], times["max"]) == ([0.0], [pytest.approx(0.24)])
    meshes = [number for number, node in enumerate(glb.document["nodes"]) if "mesh" in node]
    weighed = [c["target"]["node"] for c in animation["channels"] if c["target"]["path"] == "weights"]
    assert weighed == meshes


def test_a_head_is_read_back(face: FaceResult, tmp_path: Path) -> None:
    hair = toy_hair(np.ones(PHOTOGRAPH.shape[:2], np.float32))
    FaceFiles(released_model(), 64).write(face, PHOTOGRAPH, tmp_path, ("glb",), None, hair)
    glb, head = Glb.read(tmp_path / "mesh.glb"), read_glb_head(tmp_path)
    assert np.array_equal(head.expression, face.expression)
    assert np.allclose(head.rotation, face.rotation)
    parts = {part.name: part for part in head.parts}
    assert parts["hair"].cutoff is not None
    assert parts["skin"].lit
    assert parts["skin"].color_srgb.shape[2] == 3
    for name, part in parts.items():
        (primitive,) = glb.mesh(name)["primitives"]
        assert np.allclose(part.vertices_mm, 1000.0 * glb.values(primitive["attributes"]["POSITION"]), atol=1e-3)
        jaw = head.expression_names.index("jawOpen")
        moved = 1000.0 * glb.values(primitive["targets"][jaw]["POSITION"])
        assert np.allclose(part.morphs_mm[jaw], moved, atol=1e-3)


@pytest.mark.parametrize("content", [b"", b"glTF no", None])
def test_what_is_no_head_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mesh.glb").write_bytes(content)
    with pytest.raises(HeadFileError, match=tmp_path.name):
        read_glb_head(tmp_path)
