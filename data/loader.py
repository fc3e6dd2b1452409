"""Shards become batches of `FaceSample`.

Training is an endless stream: every epoch all shards, in a new order that depends on seed and epoch only, are divided
among nodes and workers. Validation is one pass without any randomness.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from webdataset.tariterators import group_by_keys, tar_file_expander

from data.augment import AugmentConfig, PixelAugmentation, View, plain_view, random_view
from data.crops import make_sample
from data.sample import FaceBatch, FaceSample, collate
from data.shards import ShardSample, decode_metadata, decode_sample, list_shards

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoaderConfig:
    """Where batches come from.

    Attributes:
        shards: Folder of shards.
        training: Endless, shuffled and augmented; otherwise one pass as the photographs are.
        size: Side of the crops in px.
        batch_size: Samples in a batch; the last one of a pass may have fewer.
        workers: Processes; 0 loads in the caller's own.
        seed: Of order and augmentation.
        shuffle_buffer: Samples among which the next one is drawn.
        profile_repeats: How often a profile comes for each time a frontal face does; it rises from once at 30 degrees
            of yaw to this at 60.
        largest_skipped_fraction: Broken samples are skipped with a warning; above this part of all, loading stops.
        augment: Augmentation of training.
    """

    shards: Path
    training: bool = True
    size: int = 112
    batch_size: int = 32
    workers: int = 1
    seed: int = 0
    shuffle_buffer: int = 2000
    profile_repeats: float = 3.0
    largest_skipped_fraction: float = 0.02
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        for name, least in (
            ("size", 16),
            ("batch_size", 1),
            ("workers", 0),
            ("shuffle_buffer", 1),
            ("profile_repeats", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least {least}")


def build_loader(config: LoaderConfig) -> DataLoader[FaceBatch]:
    """A loader of batches (dicts, see `FaceBatch`).

    Raises:
        FileNotFoundError: If the folder holds no shards.
    """
    return DataLoader(
        FaceBatches(config),
        batch_size=None,
        num_workers=config.workers,
        persistent_workers=config.workers > 0 and config.training,
        prefetch_factor=4 if config.workers > 0 else None,
    )


class FaceBatches(IterableDataset[FaceBatch]):
    """Batches of this process's part of the shards."""

    def __init__(self, config: LoaderConfig) -> None:
        """Find the shards.

        Raises:
            FileNotFoundError: If the folder holds none.
        """
        self.config = config
        self.shards = list_shards(config.shards)

    def __iter__(self) -> Iterator[FaceBatch]:
        """Start from the first epoch."""
        if get_worker_info() is not None:
            # Workers share the cores with training; OpenCV's own threads would fight for them.
            cv2.setNumThreads(0)
        part, parts = part_of_work()
        reader = ShardReader(self.config, self.shards, part, parts)
        samples = training_samples(reader) if self.config.training else validation_samples(reader)
        waiting: list[FaceSample] = []
        for sample in samples:
            waiting.append(sample)
            if len(waiting) == self.config.batch_size:
                yield collate(waiting)
                waiting = []
        if waiting:
            yield collate(waiting)


def part_of_work() -> tuple[int, int]:
    """Which part of the shards this process reads, and of how many: each worker of each node has its own."""
    worker = get_worker_info()
    worker_index, worker_count = (0, 1) if worker is None else (worker.id, worker.num_workers)
    node_index, node_count = 0, 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        node_index, node_count = torch.distributed.get_rank(), torch.distributed.get_world_size()
    return node_index * worker_count + worker_index, node_count * worker_count


