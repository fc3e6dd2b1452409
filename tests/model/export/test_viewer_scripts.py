"""What the page's scripts compute, asked in node; no browser is needed for it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NODE = shutil.which("node")
RENDERER = Path("model/export/viewer/renderer.js").resolve()

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def ask(expression: str) -> Any:
    """The value of an expression after the page's first script has run."""
    assert NODE
    program = f"{RENDERER.read_text(encoding='utf-8')}\nconsole.log(JSON.stringify({expression}));"
    answer = subprocess.run([NODE, "-e", program], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(answer.stdout)


def test_expressions_move_their_vertices_by_their_weights() -> None:
    smile = "{ name: 'smile', vertex: [1], moved: [0, 32767, -16384], largest: 2 }"
    blink = "{ name: 'blink', vertex: [0], moved: [32767, 0, 0], largest: 1 }"
    moved = ask(f"[...likeness.moved([0, 0, 0, 5, 5, 5], [{smile}, {blink}], {{ smile: 0.5 }})]")
    np.testing.assert_allclose(moved, [0.0, 0.0, 0.0, 5.0, 6.0, 4.5], atol=1e-3)


@pytest.mark.parametrize(
    ("place", "direction"),
    [((0, 0), (0, 0, 1)), ((1, 0), (1, 0, 0)), ((0, -2), (0, -1, 0)), ((0.6, 0.0), (0.6, 0, 0.8))],
)
def test_the_lamp_hangs_on_a_half_sphere(place: tuple[float, float], direction: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(ask(f"likeness.lampDirection({place[0]}, {place[1]})"), direction, atol=1e-9)


def test_normals_are_those_of_the_vertices_before_the_seams() -> None:
    # Two triangles of a plane, whose shared corners are split.
    head = "{ faces: [0, 1, 2, 3, 4, 5], vertex: [0, 1, 2, 0, 2, 3] }"
    normals = ask(f"[...likeness.normals([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0], {head})]")
    np.testing.assert_allclose(np.reshape(normals, (4, 3)), [[0, 0, 2], [0, 0, 1], [0, 0, 2], [0, 0, 1]])


def test_a_caricature_goes_along_the_difference_from_the_mean_person() -> None:
    rest, mean = "[0, 0, 0, 10, 0, 0]", "[1, 0, 0, 7, 1, 0]"
    same = "[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]"
    factors = "{ whole: 2, nose: 3 }"
    moved = ask(f"[...likeness.exaggerated({rest}, {mean}, {same}, {{ nose: [0, 255], ears: [255, 0] }}, {factors})]")
    np.testing.assert_allclose(moved, [-1.0, 0.0, 0.0, 16.0, -2.0, 0.0])
    # The mean person put elsewhere: twice as large, one to the left.
    placed = "[2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0]"
    moved = ask(f"[...likeness.exaggerated({rest}, {mean}, {placed}, {{}}, {{ whole: 0 }})]")
    np.testing.assert_allclose(moved, [3.0, 0.0, 0.0, 15.0, 2.0, 0.0])


def test_hair_goes_along_with_the_head() -> None:
    moved = ask("[...likeness.following([1, 1, 1], [1], [0, 0, 0, 5, 5, 5], [0, 0, 0, 5, 7, 5])]")
    np.testing.assert_allclose(moved, [1.0, 3.0, 1.0])
