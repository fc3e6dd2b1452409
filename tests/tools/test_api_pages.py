"""API pages show docstrings, and whatever is wrong with them is told."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason="pdoc is of the set for development")

from tools.api_pages import make_pages

SOUND = '''"""A module of few words."""

def half(value: float) -> float:
    """Half of it.

    Args:
        value: Any number.
    """
    return 0.5 * value
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_a_page_shows_what_the_docstring_says(place: Path) -> None:
    (place / "sound_words.py").write_text(SOUND)
    assert make_pages(["sound_words"], place / "pages") == []
    page = (place / "pages" / "sound_words.html").read_text(encoding="utf-8")
    assert "A module of few words." in page
    assert "Any number." in page


def test_a_type_that_is_not_there_is_told(place: Path) -> None:
    (place / "unsound_words.py").write_text(SOUND.replace("value: float", 'value: "Nowhere"'))
    (told,) = make_pages(["unsound_words"], place / "pages")
    assert "Nowhere" in told


def test_a_package_that_cannot_be_imported_is_an_error(place: Path) -> None:
    package = place / "broken_words"
    package.mkdir()
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "inner.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(RuntimeError, match="broken_words.inner"):
        make_pages(["broken_words"], place / "pages")


def test_names_that_a_package_loads_late_are_shown(place: Path) -> None:
    package = place / "late_words"
    package.mkdir()
    (package / "inner.py").write_text(SOUND)
    (package / "__init__.py").write_text(
        '"""A package."""\n\nfrom importlib import import_module\n\n__all__ = ["half"]\n\n\n'
        'def __getattr__(name):\n    return getattr(import_module("late_words.inner"), name)\n'
    )
    assert make_pages(["late_words"], place / "pages") == []
    assert "Half of it." in (place / "pages" / "late_words.html").read_text(encoding="utf-8")
