"""Runs the Python of the README and of docs/python.md, as a reader would paste it, and follows the pages' links."""

import re
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from common.paths import DEFAULT_CHECKPOINT

README = Path(__file__).resolve().parent.parent / "README.md"
DOCS = README.parent / "docs"
GUIDES = (README.with_name("CONTRIBUTING.md"), *sorted(DOCS.glob("*.md")))
CARDS = tuple(sorted((README.parent / "checkpoints").glob("*/README.md")))
PAGES = (README, README.with_name("CHANGELOG.md"), *CARDS, *GUIDES)
LINK = re.compile(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)

needs_the_release = pytest.mark.skipif(
    not DEFAULT_CHECKPOINT.is_dir(), reason="the released checkpoint is not in this checkout"
)


def run_scripts(page: Path) -> dict:
    """Run a page's scripts one after another in the current folder; returns what they defined."""
    space: dict = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(block, space)  # noqa: S102 - our own page
    return space


@pytest.mark.slow
@needs_the_release
def test_the_readmes_lines_make_a_head_of_a_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    (head,) = run_scripts(README)["heads"]
    assert head.parameters.expression.shape == (1, 52)
    # She stands about a metre before the camera.
    assert 500.0 < -head.parameters.translation_mm[0, 2] < 3000.0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"mesh.glb", "face.npz"}


@pytest.mark.slow
@needs_the_release
def test_the_scripts_run_and_find_the_astronauts_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").mkdir()
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "examples" / "astronaut.png")
    monkeypatch.chdir(tmp_path)
    space = run_scripts(DOCS / "python.md")
    answer = space["answer"]
    assert answer.parameters.expression.shape == (1, 52)
    # She stands about a metre before the camera and smiles.
    assert 500.0 < -answer.parameters.translation_mm[0, 2] < 3000.0
    names = space["reconstructor"].morphable_model.expression_names
    assert answer.parameters.expression[0, names.index("mouthSmileLeft")] > 0.2
    assert (tmp_path / "results" / "astronaut" / "mesh.glb").is_file()


def test_the_readme_is_short_and_goes_from_the_picture_to_the_links() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    marks = ["docs/images/demo.jpg", "pip install", "make demo", "```python", "What comes out", "to compare", "Read on"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(README.parent)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        place = (page.parent / target.replace("\\", "")) if target else page
        assert place.exists(), f"{page.name}: {target} is missing"
        if anchor:
            assert anchor in anchors(place), f"{page.name}: {target} has no heading {anchor}"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_a_page_says_first_what_it_helps_to_do(page: Path) -> None:
    title, opening, *_ = page.read_text(encoding="utf-8").split("\n\n")
    assert title.startswith("# ")
    assert opening.startswith("This page helps you")
