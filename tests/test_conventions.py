"""Runs the examples of docs/conventions.md: the page is right, or this fails."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from model.face.assets import load_head
from model.face.morphable_model import MorphableModel

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def examples() -> doctest.DocTest:
    """All the page's fenced examples as one session, at their line numbers."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(1))
        block_lines = block.group(1).splitlines()
        lines[first : first + len(block_lines)] = block_lines
    source = "\n".join(lines)
    return doctest.DocTestParser().get_doctest(source, {}, PAGE.name, str(PAGE), 0)


def test_the_page_gives_the_numbers_that_the_code_gives() -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    results = runner.run(examples(), out=report.append)
    assert results.failed == 0, "".join(report)


@pytest.mark.parametrize(
    "section",
    [
        "Camera space and pixels",
        "The crop",
        "The camera of a photograph",
        "Angles",
        "Colour",
        "Light",
        "Coefficients",
        "Landmarks",
    ],
)
def test_each_convention_has_a_worked_number(section: str) -> None:
    sections = dict(part.split("\n", 1) for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:])
    expected = [
        example.want for example in doctest.DocTestParser().get_examples("\n".join(FENCE.findall(sections[section])))
    ]
    assert any(re.search(r"\d", want) for want in expected)


RELEASED_HEAD = PAGE.parent.parent / "checkpoints" / "likeness-head" / "head.safetensors"


@pytest.mark.skipif(not RELEASED_HEAD.is_file(), reason="the released head is not built yet")
def centre_of_sphere(points_mm: torch.Tensor) -> torch.Tensor:
    """Of the sphere that fits best: vertices are denser about the pupil, so that their mean lies before it."""
    rows = torch.cat((2.0 * points_mm, torch.ones(len(points_mm), 1)), dim=1)
    return torch.linalg.lstsq(rows, points_mm.square().sum(1, keepdim=True)).solution[:3, 0]


def test_the_released_head_stands_as_the_page_says() -> None:
    head = load_head(RELEASED_HEAD)
    model = MorphableModel(head)
    points_mm = model.landmarks(model.mean_mm[None])[0]
    assert points_mm[36, 0] < -20 < 20 < points_mm[45, 0]
    assert points_mm[8, 1] < points_mm[57, 1] < points_mm[33, 1] < points_mm[27, 1]
    assert points_mm[30, 2] > points_mm[27, 2] > points_mm[0, 2]
    # Millimetres: a head is some 15 cm wide; the eyeballs lie about the origin, the left one on the left.
    width_mm = float(np.ptp(head.vertices_mm[model.region("face").numpy()][:, 0]))
    assert 110 < width_mm < 200
    left, right = (centre_of_sphere(model.mean_mm[model.region(f"{side}_eye")]) for side in ("left", "right"))
    assert left[0] > 20
    assert right[0] < -20
    middle = 0.5 * (left + right)
    assert middle[:2].abs().max() < 0.5
    assert -6.0 < middle[2] < -4.0
    # A blink of the left eye moves the lid of the left eye, downwards.
    blink = model.expression_basis[model.expression_names.index("eyeBlinkLeft")].unflatten(-1, (-1, 3))
    moved = blink.norm(dim=-1).argmax()
    assert model.mean_mm[moved, 0] > 10
    assert blink[moved, 1] < -2
