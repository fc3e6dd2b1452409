"""The order in which a process reads samples, and what it does about broken ones.

Each process (node, rank and loader worker) reads its own part of the shards. What it reads is a pure function of the
seed, the number of the part and the number of parts, and so is each sample's augmentation. So a stream goes on at any
`Position` with the samples that would have come: the members before it are read, but not decoded.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from webdataset.tariterators import group_by_keys, tar_file_expander

from data.loader_config import LoaderConfig
from data.shards import ShardSample, decode_metadata, decode_sample

_LOG = logging.getLogger(__name__)
_SHARDS, _ORDER, _SAMPLE = 1, 2, 3
"""First numbers of the seeds of what is drawn at random, so that no two of them are the same."""
_SKIPPED_IN_ANY_CASE = 10
"""A few broken samples at the very beginning are no rate yet."""
_PERSON = "__person__"
"""Where a raw sample keeps its person's number, beside WebDataset's `__key__` and `__url__`."""


class Position(NamedTuple):
    """How far a stream has come.

    Attributes:
        epoch: The pass over the shards.
        drawn: Samples drawn in this pass, broken ones included.
    """

    epoch: int = 0
    drawn: int = 0


class Progress(TypedDict):
    """What a batch tells of the stream that it comes from, as it stands behind the batch.

    Attributes:
        part: Number of the stream's part.
        epoch: See `Position`.
        drawn: See `Position`.
        skipped: Broken samples that were left out since the process began.
    """

    part: int
    epoch: int
    drawn: int
    skipped: int


class ShardReader:
    """Reads the raw samples of this process's part of the shards, and counts broken ones.

    Attributes:
        config: Order and faults.
        part: Number of the part.
        skipped: Broken samples so far.
    """

    def __init__(self, config: LoaderConfig, shards: list[Path], part: int, parts: int) -> None:
        """Take part `part` of `parts`."""
        self.config = config
        self.part = part
        self._shards = shards
        self._parts = parts
        self._read = 0
        self._skipped: Counter[str] = Counter()

    @property
    def skipped(self) -> int:
        """Broken samples so far."""
        return self._skipped.total()

    def epoch_shards(self, epoch: int) -> list[Path]:
        """The shards of one pass: disjoint between parts, and all of them together."""
        shards = list(self._shards)
        if self.config.training:
            np.random.default_rng((_SHARDS, self.config.seed, epoch)).shuffle(shards)  # pyright: ignore[reportArgumentType]
        # Going round, so that with fewer shards than processes each of them has some in some epoch.
        return shards[(self.part + epoch) % self._parts :: self._parts]

    def drawn(self, start: Position) -> Iterator[tuple[Position, dict[str, Any]]]:
        """The endless stream behind a position: raw samples, each with the position behind it.

        Raises:
            ValueError: If the shards hold nothing, or too many broken samples.
        """
        idle = 0
        for epoch in itertools.count(start.epoch):
            idle += 1
            before = start.drawn if epoch == start.epoch else 0
            for number, members in enumerate(self._shuffled(epoch), start=1):
                idle = 0
                if number > before:
                    yield Position(epoch, number), members
            # With fewer shards than processes, some have none in some epochs; for ever means that all are empty.
            if idle > 1000:
                raise ValueError(f"{self._folder}: no samples in its shards; prepare them again")

    def sample_generator(self, position: Position) -> np.random.Generator:
        """The randomness of the sample before a position: of nothing else, so that others can be left out."""
        return np.random.default_rng((_SAMPLE, self.config.seed, self.part, *position))

    def members(self, epoch: int) -> Iterator[dict[str, Any]]:
        """The encoded samples of one pass in the order of the shards, as dicts of member suffix to bytes."""
        for shard in self.epoch_shards(epoch):
            # A stream per shard: one that breaks off costs only what was behind the break.
            try:
                with shard.open("rb") as stream:
                    files = tar_file_expander(
                        [{"url": str(shard), "stream": stream}],
                        handler=lambda error, name=shard: self._skip(error, name),
                    )
                    for members in group_by_keys(files, handler=lambda error, name=shard: self._skip(error, name)):
                        self._read += 1
                        yield members
            except OSError as error:
                self._skip(error, shard)

    def decode(self, members: dict[str, Any]) -> ShardSample | None:
        """A sample, None where it is broken.

        Raises:
            ValueError: If there are too many broken ones.
        """
        try:
            return decode_sample(members)
        except ValueError as error:
            self._skip(error, members.get("__url__", "?"))
            return None

    def _shuffled(self, epoch: int) -> Iterator[dict[str, Any]]:
        """Draw each next sample from a buffer that is filled up behind it; starts when a tenth of it is full."""
        generator = np.random.default_rng((_ORDER, self.config.seed, self.part, epoch))
        samples = self._repeated(epoch, generator)
        buffer_size = self.config.shuffle_buffer
        buffer = list(itertools.islice(samples, max(1, buffer_size // 10)))
        followed: dict[str, Any] | None = None
        while buffer:
            index = int(generator.integers(len(buffer)))
            if followed is not None:
                same = _others_of_person(buffer, followed)
                index = same[index % len(same)] if same else index
            buffer[index], buffer[-1] = buffer[-1], buffer[index]
            drawn = buffer.pop()
            # A pair, not a row: the second of two is not followed by a third.
            paired = followed is None and self.config.person_pairs > 0.0 and _person(drawn) >= 0
            followed = drawn if paired and generator.random() < self.config.person_pairs else None
            yield drawn
            # Two for each one given out until it is full, so that training begins at once.
            buffer.extend(itertools.islice(samples, 2 if len(buffer) + 1 < buffer_size else 1))

    def _repeated(self, epoch: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
        for members in self.members(epoch):
            for _ in range(self._repeats(members, generator)):
                yield members

    def _repeats(self, members: dict[str, Any], generator: np.random.Generator) -> int:
        """How often a sample enters an epoch: by its yaw, at random where that is no whole number."""
        try:
            yaw_degrees = abs(float(decode_metadata(members)["yaw_degrees"]))
        except (ValueError, KeyError, TypeError):
            # Once: `decode` will report it.
            return 1
        rise = min(max((yaw_degrees - 30.0) / 30.0, 0.0), 1.0)
        return int(1.0 + (self.config.profile_repeats - 1.0) * rise + generator.random())

    @property
    def _folder(self) -> Path:
        return self._shards[0].parent

    def _skip(self, error: Exception, shard: Path | str) -> bool:
        """Note a broken sample; the answer tells WebDataset to go on.

        Raises:
            ValueError: If there are too many.
        """
        name = Path(shard).name
        self._skipped[name] += 1
        _LOG.warning("%s: skipped what is broken: %s", shard, error)
        ceiling = max(_SKIPPED_IN_ANY_CASE, self.config.largest_skipped_fraction * self._read)
        if self.skipped > ceiling:
            worst = ", ".join(f"{shard} ({count})" for shard, count in self._skipped.most_common(3))
            raise ValueError(
                f"{self._folder}: {self.skipped} broken samples among {self._read} read, most of them in {worst}; "
                f"the last: {error}. Prepare these shards again, or raise largest_skipped_fraction"
            ) from error
        return True


def _person(members: dict[str, Any]) -> int:
    """Number of the person in a raw sample, -1 where unknown or broken; read once and noted in the sample."""
    if _PERSON not in members:
        try:
            members[_PERSON] = int(decode_metadata(members)["person"])
        except (ValueError, KeyError, TypeError):
            members[_PERSON] = -1
    return members[_PERSON]


def _others_of_person(buffer: list[dict[str, Any]], members: dict[str, Any]) -> list[int]:
    """Where the buffer holds other photographs of the person."""
    person = _person(members)
    return [i for i, other in enumerate(buffer) if _person(other) == person and other["__key__"] != members["__key__"]]
