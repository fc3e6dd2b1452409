"""Pack what a training run needs into a folder that is small enough to be carried to another machine.

    python -m tools.pack_for_gpu --shards shards --output runs/gpu --megabytes 60
        [--backbone runs/tf_efficientnet_lite2.safetensors] [--skins runs/skins.safetensors]
        [--start runs/likeness-s-shape/release] [--drawn runs/drawn --heads 200]

The folder is what `tools.gpu_quarter --data` takes; the repository itself travels by other means. The budget holds for
all files of the folder together. Photographs are made small first (window, JPEG quality, points to an eighth of a
pixel, MediaPipe's points for every third photograph, tars compressed by xz, which the loader reads as they are); what
is still too much is left out evenly, a person's photographs together. What went in is printed, and kept in `pack.json`.
"""

import json
import lzma
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from common.atomic import atomic_path
from common.tensors import open_tensors, read_tensors, save_tensors
from data.alignment import CropWindow
from data.shards import (
    ShardSample,
    decode_metadata,
    decode_sample,
    encode_sample,
    list_shards,
    read_shard,
    write_shard,
)
from model.face.skins import SKINS_FORMAT
from tools.command import run_tool

PACK_NAME = "pack.json"
SKINS_NAME = "skins.safetensors"
BACKBONE_NAME = "backbone.safetensors"
START_NAME = "start"
QUALITIES = (90, 80, 70, 60)
"""JPEG qualities to choose from; below the last one photographs are left out instead."""

_POINT_STEPS = 8
"""Positions are kept to a part of a pixel: labels are worse than that, and round numbers take half the space."""
_LEAST_MESH_WEIGHT = 0.1
_MEASURED_PER_SHARD = 8
_SLACK = 0.985
"""Of the budget that is aimed at: what a photograph takes is known from a part of them."""
_TRIES = 4

Members = dict[str, bytes]


@dataclass(frozen=True)
class Packed:
    """What went into the folder.

    Attributes:
        photographs: For training.
        photographs_there_are: Before any were left out.
        held_out: For validation.
        with_mesh: How many of those for training keep MediaPipe's 478 points.
        quality: Of their JPEGs.
        window_px: Largest side of a crop window.
        drawn_heads: Of the bank.
        skins: For heads that are drawn there.
        megabytes: Of each part, by its name, in 10^6 bytes.
    """

    photographs: int
    photographs_there_are: int
    held_out: int
    with_mesh: int
    quality: int
    window_px: int
    drawn_heads: int
    skins: int
    megabytes: dict[str, float]


def pack_for_gpu(
    shards: Path,
    output: Path,
    megabytes: float = 60.0,
    window_px: int = 128,
    mesh_every: int = 3,
    held_out: int = 400,
    start: Path | None = None,
    backbone: Path | None = None,
    skins: Path | None = None,
    skin_count: int = 90,
    drawn: Path | None = None,
    heads: int = 200,
) -> Packed:
    """Pack.

    Args:
        shards: Folder with `train/` and `val/` (`python -m data.prepare`).
        output: The folder to write; one that this tool wrote before is replaced.
        megabytes: Budget for all files together, in 10^6 bytes.
        window_px: Crop windows are made this large at most.
        mesh_every: Every how manieth photograph keeps MediaPipe's 478 points, which take a third of its space.
        held_out: How many photographs for validation at most.
        start: Checkpoint folder whose weights training starts from; written in half precision.
        backbone: ImageNet weights (`tools.import_backbone`); written in half precision, without the classifier.
        skins: Photographed skins (`tools.learn_albedo --skins`), for heads that are drawn there.
        skin_count: How many of them at most, 33 kB each.
        drawn: Bank of drawn heads. It takes 57 kB a head, and sixteen cores draw some hundred a second: where there are
            cores, leave it out and have them drawn.
        heads: How many of the bank.

    Raises:
        FileNotFoundError: If something that is named is not there.
        FileExistsError: If the output folder holds something else.
        ValueError: If the budget is too small, or an option cannot be.
    """
    _refuse_what_cannot_be(
        window_px, {"megabytes": megabytes, "mesh_every": mesh_every, "held_out": held_out, "heads": heads}
    )
    train, val = list_shards(shards / "train"), list_shards(shards / "val")
    _make_room(output)
    sizes, heads_in, skins_in = _pack_extras(output, start, backbone, skins, skin_count, drawn, heads)
    small = _Small(window_px, mesh_every)
    val_photographs = [pair for path in val for pair in read_shard(path).items()][:held_out]
    (output / "shards" / "val").mkdir(parents=True)
    held_out_path = output / "shards" / "val" / "val.tar"
    sizes["held out"] = _write_packed(held_out_path, small.members(val_photographs, QUALITIES[1]))
    budget = int(1e6 * megabytes)
    # The summary itself comes last and is small.
    left = budget - sum(sizes.values()) - 4096
    photographs, there_are, with_mesh, quality, sizes["photographs"] = _pack_photographs(
        train, shards / "train", output, small, left, sizes, megabytes
    )
    in_megabytes = {name: round(size / 1e6, 2) for name, size in sizes.items()}
    counts = (photographs, there_are, len(val_photographs), with_mesh)
    packed = Packed(*counts, quality, window_px, heads_in, skins_in, in_megabytes)
    with atomic_path(output / PACK_NAME) as temporary:
        temporary.write_text(json.dumps(asdict(packed), indent=2) + "\n", encoding="utf-8")
    print(_summary(packed, output, folder_bytes(output), budget))
    return packed