class ShardReader:
    """Reads the raw samples of this process's part of the shards, and counts broken ones."""

    def __init__(self, config: LoaderConfig, shards: list[Path], part: int, parts: int) -> None:
        """Take part `part` of `parts`."""
        self.config = config
        self.part = part
        self._shards = shards
        self._parts = parts
        self._read = 0
        self._skipped = 0

    def epoch_shards(self, epoch: int) -> list[Path]:
        """The shards of one pass: disjoint between parts, and all of them together."""
        shards = list(self._shards)
        if self.config.training:
            np.random.default_rng((self.config.seed, epoch)).shuffle(shards)  # pyright: ignore[reportArgumentType]
        # Going round, so that with fewer shards than processes each of them has some in some epoch.
        return shards[(self.part + epoch) % self._parts :: self._parts]

    def members(self, epoch: int) -> Iterator[dict[str, Any]]:
        """The encoded samples of one pass, as dicts of member suffix to bytes."""
        for shard in self.epoch_shards(epoch):
            # A stream per shard: one that breaks off costs only what was behind the break.
            with shard.open("rb") as stream:
                files = tar_file_expander([{"url": str(shard), "stream": stream}], handler=self._skip)
                for members in group_by_keys(files, handler=self._skip):
                    self._read += 1
                    yield members

    def decode(self, members: dict[str, Any]) -> ShardSample | None:
        """A sample, None where it is broken."""
        try:
            return decode_sample(members)
        except ValueError as error:
            self._skip(error)
            return None

    def repeats(self, members: dict[str, Any], generator: np.random.Generator) -> int:
        """How often a sample enters an epoch: by its yaw, at random where that is no whole number."""
        try:
            yaw_degrees = abs(float(decode_metadata(members)["yaw_degrees"]))
        except (ValueError, KeyError, TypeError):
            # Once: `decode` will report it.
            return 1
        rise = min(max((yaw_degrees - 30.0) / 30.0, 0.0), 1.0)
        return int(1.0 + (self.config.profile_repeats - 1.0) * rise + generator.random())

    def _skip(self, error: Exception) -> bool:
        """Note a broken sample; the answer tells WebDataset to go on.

        Raises:
            ValueError: If there are too many.
        """
        self._skipped += 1
        _LOG.warning("skipped a broken sample: %s", error)
        # A few at the very beginning are no rate yet.
        if self._skipped > max(10, self.config.largest_skipped_fraction * self._read):
            raise ValueError(
                f"{self.config.shards}: {self._skipped} broken samples among {self._read}; prepare the shards again"
            ) from error
        return True


def validation_samples(reader: ShardReader) -> Iterator[FaceSample]:
    """One pass, every sample as it is."""
    for members in reader.members(epoch=0):
        stored = reader.decode(members)
        if stored is not None:
            yield make_sample(stored, plain_view(stored, reader.config.size), reader.config.size)


def training_samples(reader: ShardReader) -> Iterator[FaceSample]:
    """An endless stream of augmented samples.

    Raises:
        ValueError: If the shards hold nothing.
    """
    config = reader.config
    generator = np.random.default_rng((config.seed, reader.part, 1))
    pixels = PixelAugmentation(config.augment, seed=int(generator.integers(2**31)))
    for members in _shuffled(_repeated(reader, generator), config.shuffle_buffer, generator):
        stored = reader.decode(members)
        if stored is not None:
            view = random_view(stored, config.size, config.augment, generator)
            yield augmented_sample(stored, view, config, pixels, generator)


def augmented_sample(
    stored: ShardSample, view: View, config: LoaderConfig, pixels: PixelAugmentation, generator: np.random.Generator
) -> FaceSample:
    """The sample of a view, with its pixels changed."""
    augment = config.augment
    border_srgb = generator.integers(0, 256, 3) if generator.random() < augment.border else None
    grey = stored.color and generator.random() < augment.grey
    return make_sample(stored, view, config.size, border_srgb=border_srgb, grey=grey, change=pixels)


def _repeated(reader: ShardReader, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    epoch = 0
    idle = 0
    while True:
        found = False
        for members in reader.members(epoch):
            found = True
            for _ in range(reader.repeats(members, generator)):
                yield members
        epoch += 1
        # With fewer shards than processes, some have none in some epochs; for ever means that all are empty.
        idle = 0 if found else idle + 1
        if idle > 1000:
            raise ValueError(f"{reader.config.shards}: no samples in its shards; prepare them again")


def _shuffled(
    samples: Iterator[dict[str, Any]], buffer_size: int, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Draw each next sample from a buffer that is filled up behind it; starts when a tenth of it is full."""
    buffer: list[dict[str, Any]] = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) < max(1, buffer_size // 10):
            continue
        if len(buffer) < buffer_size:
            # Grow by one for each one given out, so that training begins at once.
            extra = next(samples, None)
            if extra is not None:
                buffer.append(extra)
        index = int(generator.integers(len(buffer)))
        buffer[index], buffer[-1] = buffer[-1], buffer[index]
        yield buffer.pop()
