"""Which drawn heads training has beside the photographs; apart from what draws them, which loads torch."""

from dataclasses import dataclass, field
from pathlib import Path

from common.ranges import checked
from data.augment_config import AugmentConfig


@dataclass(frozen=True)
@checked("synthetic.")
class SyntheticGeometryConfig:
    """Drawn heads in training.

    Attributes:
        batch_size: How many beside each batch of photographs; 0 for none.
        relief: With bumps that the morphable model cannot make (`training.relief`).
        bank: Folder of heads drawn before (`tools.draw_heads` of a clone), whose pixels are changed anew each time;
            none to draw on the spot.
        augment: How pixels of a bank's heads are changed.
        workers: Processes that draw; 0 draws in the training process.
        seed: Of all heads.
    """

    batch_size: int = 0
    relief: bool = True
    bank: Path | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    workers: int = 0
    seed: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if self.bank is not None and not self.relief:
            raise ValueError("synthetic.relief is false, but heads of a bank have relief: their truth would be wrong")