def _refuse_what_cannot_be(window_px: int, numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
        if value <= 0:
            raise ValueError(f"--{name} {value}: expected more than 0")
    if window_px < 16:
        raise ValueError(f"--window_px {window_px}: expected at least 16")


def folder_bytes(folder: Path) -> int:
    """Size of all files of a folder and of those below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def small_sample(sample: ShardSample, window_px: int, *, mesh: bool) -> ShardSample:
    """A sample whose crop window is at most so large, its positions to an eighth of a pixel.

    Args:
        sample: As it lies in a shard.
        window_px: Largest side of the window.
        mesh: Whether MediaPipe's points are kept, if they can be trusted at all.
    """
    height, width = sample.patch_srgb.shape[:2]
    scale = min(1.0, window_px / sample.window.side_px)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    patch = sample.patch_srgb
    if size != (width, height):
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    # Rounding makes the two axes differ by less than half a pixel over the whole patch.
    x, y = size[0] / width, size[1] / height
    window = CropWindow(sample.window.left_px * x, sample.window.top_px * y, sample.window.side_px * scale)
    mesh = mesh and sample.landmarks478_weight >= _LEAST_MESH_WEIGHT
    return replace(
        sample,
        patch_srgb=patch,
        window=window,
        landmarks68_px=_rounded(sample.landmarks68_px, np.array([x, y, scale])),
        landmarks478_px=_rounded(sample.landmarks478_px, np.array([x, y])) if mesh else None,
        landmarks478_weight=sample.landmarks478_weight if mesh else 0.0,
    )


def _rounded(points: np.ndarray | None, scales: np.ndarray) -> np.ndarray | None:
    # Still 32-bit numbers, as the loader expects them: the zeros at their ends are compressed away.
    return None if points is None else (np.rint(points * scales * _POINT_STEPS) / _POINT_STEPS).astype(np.float32)


@dataclass(frozen=True)
class _Small:
    """How photographs are made small."""

    window_px: int
    mesh_every: int

    def members(
        self, photographs: Iterable[tuple[str, Mapping[str, bytes]]], quality: int
    ) -> list[tuple[str, Members]]:
        """Their members, encoded again."""
        written: list[tuple[str, Members]] = []
        for number, (key, members) in enumerate(photographs):
            stored = decode_sample({"__key__": key, **members})
            sample = small_sample(stored, self.window_px, mesh=number % self.mesh_every == 0)
            bgr = cv2.cvtColor(sample.patch_srgb, cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            written.append((key, encode_sample(sample, jpeg)))
        return written


def evenly(sizes: Sequence[int], fraction: float, owed: float = 0.0) -> tuple[list[bool], float]:
    """Which groups to keep so that about a fraction of all their members is kept, all along the row.

    Args:
        sizes: Members of each group.
        fraction: To keep.
        owed: Members that an earlier row kept too few of.

    Returns:
        Whether each is kept, and what is owed behind the row.
    """
    kept: list[bool] = []
    for size in sizes:
        owed += fraction * size
        kept.append(fraction >= 1.0 or owed >= 0.5 * size)
        owed -= size if kept[-1] else 0.0
    return kept, owed


def _by_person(photographs: Mapping[str, Members]) -> list[list[tuple[str, Members]]]:
    """Photographs of a known person together, others alone, in the order of the first of each."""
    groups: dict[object, list[tuple[str, Members]]] = {}
    for key, members in photographs.items():
        person = int(decode_metadata({"__key__": key, **members})["person"])
        groups.setdefault(person if person >= 0 else key, []).append((key, members))
    return list(groups.values())


def _measure(train: Sequence[Path], small: _Small) -> tuple[dict[Path, int], dict[int, float]]:
    """How many photographs each shard holds, and the bytes of one by JPEG quality, from a part of them."""
    counts: dict[Path, int] = {}
    some: list[tuple[str, Members]] = []
    for path in train:
        photographs = list(read_shard(path).items())
        counts[path] = len(photographs)
        some += photographs[:: max(1, len(photographs) // _MEASURED_PER_SHARD)]
    if not some:
        return counts, dict.fromkeys(QUALITIES, 1.0)
    sizes = {quality: len(_compressed(small.members(some, quality))) / len(some) for quality in QUALITIES}
    return counts, sizes


def _write_train(
    train: Sequence[Path], folder: Path, small: _Small, quality: int, fraction: float
) -> tuple[int, int, int]:
    """Write the training shards anew: photographs, those with MediaPipe's points, and bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    photographs = with_mesh = size = 0
    owed = 0.0
    for path in train:
        groups = _by_person(read_shard(path))
        kept, owed = evenly([len(group) for group in groups], fraction, owed)
        chosen = [pair for group, keep in zip(groups, kept, strict=True) if keep for pair in group]
        if not chosen:
            continue
        written = small.members(chosen, quality)
        photographs += len(written)
        with_mesh += sum("landmarks478.npy" in members for _, members in written)
        size += _write_packed(folder / path.name, written)
    return photographs, with_mesh, size


def _write_packed(path: Path, photographs: Sequence[tuple[str, Members]]) -> int:
    content = _compressed(photographs)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _compressed(photographs: Sequence[tuple[str, Members]]) -> bytes:
    """A shard, compressed: a tar's padding and headers are as large as a small photograph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.tar"
        write_shard(path, photographs)
        return lzma.compress(path.read_bytes())


def unpack_shard(packed: Path, path: Path) -> None:
    """Write a packed shard as the plain tar that it is inside.

    Raises:
        ValueError: If it is broken; the message names it.
    """
    try:
        content = lzma.decompress(packed.read_bytes())
    except lzma.LZMAError as error:
        raise ValueError(f"{packed}: broken ({error}); carry it again") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _make_room(output: Path) -> None:
    """Remove what this tool wrote here before, and nothing else."""
    if output.exists() and any(output.iterdir()):
        if not (output / PACK_NAME).is_file() and not (output / "shards").is_dir():
            raise FileExistsError(f"{output}: holds something that this tool did not write; name another --output")
        known = {PACK_NAME, SKINS_NAME, BACKBONE_NAME, START_NAME, "shards", "drawn"}
        strange = sorted(path.name for path in output.iterdir() if path.name not in known)
        if strange:
            raise FileExistsError(f"{output}: holds {', '.join(strange)}, which this tool did not write; remove it")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)


def _pack_start(start: Path, folder: Path) -> int:
    source = start / "weights.safetensors"
    if not source.is_file():
        raise FileNotFoundError(f"{source}: missing; --start takes a checkpoint folder")
    folder.mkdir()
    size = _pack_weights(source, folder / "weights.safetensors")
    config = start / "config.json"
    if config.is_file():
        # `tools.gpu_quarter` sees in it whether the backbone is the same.
        shutil.copyfile(config, folder / config.name)
        size += config.stat().st_size
    return size


def _pack_weights(source: Path, path: Path, without: str | None = None) -> int:
    weights, _ = read_tensors(source, missing="no such weights file")
    kept = {name: _half(value) for name, value in weights.items() if without is None or not name.startswith(without)}
    save_tensors(kept, path)
    return path.stat().st_size


def _half(value: torch.Tensor) -> torch.Tensor:
    """Half precision, unless a number is too large for it."""
    if not value.is_floating_point():
        return value.contiguous()
    half = value.half()
    return (half if bool(half.isfinite().all()) else value).contiguous()


def _pack_skins(source: Path, path: Path, count: int) -> int:
    """Some of the skins, evenly; the file stays what `model.face.skins.load_skins` reads."""
    missing = "no such file of skins; make it with python -m tools.learn_albedo --skins"
    file, metadata = open_tensors(source, SKINS_FORMAT, needed=("skins_sqrt",), missing=missing)
    skins = file.get_tensor("skins_sqrt")
    rows = np.unique(np.linspace(0, len(skins) - 1, min(count, len(skins))).round().astype(int))
    save_tensors({"skins_sqrt": skins[torch.from_numpy(rows)].contiguous()}, path, metadata)
    return len(rows)


def _pack_bank(drawn: Path, folder: Path, heads: int) -> tuple[int, int]:
    """The first heads of a bank: how many, and their bytes."""
    sources = sorted(drawn.glob("heads-*.safetensors"))
    if not sources:
        raise FileNotFoundError(f"{drawn}: holds no drawn heads; make them with python -m tools.draw_heads")
    folder.mkdir()
    taken = size = 0
    for name, rows, content, metadata in _bank_files(sources, heads):
        save_tensors(content, folder / name, metadata)
        taken += rows
        size += (folder / name).stat().st_size
    return taken, size


def _bank_files(
    sources: Sequence[Path], heads: int
) -> Iterator[tuple[str, int, dict[str, torch.Tensor], dict[str, str]]]:
    for source in sources:
        file, metadata = open_tensors(source, needed=("color",), remedy="draw it again")
        rows = min(heads, file.get_slice("color").get_shape()[0])
        content = {name: file.get_slice(name)[:rows].contiguous() for name in file.keys()}  # noqa: SIM118 - no dict
        yield source.name, rows, content, metadata
        heads -= rows
        if heads <= 0:
            return


def _summary(packed: Packed, output: Path, size: int, budget: int) -> str:
    parts = ", ".join(f"{name} {value:.1f}" for name, value in packed.megabytes.items())
    return "\n".join(
        [
            f"{output}: {size / 1e6:.1f} of {budget / 1e6:.1f} MB ({parts})",
            f"photographs: {packed.photographs} of {packed.photographs_there_are} to train on ({packed.with_mesh} with "
            f"MediaPipe's points), {packed.held_out} held out; windows of at most {packed.window_px} px, "
            f"JPEG quality {packed.quality}",
            f"drawn heads: {packed.drawn_heads}; skins for heads drawn there: {packed.skins}",
            "The repository is not in it: it travels by other means.",
        ]
    )


def _pack_extras(
    output: Path,
    start: Path | None,
    backbone: Path | None,
    skins: Path | None,
    skin_count: int,
    drawn: Path | None,
    heads: int,
) -> tuple[dict[str, int], int, int]:
    """Weights, skins and drawn heads, as `pack_for_gpu` is asked for them: bytes of each, heads, skins."""
    sizes: dict[str, int] = {}
    if start is not None:
        sizes[START_NAME] = _pack_start(start, output / START_NAME)
    if backbone is not None:
        sizes["backbone"] = _pack_weights(backbone, output / BACKBONE_NAME, without="classifier.")
    skins_in = _pack_skins(skins, output / SKINS_NAME, skin_count) if skins is not None else 0
    if skins is not None:
        sizes["skins"] = (output / SKINS_NAME).stat().st_size
    heads_in = 0
    if drawn is not None:
        heads_in, sizes["drawn"] = _pack_bank(drawn, output / "drawn", heads)
    return sizes, heads_in, skins_in


def _pack_photographs(
    train: Sequence[Path],
    folder: Path,
    output: Path,
    small: _Small,
    left: int,
    sizes: Mapping[str, int],
    megabytes: float,
) -> tuple[int, int, int, int, int]:
    """As many photographs for training as there is room for, in the best quality in which all of them would fit.

    Args:
        train: Their shards.
        folder: Where these lie, for the message.
        output: The folder to write to.
        small: Makes a photograph small.
        left: Bytes.
        sizes: What the other parts take, for the message.
        megabytes: What was asked for, for the message.

    Returns:
        How many, of how many, how many of them with a mesh, their quality, and their bytes.

    Raises:
        ValueError: If there are none, or there is no room.
    """
    counts, measured = _measure(train, small)
    there_are = sum(counts.values())
    if there_are == 0:
        raise ValueError(f"{folder}: its shards hold no photographs; prepare them again")
    quality = next((q for q in QUALITIES if measured[q] * there_are <= _SLACK * left), QUALITIES[-1])
    fraction = min(1.0, _SLACK * left / (measured[quality] * there_are))
    if fraction * there_are < 1.0:
        parts = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
        raise ValueError(f"--megabytes {megabytes:g}: leaves no room for photographs beside {parts}; leave some out")
    for _ in range(_TRIES):
        photographs, with_mesh, size = _write_train(train, output / "shards" / "train", small, quality, fraction)
        if size <= left and photographs:
            return photographs, there_are, with_mesh, quality, size
        fraction *= 0.98 * left / size if size > left else 1.5
    raise ValueError(f"{output}: photographs do not come below {left / 1e6:.1f} MB; raise --megabytes")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and pack."""
    run_tool(pack_for_gpu, arguments)


if __name__ == "__main__":
    main()
