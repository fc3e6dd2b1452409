"""Put a file that was split into pieces together again, and unpack the checkpoint that is in it.

    python -m tools.join_pieces --pieces OUT --output runs/likeness-l/release

`tools.gpu_quarter` splits its release, since large files do not come back from every machine. Beside the pieces lies
`SHA256SUMS`, which `sha256sum -c` reads too; a piece that is missing or broken is refused by its name.
"""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from common.atomic import atomic_path
from common.paths import DEFAULT_HEAD
from model.checkpoint import file_sha256
from tools.command import run_tool

SUMS_NAME = "SHA256SUMS"
PIECE_BYTES = 15 * 2**20


def pack_release(release: Path, folder: Path, name: str, piece_bytes: int = PIECE_BYTES) -> list[Path]:
    """Write a checkpoint folder as the pieces of one tar, and their list of sums last.

    Args:
        release: The checkpoint folder.
        folder: Where the pieces go; those of an earlier time are replaced.
        name: The tar's name without its ending; also the checkpoint's within it.
        piece_bytes: Largest piece.

    Returns:
        The pieces in their order.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(release.iterdir()):
            archive.add(path, f"{name}/{path.name}", recursive=False)
    return split_into_pieces(buffer.getvalue(), folder, f"{name}.tar", piece_bytes)


def split_into_pieces(content: bytes, folder: Path, name: str, piece_bytes: int = PIECE_BYTES) -> list[Path]:
    """Write `<name>.00`, `<name>.01` and so on, and `SHA256SUMS` when all are there.

    Raises:
        ValueError: If a piece shall hold nothing, or there would be more than a hundred.
    """
    count = -(-len(content) // piece_bytes) if piece_bytes > 0 else 0
    if not 1 <= count <= 100:
        raise ValueError(f"{name}: {len(content)} bytes in pieces of {piece_bytes} would be {count}; take another size")
    # The list of an earlier release must not stand beside pieces of this one.
    (folder / SUMS_NAME).unlink(missing_ok=True)
    for old in folder.glob(f"{name}.[0-9][0-9]"):
        old.unlink()
    paths, lines = [folder / f"{name}.{number:02d}" for number in range(count)], []
    for number, path in enumerate(paths):
        piece = content[number * piece_bytes : (number + 1) * piece_bytes]
        with atomic_path(path) as temporary:
            temporary.write_bytes(piece)
        lines.append(f"{hashlib.sha256(piece).hexdigest()}  {path.name}\n")
    with atomic_path(folder / SUMS_NAME) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return paths


def join_pieces(folder: Path) -> bytes:
    """The content of the pieces that a folder's `SHA256SUMS` names, each of them verified.

    Raises:
        FileNotFoundError: If the list or a piece is missing.
        ValueError: If the list or a piece is broken, naming it.
    """
    sums = folder / SUMS_NAME
    if not sums.is_file():
        raise FileNotFoundError(f"{sums}: missing; without it nothing says whether the pieces are whole")
    content: list[bytes] = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).name != name:
            raise ValueError(f"{sums}: {line!r} is not a SHA-256 and the name of a file; fetch it again")
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this piece is missing; fetch it again")
        piece = path.read_bytes()
        if hashlib.sha256(piece).hexdigest() != digest:
            raise ValueError(f"{path}: this piece is broken (its SHA-256 is not that of {SUMS_NAME}); fetch it again")
        content.append(piece)
    if not content:
        raise ValueError(f"{sums}: names no pieces; fetch it again")
    return b"".join(content)


def unpack_release(pieces: Path, output: Path, head: Path = DEFAULT_HEAD) -> None:
    """Join pieces and unpack the checkpoint, ready for `infer.py --checkpoint` and `evaluate.py --checkpoint`.

    Args:
        pieces: Folder with the pieces and their list.
        output: The checkpoint folder, made if missing.
        head: The head file it was trained with; the checkpoint will refer to it from where it now lies.

    Raises:
        FileNotFoundError: If a piece or the head is missing.
        ValueError: If a piece or what is in them is broken, or the head is another one.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(join_pieces(pieces))) as archive:
            files = {Path(member.name).name: archive.extractfile(member) for member in archive if member.isfile()}
            members = {name: file.read() for name, file in files.items() if file is not None}
        config = json.loads(members["config.json"])
        digest = config["head_sha256"]
    except (tarfile.TarError, KeyError, ValueError) as error:
        if isinstance(error, ValueError) and str(pieces) in str(error):
            raise
        raise ValueError(f"{pieces}: its pieces hold no checkpoint ({error!r}); run tools.gpu_quarter again") from error
    if file_sha256(head) != digest:
        raise ValueError(f"{head}: not the head that the checkpoint was trained with; name that one with --head")
    output.mkdir(parents=True, exist_ok=True)
    # It named the head by the way to it on the other machine.
    for key, path in (("head", head), ("hierarchy", head.with_name("hierarchy.safetensors"))):
        if key in config:
            config[key] = Path(os.path.relpath(path.resolve(), output.resolve())).as_posix()
    members["config.json"] = (json.dumps(config, indent=2) + "\n").encode()
    for name, content in members.items():
        with atomic_path(output / name) as temporary:
            temporary.write_bytes(content)
    print(f"{output}: {sum(map(len, members.values())) / 1e6:.1f} MB, every piece as it was sent")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and join."""
    run_tool(unpack_release, arguments)


if __name__ == "__main__":
    main()
