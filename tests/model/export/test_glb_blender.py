"""Blender reads a written head as what it is: bones, shape keys, a camera, and skin that follows a turned jaw."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from model.export.face_files import FaceFiles
from model.face.parts import PART_NAMES
from model.face.skeleton import JOINT_NAMES
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, released_face, released_model
from tests.small_glb import Glb

_HAS_BPY = importlib.util.find_spec("bpy") is not None
PYTHON = os.environ.get("BPY_PYTHON") or (sys.executable if _HAS_BPY else None)
pytestmark = [
    pytest.mark.skipif(MISSING, reason=REASON),
    pytest.mark.skipif(PYTHON is None, reason="no Python with bpy: pip install bpy into one and name it in BPY_PYTHON"),
]
JAW_DEGREES = 20.0
SCRIPT = """
import json, math, sys
import bpy
from mathutils import Matrix, Vector
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
(armature,) = (thing for thing in bpy.data.objects if thing.type == "ARMATURE")
keys = bpy.data.objects["skin"].data.shape_keys.key_blocks
bone = armature.pose.bones["Jaw"]
place = (armature.matrix_world @ bone.matrix).to_translation()
turn = Matrix.Rotation(math.radians(float(sys.argv[2])), 4, "X")
turn = Matrix.Translation(place) @ turn @ Matrix.Translation(-place)
bone.matrix = armature.matrix_world.inverted() @ turn @ armature.matrix_world @ bone.matrix
bpy.context.view_layer.update()
graph = bpy.context.evaluated_depsgraph_get()
def points(name):
    thing = bpy.data.objects[name].evaluated_get(graph)
    mesh = thing.to_mesh()
    return [tuple(thing.matrix_world @ vertex.co) for vertex in mesh.vertices]
print("ANSWER" + json.dumps({
    "bones": [bone.name for bone in armature.data.bones],
    "keys": {key.name: key.value for key in keys},
    "cameras": [thing.name for thing in bpy.data.objects if thing.type == "CAMERA"],
    "points": {name: points(name) for name in sys.argv[3:]},
}))
"""


@pytest.mark.slow
def test_blender_turns_the_jaw_as_the_format_says(tmp_path: Path) -> None:
    face = released_face(2, mouthSmileLeft=0.6, jawOpen=0.2)
    photograph = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), (190, 150, 130), np.uint8)
    FaceFiles(released_model(), 64).write(face, photograph, tmp_path, ("glb",))
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [str(PYTHON), str(tmp_path / "script.py"), str(tmp_path / "mesh.glb"), str(JAW_DEGREES), *PART_NAMES]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    answer = json.loads(output[output.index("ANSWER") + len("ANSWER") :].splitlines()[0])
    assert set(answer["bones"]) == set(JOINT_NAMES)
    assert answer["cameras"] == ["camera"]
    assert answer["keys"]["mouthSmileLeft"] == pytest.approx(0.6, abs=1e-5)
    assert len(answer["keys"]) == 1 + 52
    glb = Glb.read(tmp_path / "mesh.glb")
    glb.node("Jaw")["rotation"] = Rotation.from_euler("x", JAW_DEGREES, degrees=True).as_quat().tolist()
    for part in PART_NAMES:
        x, y, z = glb.points(part).T
        # Blender's z is up, and its y leads away.
        expected = np.stack((x, -z, y), axis=-1)
        found = np.array(answer["points"][part])
        # Blender welds what was split at texture seams.
        assert KDTree(found).query(expected)[0].max() < 1e-5
        assert KDTree(expected).query(found)[0].max() < 1e-5
