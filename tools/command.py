"""How a tool is started."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from jsonargparse import auto_cli

from common.command_line import ShortParser, spelled


def run_tool(
    tool: Callable[..., object],
    arguments: list[str] | None = None,
    expected: tuple[type[Exception], ...] = (),
) -> None:
    """Read a function's arguments off the command line and call it; what goes wrong with them is told in one line.

    Args:
        tool: The function; its docstring is the help.
        arguments: The command line; by default that of this process.
        expected: Errors beside those of files and values that are a matter of the user's.
    """
    name = f"tools.{Path(inspect.getfile(tool)).stem}"
    given = spelled(sys.argv[1:] if arguments is None else arguments, "_")
    try:
        auto_cli(tool, args=given, as_positional=False, parser_class=ShortParser, prog=f"python -m {name}")
    except (OSError, ValueError, *expected) as error:
        sys.exit(f"{name}: {error}")
