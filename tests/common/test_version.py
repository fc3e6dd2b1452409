import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common import version

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("project", [True, False])
def test_a_clone_says_its_version_and_a_part_of_it_says_that_it_does_not_know(project: bool, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    shutil.copyfile(version.__file__, tmp_path / "common" / "version.py")
    (tmp_path / "common" / "__init__.py").touch()
    if project:
        (tmp_path / "pyproject.toml").write_text('[project]\nname = "likeness"\nversion = "7.8.9"\n')
    # Without site-packages: a Likeness may be installed there.
    command = [sys.executable, "-S", "-c", "from common.version import VERSION; print(VERSION)"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert said == ("7.8.9" if project else "unknown")


def test_this_clones_version_is_that_of_its_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == version.VERSION
