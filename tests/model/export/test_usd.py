"""The USD file is the GLB: the same points, blendshapes, joints, weights and camera, posed by USD's own skinning."""

from pathlib import Path

import numpy as np
import pytest

from common.mesh_options import MeshOptions
from model.export.face_files import FaceFiles
from model.face.parts import PART_NAMES
from model.face.skeleton import JOINT_NAMES
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model
from tests.small_gallery import toy_hair
from tests.small_glb import Glb

pxr = pytest.importorskip("pxr", reason="usd-core is not installed")
pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
PHOTOGRAPH = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)


@pytest.mark.parametrize("options", [MeshOptions(), MeshOptions(rig="bones", pose="photograph")])
def test_usd_agrees_with_the_glb(tmp_path: Path, options: MeshOptions) -> None:
    from pxr import Usd, UsdGeom, UsdSkel

    face = released_face(6, jawOpen=0.5, mouthPucker=0.4, eyeLookInLeft=0.6)
    hair = toy_hair(np.ones(PHOTOGRAPH.shape[:2], np.float32))
    FaceFiles(released_model(), 64).write(face, PHOTOGRAPH, tmp_path, ("glb", "usd"), hair=hair, mesh=options)
    glb, stage = Glb.read(tmp_path / "mesh.glb"), Usd.Stage.Open(str(tmp_path / "mesh.usdz"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    skeleton = UsdSkel.Skeleton.Get(stage, "/Likeness/Head/Skeleton")
    assert [path.rpartition("/")[2] for path in skeleton.GetJointsAttr().Get()] == list(JOINT_NAMES)
    cache = UsdGeom.XformCache()
    at_rest = {part: glb.points(part, {}) for part in (*PART_NAMES, "hair")}
    morphed = {part: glb.points(part) for part in at_rest}
    root = UsdSkel.Root.Get(stage, "/Likeness/Head")
    for part, expected in at_rest.items():
        mesh = UsdGeom.Mesh.Get(stage, f"/Likeness/Head/{part}")
        assert len(mesh.GetPrim().GetAttribute("skel:blendShapes").Get()) == 52
        corners = np.array(mesh.GetFaceVertexIndicesAttr().Get())
        if options == MeshOptions():
            points = np.array(mesh.GetPointsAttr().Get())[corners]
            (primitive,) = glb.mesh(part)["primitives"]
            indices = glb.values(primitive["indices"])[:, 0]
            np.testing.assert_allclose(1000.0 * points, 1000.0 * expected[indices], atol=1e-4)
            st = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get())
            uv = glb.values(primitive["attributes"]["TEXCOORD_0"])[indices]
            np.testing.assert_allclose(st, np.stack((uv[:, 0], 1.0 - uv[:, 1]), -1), atol=1e-6)
    assert UsdSkel.BakeSkinning(root)
    for part, expected in morphed.items():
        mesh = UsdGeom.Mesh.Get(stage, f"/Likeness/Head/{part}")
        attribute = mesh.GetPointsAttr()
        times = attribute.GetTimeSamples()
        baked = np.array(attribute.Get(times[0]) if times else attribute.Get())
        world = np.array(cache.GetLocalToWorldTransform(mesh.GetPrim()))
        placed = baked @ world[:3, :3] + world[3, :3]
        corners = np.array(mesh.GetFaceVertexIndicesAttr().Get())
        indices = glb.values(glb.mesh(part)["primitives"][0]["indices"])[:, 0]
        # In the pose before the camera, single precision itself has steps of 6e-5 mm.
        atol = 1e-4 if options == MeshOptions() else 5e-4
        np.testing.assert_allclose(1000.0 * placed[corners], 1000.0 * expected[indices], atol=atol)


def test_the_camera_and_the_textures_are_in_the_file(tmp_path: Path) -> None:
    from pxr import Sdf, Usd, UsdGeom, UsdShade

    FaceFiles(released_model(), 64).write(released_face(2), PHOTOGRAPH, tmp_path, ("usd",))
    assert {path.name for path in tmp_path.iterdir()} == {"mesh.usdz"}
    stage = Usd.Stage.Open(str(tmp_path / "mesh.usdz"))
    camera = UsdGeom.Camera.Get(stage, "/Likeness/Camera").GetCamera()
    result = released_face(2)
    eyes_m = 0.001 * result.vertices_mm[:1]
    seen = camera.frustum.ComputeViewMatrix() * camera.frustum.ComputeProjectionMatrix()
    shown = seen.Transform(tuple(float(value) for value in eyes_m[0]))
    expected = 2.0 * result.vertices_image[0, :2] / PHOTOGRAPH_PX - 1.0
    np.testing.assert_allclose((shown[0], -shown[1]), expected, atol=1e-3)
    for part in PART_NAMES:
        texture = UsdShade.Shader.Get(stage, f"/Likeness/Materials/{part}/texture")
        asset = texture.GetInput("file").Get()
        assert isinstance(asset, Sdf.AssetPath)
        assert asset.resolvedPath.endswith(f"{part}.jpg]")
