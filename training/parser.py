"""The parser of a training run: settings as options and as a YAML file, by their names of earlier versions as well."""

import sys
from pathlib import Path
from typing import Any

from jsonargparse import get_loader, set_loader
from yaml import YAMLError

from common.command_line import ShortParser, spelled
from common.old_names import TRAINING_SETTINGS, current_arguments, current_keys
from common.paths import shipped

_MODE = "training-yaml"


class ExperimentParser(ShortParser):
    """A parser that also takes what earlier versions called otherwise, and the configs that come with the program."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what jsonargparse's parser takes."""
        super().__init__(*arguments, **{**options, "parser_mode": _MODE})

    def parse_args(self, args: list[str] | None = None, *others: Any, **options: Any) -> Any:
        """Parse a command line, that of the process by default."""
        given = _shipped_configs(spelled(sys.argv[1:] if args is None else args, "_"))
        return super().parse_args(current_arguments(given, TRAINING_SETTINGS, "options"), *others, **options)


def _shipped_configs(arguments: list[str]) -> list[str]:
    """`--config configs/...` leads to the program's own where the user has no such file."""
    return [
        str(shipped(Path(argument)))
        if before == "--config"
        else f"--config={shipped(Path(argument[9:]))}"
        if argument.startswith("--config=")
        else argument
        for before, argument in zip(("", *arguments), arguments, strict=False)
    ]


def _load(text: str) -> Any:
    """YAML as jsonargparse reads it: a whole config, or the value of one option."""
    content = get_loader("yaml")(text)
    return current_keys(content, TRAINING_SETTINGS, "config") if isinstance(content, dict) else content


set_loader(_MODE, _load, exceptions=(YAMLError,))
