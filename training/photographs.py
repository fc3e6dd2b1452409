"""The shards of a run, divided among its processes, and how far they have come."""

import hashlib
import json
import logging
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from data.loader import Share, StreamBatch, build_loader
from data.loader_config import LoaderConfig
from data.shards import list_shards, refuse_nothing_held_out
from data.stream import Position, Progress

_LOG = logging.getLogger(__name__)


class Photographs(LightningDataModule):
    """Loaders of this process's part of the training and of the validation shards.

    A loader's workers read ahead, so how far training has come is told by the batches that it was given (`note`).
    """

    def __init__(self, train: LoaderConfig, validation: LoaderConfig) -> None:
        """Find the shards.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If nothing is held out.
        """
        super().__init__()
        self._train, self._validation = train, validation
        self._fingerprint = _fingerprint(train)
        refuse_nothing_held_out(validation.shards, train.shards)
        self._resumed: dict[str, Any] | None = None
        self._default_start = Position()
        self._given: dict[int, Position] = {}
        self._last_part: int | None = None
        self._skipped: dict[int, int] = {}

    def train_dataloader(self) -> DataLoader[StreamBatch]:
        """An endless stream that begins where a resumed run stood."""
        assert self.trainer is not None
        share = self._share(self.trainer.global_rank, self.trainer.world_size)
        self._given, self._default_start = dict(share.start), share.default_start
        return build_loader(self._train, share)

    def val_dataloader(self) -> DataLoader[StreamBatch]:
        """One pass over this process's part, which may be smaller than another's, or empty."""
        assert self.trainer is not None
        return build_loader(self._validation, Share(self.trainer.global_rank, self.trainer.world_size))

    @property
    def skipped(self) -> int:
        """Broken training samples that this process left out so far."""
        return sum(self._skipped.values())

    def note(self, progress: Progress) -> None:
        """A batch with this progress was trained on."""
        part = progress["part"]
        self._given[part] = Position(progress["epoch"], progress["drawn"])
        self._skipped[part] = progress["skipped"]
        self._last_part = part

    def position(self) -> dict[str, Any]:
        """How far this process has come, as plain values; a checkpoint holds those of all of them."""
        return {
            "given": {part: tuple(position) for part, position in self._given.items()},
            "default_start": tuple(self._default_start),
            "last_part": self._last_part,
        }

    def all_positions(self, ranks: list[dict[str, Any]]) -> dict[str, Any]:
        """What `resume` takes, from the positions of all processes in their order."""
        return {"fingerprint": self._fingerprint, "workers": self._train.workers, "ranks": ranks}

    def resume(self, positions: dict[str, Any]) -> None:
        """Begin the loaders to come where another run stood."""
        self._resumed = positions

    def _share(self, rank: int, world_size: int) -> Share:
        if self._resumed is None:
            return Share(rank, world_size)
        ranks = self._resumed["ranks"]
        reasons = {
            "the shards or the options of their order have changed": self._resumed["fingerprint"] != self._fingerprint,
            f"there were {len(ranks)} processes, now {world_size}": len(ranks) != world_size,
            f"each had {self._resumed['workers']} loader workers, now {self._train.workers}": (
                self._resumed["workers"] != self._train.workers
            ),
        }
        changed = [reason for reason, is_so in reasons.items() if is_so]
        if changed:
            reached = [place[0] for state in ranks for place in (*state["given"].values(), state["default_start"])]
            epoch = max(reached) + 1
            _LOG.warning(
                "the position in the shards is not kept, since %s; reading goes on with pass %d. Steps, weights, "
                "optimiser, average and schedule are kept",
                " and ".join(changed),
                epoch,
            )
            return Share(rank, world_size, default_start=Position(epoch))
        own = ranks[rank]
        workers = max(self._train.workers, 1)
        last = own["last_part"]
        return Share(
            rank,
            world_size,
            first_worker=0 if last is None else (last - rank * workers + 1) % workers,
            start={part: Position(*place) for part, place in own["given"].items()},
            default_start=Position(*own["default_start"]),
        )


def _fingerprint(config: LoaderConfig) -> str:
    """Changes with anything that changes the order of the samples, or which samples there are."""
    shards = [(shard.name, shard.stat().st_size) for shard in list_shards(config.shards)]
    order = [config.seed, config.shuffle_buffer, config.profile_repeats, shards]
    return hashlib.sha256(json.dumps(order).encode()).hexdigest()
