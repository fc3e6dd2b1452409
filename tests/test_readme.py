"""Runs the README's Python, as a reader would paste it."""

import re
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from common.paths import DEFAULT_CHECKPOINT

README = Path(__file__).resolve().parent.parent / "README.md"
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")


@pytest.mark.skipif(not DEFAULT_CHECKPOINT.is_dir(), reason="the released checkpoint is not in this checkout")
def test_the_scripts_run_and_find_the_astronauts_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").mkdir()
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "examples" / "astronaut.png")
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, space)  # noqa: S102 - our own page
    answer = space["answer"]
    assert answer.parameters.expression.shape == (1, 52)
    # She stands about a metre before the camera and smiles.
    assert 500.0 < -answer.parameters.translation_mm[0, 2] < 3000.0
    names = space["reconstructor"].morphable_model.expression_names
    assert answer.parameters.expression[0, names.index("mouthSmileLeft")] > 0.2


def test_every_link_leads_somewhere() -> None:
    for page in (README, *sorted((README.parent / "docs").glob("*.md"))):
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target} is missing"
