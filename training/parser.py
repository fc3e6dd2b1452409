"""The parser of a training run: settings as options and as a YAML file, by their names of earlier versions as well."""

import sys
from typing import Any

from jsonargparse import ArgumentParser, get_loader, set_loader
from yaml import YAMLError

from common.old_names import TRAINING_SETTINGS, current_arguments, current_keys

_MODE = "training-yaml"


class ExperimentParser(ArgumentParser):
    """jsonargparse's parser, which also takes what earlier versions called otherwise."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what jsonargparse's parser takes."""
        super().__init__(*arguments, **{**options, "parser_mode": _MODE})

    def parse_args(self, args: list[str] | None = None, *others: Any, **options: Any) -> Any:
        """Parse a command line, that of the process by default."""
        given = sys.argv[1:] if args is None else args
        return super().parse_args(current_arguments(given, TRAINING_SETTINGS, "options"), *others, **options)


def _load(text: str) -> Any:
    """YAML as jsonargparse reads it: a whole config, or the value of one option."""
    content = get_loader("yaml")(text)
    return current_keys(content, TRAINING_SETTINGS, "config") if isinstance(content, dict) else content


set_loader(_MODE, _load, exceptions=(YAMLError,))
