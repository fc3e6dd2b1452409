"""What `data.prepare` has to do: every photograph in one shard of one split, the same at every start."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from common.places import Place, relative, resolved, stamp
from common.ranges import AT_LEAST_ONE, Range, checked
from data.image_io import find_images
from data.readers import SourcePhotograph, is_annotated, read_annotated

Split = Literal["train", "val"]


@dataclass(frozen=True)
@checked(
    "--",
    {
        Range(0, 100): ("validation_percent",),
        AT_LEAST_ONE: ("workers", "photographs_per_shard", "margin"),
        Range(16): ("largest_side_px",),
    },
)
class PrepareConfig:
    """How photographs become shards.

    Attributes:
        photos: Folder of photographs, or of annotated tars; here or behind an address.
        output: Folder of the result: `train/`, `val/`, `report.json`; here or behind an address.
        workers: Processes; 1 works in this one.
        validation_percent: Part of the groups (persons, series, photographs) that is held out.
        photographs_per_shard: Photographs that go into one shard.
        margin: Side of the stored patch over the crop window's.
        largest_side_px: Largest side of the crop window in a stored patch; larger ones are scaled down.
        largest_face: Of a photograph without labels keep only the largest face.
    """

    photos: Place
    output: Place
    workers: int = 2
    validation_percent: float = 4.0
    photographs_per_shard: int = 500
    margin: float = 1.5
    largest_side_px: int = 176
    largest_face: bool = False


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be made.

    Attributes:
        split: Where it belongs.
        path: The tar.
        photographs: What goes into it, in order.
        config: How.
    """

    split: Split
    path: Place
    photographs: tuple[SourcePhotograph, ...]
    config: PrepareConfig

    @property
    def receipt_path(self) -> Place:
        """Written after the tar: what is in it and what was skipped. The shard is finished when this is there."""
        return self.path.with_suffix(".json")

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes the shard; a receipt with another one is not a finished shard."""
        # Where the result lies, and how many processes make it, do not change it.
        options = {k: v for k, v in asdict(self.config).items() if k not in ("output", "workers", "photos")}
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
        for photograph in self.photographs:
            digest.update(_stamp(photograph).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def make_plan(config: PrepareConfig) -> list[ShardPlan]:
    """Divide the photographs into splits and shards.

    Each shard is a mixture of the whole, since the order is that of a hash of the names.

    Raises:
        FileNotFoundError: If there are no photographs.
    """
    photographs = read_sources(config.photos)
    # Groups of doubtful photographs alone give no sample, and must not be all that is held out.
    usable = {p.group for p in photographs if not p.doubt}
    percent = config.validation_percent
    held_out = held_out_groups(usable, percent)
    held_out |= {p.group for p in photographs if p.group not in usable and is_held_out(p.group, percent)}
    plans: list[ShardPlan] = []
    for split in get_args(Split):
        chosen = [p for p in photographs if (p.group in held_out) == (split == "val")]
        chosen.sort(key=lambda photograph: _hash(f"order {photograph.name}"))
        for number, start in enumerate(range(0, len(chosen), config.photographs_per_shard)):
            path = config.output / split / f"{split}-{number:06d}.tar"
            plans.append(ShardPlan(split, path, tuple(chosen[start : start + config.photographs_per_shard]), config))
    return plans


def read_sources(photos: Place) -> list[SourcePhotograph]:
    """The photographs of a folder of either kind.

    Raises:
        FileNotFoundError: If the folder is missing or holds none.
        ValueError: If the annotations cannot be used.
    """
    if not photos.is_dir():
        raise FileNotFoundError(f"{photos}: no such folder; give a folder of photographs or of annotated tars")
    if is_annotated(photos):
        return read_annotated(photos)
    paths = find_images([photos])
    if not paths:
        raise FileNotFoundError(f"{photos}: holds no photographs (and no annotations.npz beside tars)")
    names = [relative(path, photos) for path in paths]
    return [
        SourcePhotograph(name, resolved(photos).name, name, -1, path) for path, name in zip(paths, names, strict=True)
    ]


def held_out_groups(groups: Collection[str], percent: float) -> set[str]:
    """The groups of the validation set: those that `is_held_out` names, but of two groups or more at least one.

    Of 16 photographs, 4 percent is none in half of all cases. Then the group that a larger share would take first is
    held out; it may change sides when more photographs come. In the same way one group is left to train on.
    """
    chosen = {group for group in groups if is_held_out(group, percent)}
    if len(groups) < 2 or percent in (0.0, 100.0):
        return chosen
    in_order = sorted(groups, key=lambda group: _hash(f"split {group}"))
    if not chosen:
        return {in_order[0]}
    return chosen - {in_order[-1]} if len(chosen) == len(groups) else chosen


def is_held_out(group: str, percent: float) -> bool:
    """Whether a group belongs to the validation set: decided by its name alone, so it never changes sides."""
    return _hash(f"split {group}") < percent / 100.0


def _hash(text: str) -> float:
    """A number in [0, 1) from a text, the same everywhere."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / float(1 << 56)


def _stamp(photograph: SourcePhotograph) -> str:
    try:
        changed = stamp(photograph.path)
    except OSError:
        changed = None
    labels = photograph.labels
    points = "" if labels is None else hashlib.sha256(labels.landmarks68_px.tobytes()).hexdigest()
    return json.dumps([photograph.name, photograph.offset, photograph.doubt, changed, points])
