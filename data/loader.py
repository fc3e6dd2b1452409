"""Shards become batches of `FaceSample`.

Training is an endless stream: every epoch all shards, in a new order that depends on seed and epoch only, are divided
among nodes, ranks and workers (`data/stream.py`). Validation is one pass without any randomness.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from data.augment import PixelAugmentation, View, plain_view, random_view
from data.crops import make_sample
from data.loader_config import LoaderConfig
from data.sample import FaceBatch, FaceSample, collate
from data.shards import ShardSample, list_shards
from data.stream import Position, Progress, ShardReader


class StreamBatch(FaceBatch):
    """A batch, and how far the stream that it comes from has come with it."""

    progress: Progress


@dataclass(frozen=True)
class Share:
    """Which part of the work a process has.

    Attributes:
        rank: Its number among all processes that train, on all nodes.
        world_size: How many these are.
        first_worker: The loader worker whose turn is first; the others follow in their order.
        start: Where the streams begin, by number of their part; a part without entry begins at `default_start`.
        default_start: Where the other streams begin.
    """

    rank: int = 0
    world_size: int = 1
    first_worker: int = 0
    start: Mapping[int, Position] = field(default_factory=dict)
    default_start: Position = Position()

    def part(self, worker: int, workers: int) -> tuple[int, int]:
        """Which part of the shards a worker reads, and of how many: each worker of each rank has its own."""
        workers = max(workers, 1)
        return self.rank * workers + (worker + self.first_worker) % workers, self.world_size * workers


def build_loader(config: LoaderConfig, share: Share | None = None) -> DataLoader[StreamBatch]:
    """A loader of batches (dicts, see `FaceBatch` and `Progress`).

    Args:
        config: Where batches come from.
        share: Which of them; by default all, from the beginning.

    Raises:
        FileNotFoundError: If the folder holds no shards.
    """
    return DataLoader(
        FaceBatches(config, share or Share()),
        batch_size=None,
        num_workers=config.workers,
        persistent_workers=config.workers > 0 and config.training,
        prefetch_factor=4 if config.workers > 0 else None,
        # Of its own, so that making an iterator leaves torch's global random state as it is.
        generator=torch.Generator().manual_seed(config.seed),
    )


class FaceBatches(IterableDataset[StreamBatch]):
    """Batches of this process's part of the shards."""

    def __init__(self, config: LoaderConfig, share: Share) -> None:
        """Find the shards.

        Raises:
            FileNotFoundError: If the folder holds none.
        """
        self.config = config
        self.share = share
        self.shards = list_shards(config.shards)

    def __iter__(self) -> Iterator[StreamBatch]:
        """Start where this process's share does."""
        worker = get_worker_info()
        if worker is not None:
            # Workers share the cores with training; OpenCV's own threads would fight for them.
            cv2.setNumThreads(0)
        part, parts = self.share.part(*((0, 1) if worker is None else (worker.id, worker.num_workers)))
        reader = ShardReader(self.config, self.shards, part, parts)
        if self.config.training:
            samples = training_samples(self.config, reader, self.share.start.get(part, self.share.default_start))
        else:
            samples = validation_samples(self.config, reader)
        waiting: list[FaceSample] = []
        position = Position()
        for position, sample in samples:
            waiting.append(sample)
            if len(waiting) == self.config.batch_size:
                yield _batch(waiting, reader, position)
                waiting = []
        if waiting:
            yield _batch(waiting, reader, position)


def _batch(samples: list[FaceSample], reader: ShardReader, position: Position) -> StreamBatch:
    progress = Progress(part=reader.part, epoch=position.epoch, drawn=position.drawn, skipped=reader.skipped)
    return StreamBatch(**collate(samples), progress=progress)


def validation_samples(config: LoaderConfig, reader: ShardReader) -> Iterator[tuple[Position, FaceSample]]:
    """One pass, every sample as it is."""
    for number, members in enumerate(reader.members(epoch=0), start=1):
        stored = reader.decode(members)
        if stored is not None:
            yield Position(0, number), make_sample(stored, plain_view(stored, config.size), config.size)


def training_samples(
    config: LoaderConfig, reader: ShardReader, start: Position
) -> Iterator[tuple[Position, FaceSample]]:
    """An endless stream of augmented samples behind a position, each with the position behind it.

    Raises:
        ValueError: If the shards hold nothing, or too much that is broken.
    """
    pixels = PixelAugmentation(config.augment)
    for position, members in reader.drawn(start):
        stored = reader.decode(members)
        if stored is not None:
            generator = reader.sample_generator(position)
            view = random_view(stored, config.size, config.augment, generator)
            yield position, augmented_sample(stored, view, config, pixels, generator)


def augmented_sample(
    stored: ShardSample, view: View, config: LoaderConfig, pixels: PixelAugmentation, generator: np.random.Generator
) -> FaceSample:
    """The sample of a view, with its pixels changed."""
    augment = config.augment
    border_srgb = generator.integers(0, 256, 3) if generator.random() < augment.border else None
    grey = stored.color and generator.random() < augment.grey
    pixels.seed(generator)
    return make_sample(stored, view, config.size, border_srgb=border_srgb, grey=grey, change=pixels)
