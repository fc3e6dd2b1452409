"""Builds what is installed: everything under the one name `likeness` (`docs/architecture.md`)."""

import sys
from pathlib import Path
from typing import NoReturn

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.errors import OptionError

REPOSITORY = Path(__file__).resolve().parent
# A build does not have the repository on its path.
sys.path.insert(0, str(REPOSITORY))
from likeness.one_name import NAME, place  # noqa: E402


class Build(build_py):
    """Puts the folders of the repository where they are installed, with their imports rewritten."""

    def run(self) -> None:
        """Build."""
        place(REPOSITORY, Path(self.build_lib) / NAME)


class Editable(editable_wheel):
    """Not possible: the names in the sources are not those of what is installed."""

    def run(self) -> NoReturn:
        """Say so.

        Raises:
            OptionError: Always.
        """
        raise OptionError("no editable installation: work in the clone (python infer.py ...), or `pip install .`")


setup(cmdclass={"build_py": Build, "editable_wheel": Editable})
