"""What the command lines of all programs have in common."""

import difflib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from jsonargparse import ArgumentParser

_OPTION = re.compile(r"--[a-z][\w.-]*")
_REQUIRED = re.compile(r"(.*arguments are required: )(.*)", re.DOTALL)


class ShortParser(ArgumentParser):
    """jsonargparse's parser, which answers what it cannot read with two lines and not with the list of all options."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong, and what may have been meant; ends the program with exit code 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        known = [name for action in parser._actions for name in action.option_strings]
        if required := _REQUIRED.fullmatch(message):
            message = required[1] + ", ".join(_as_option(name, known) for name in required[2].split(", "))
        unknown = _OPTION.findall(message) if message.startswith("unrecognized") else []
        meant = [name for option in unknown for name in difflib.get_close_matches(option, known, n=2)]
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        program = parser.prog.replace(" [options]", "")
        sys.stderr.write(f"{program}: {' '.join(message.split())}{hint}\n{program} --help lists the options\n")
        self.exit(2)


def _as_option(name: str, known: Sequence[str]) -> str:
    """How the user writes what jsonargparse calls `images`, or `aflw2000.data` where that is a command's option."""
    return f"--{name}" if f"--{name}" in known or "." not in name else f"--{name.partition('.')[2]}"


def spelled(arguments: Sequence[str], mark: str) -> list[str]:
    """A command line whose options all have words parted in one way: `--batch-size` and `--batch_size` are the same.

    Args:
        arguments: The command line.
        mark: `-` or `_`, whichever the program's own options have.
    """

    def one(argument: str) -> str:
        option, equals, value = argument.partition("=")
        if not _OPTION.fullmatch(option):
            return argument
        return f"--{re.sub('[-_]', mark, option[2:])}{equals}{value}"

    return [one(argument) for argument in arguments]
