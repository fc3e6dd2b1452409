"""Where batches come from, and what is done to them."""

from dataclasses import dataclass, field
from pathlib import Path

from common.ranges import AT_LEAST_ONE, SHARE, Range, checked
from data.augment_config import AugmentConfig


@dataclass(frozen=True)
@checked(
    ranges={
        Range(16): ("size",),
        AT_LEAST_ONE: ("batch_size", "shuffle_buffer", "profile_repeats"),
        SHARE: ("person_pairs", "largest_skipped_fraction"),
    }
)
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
        person_pairs: Chance that a photograph of a known person is followed by another one of that person, where the
            shuffle buffer holds one: for losses that compare them. A larger buffer holds more.
        largest_skipped_fraction: Broken samples are skipped with a warning; above this part of all, the run stops.
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
    person_pairs: float = 0.0
    largest_skipped_fraction: float = 0.02
    augment: AugmentConfig = field(default_factory=AugmentConfig)
