"""Runs the examples of docs/conventions.md: the page is right, or this fails."""

import doctest
import re
from pathlib import Path

import pytest

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
