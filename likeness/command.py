"""The command `likeness`: its first word is the name of a program, what follows are that one's options."""

import sys
from collections.abc import Callable

from common.paths import IN_A_CLONE
from common.version import VERSION

USAGE = """usage: likeness infer|train|evaluate|export|animate|relight|exaggerate|head OPTIONS

  infer      turn photographs and videos into textured 3D heads
  train      train a reconstructor
  evaluate   measure a checkpoint
  export     write the network as one file for other programs
  exaggerate make a caricature of a head
  animate    move a head as a track of blendshapes says
  relight    show a head under another light
  head       read published head models, fit heads to scans, carry results from one head to another

`likeness infer --help` and so on tell the options; `likeness --version` tells the version.
"""


_ADVICE = "make setup-train" if IN_A_CLONE else "pip install '.[train]' in a clone of Likeness"


def main(arguments: list[str] | None = None) -> int:
    """Run the program that the first word names with the words after it; returns its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    name = words[0] if words else ""
    if name in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if name == "--version":
        print(f"likeness {VERSION}")
        return 0
    try:
        program = _program(name)
        if program is not None:
            # It loads most of what it needs when it has read its options.
            return program(words[1:], f"likeness {name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "likeness"):
            raise
        print(f"likeness {name} needs the package {package}: {_ADVICE}", file=sys.stderr)
        return 2
    print(f"{USAGE}\nlikeness: {repr(name) + ' is no command' if name else 'which command?'}", file=sys.stderr)
    return 2


def _program(name: str) -> Callable[[list[str], str], int] | None:
    # Late: each loads what it needs, and the one that trains needs packages that a user of heads may not have.
    if name == "infer":
        from infer import main as program
    elif name == "train":
        from train import start as program
    elif name == "evaluate":
        from evaluate import main as program
    elif name == "export":
        from inference.export_command import main as program
    elif name == "exaggerate":
        from inference.exaggerate_command import main as program
    elif name == "animate":
        from inference.animate_command import main as program
    elif name == "relight":
        from inference.relight_command import main as program
    elif name == "head":
        from inference.head_command import main as program
    else:
        return None
    return program
