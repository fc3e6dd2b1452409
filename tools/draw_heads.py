"""Draw heads of known shape into a bank on disk, for training (`synthetic.bank`).

    python -m tools.draw_heads --output runs/drawn --count 40000 [--skins runs/skins.safetensors] [--workers 2]

Each `heads-<n>.safetensors` of the folder holds 500 heads. Started again, or with a larger count, it goes on where it
was. About 25 ms a head on one core, 60 kB each.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from common.paths import DEFAULT_HEAD, DEFAULT_HIERARCHY
from data.synthetic import SyntheticConfig, SyntheticFaces
from model.checkpoint import file_sha256
from model.face.assets import load_head
from model.face.hierarchy import load_hierarchy
from model.face.morphable_model import MorphableModel
from model.face.skins import load_skins
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tools.command import run_tool
from training.drawn_bank import check_bank_file, write_bank_file
from training.relief import Relief
from training.synthetic_heads import MorphableHeadArtist

HEADS_PER_FILE = 500


@cache
def _faces(head: Path, hierarchy: Path, skins: Path | None, size: int, seed: int) -> tuple[SyntheticFaces, str]:
    torch.set_num_threads(1)
    model = MorphableModel(load_head(head))
    worn = None if skins is None else load_skins(skins, len(model.mean_mm))
    relief = Relief(model, load_hierarchy(hierarchy))
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer("cpu")), relief, worn)
    return SyntheticFaces(artist, SyntheticConfig(size=size, seed=seed)), file_sha256(head)


def _draw_file(
    number: int, output: Path, head: Path, hierarchy: Path, skins: Path | None, size: int, seed: int
) -> None:
    path = output / f"heads-{number:05d}.safetensors"
    settings = f"size {size}, seed {seed}, skins {None if skins is None else file_sha256(skins)[:16]}"
    if path.is_file():
        check_bank_file(path, file_sha256(head), settings)
        return
    faces, digest = _faces(head, hierarchy, skins, size, seed)
    first = number * HEADS_PER_FILE
    write_bank_file(path, [faces.face(first + i) for i in range(HEADS_PER_FILE)], digest, settings)


def draw_heads(
    output: Path,
    count: int = 40_000,
    head: Path = DEFAULT_HEAD,
    hierarchy: Path = DEFAULT_HIERARCHY,
    skins: Path | None = None,
    size: int = 112,
    seed: int = 1000,
    workers: int = 1,
) -> None:
    """Draw heads.

    Args:
        output: Folder of the bank.
        count: How many heads; rounded up to whole files.
        head: Morphable-model file.
        hierarchy: Its levels, for shapes that its components cannot make.
        skins: Photographed skins (`tools.learn_albedo --skins`); without them all skin is the albedo model's.
        size: Side of the crops in px.
        seed: Of everything random.
        workers: Processes.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"--count {count}, --workers {workers}: expected at least 1")
    output.mkdir(parents=True, exist_ok=True)
    files = range(-(-count // HEADS_PER_FILE))
    draw = partial(_draw_file, output=output, head=head, hierarchy=hierarchy, skins=skins, size=size, seed=seed)
    console = Console(stderr=True)
    if workers == 1:
        for number in track(files, "files of heads", console=console):
            draw(number)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for _ in track(pool.map(draw, files), "files of heads", total=len(files), console=console):
            pass


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and draw."""
    run_tool(draw_heads, arguments)


if __name__ == "__main__":
    main()
