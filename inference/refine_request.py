"""What `infer.py` is asked to do about refinement; checked before torch is loaded."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from common.paths import DEFAULT_REFINE_CONFIG

Level = Literal["none", "landmarks", "raster", "raytrace"]
LEVELS: tuple[Level, ...] = ("none", "landmarks", "raster", "raytrace")
"""Each level runs the stages of those before it as well."""

PathTrace = Literal["auto", "yes", "no"]


NETWORK_LANDMARKS = "network"
DETECTORS = {"mediapipe": "mediapipe", "face-alignment": "face_alignment"}
"""Landmark detectors that the user may have installed, and the modules they are."""

_HOW_TO_GET = {
    # Later versions have no face mesh.
    "mediapipe": 'pip install "mediapipe<0.10.30"',
    "face-alignment": "pip install face-alignment",
}


@dataclass(frozen=True)
class RefineRequest:
    """The refinement's part of a command line.

    Attributes:
        level: The last stage that is run.
        config: YAML with the stages' settings.
        network: Start from the network's answer; else from the mean head.
        landmarks: `network`, a detector, or a file or folder of landmarks.
        path_trace: Whether Mitsuba draws the final pictures; `auto` is where it can.
    """

    level: Level = "none"
    config: Path = DEFAULT_REFINE_CONFIG
    network: bool = True
    landmarks: str = NETWORK_LANDMARKS
    path_trace: PathTrace = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the options.
        """
        if self.level == "none":
            self._refuse_options_of_a_refinement()
            return
        if not self.network and self.landmarks == NETWORK_LANDMARKS:
            known = ", ".join(DETECTORS)
            raise ValueError(f"--no-network needs landmarks from elsewhere: --landmarks with one of {known}, or a file")
        if self.level != "raytrace" and self.path_trace != "auto":
            raise ValueError("--path-trace needs --refine raytrace")
        if not self.config.is_file():
            raise ValueError(f"--refine-config {self.config}: no such file")
        self._refuse_missing_landmarks()

    def _refuse_options_of_a_refinement(self) -> None:
        used = {
            "--refine-config": self.config != DEFAULT_REFINE_CONFIG,
            "--no-network": not self.network,
            "--landmarks": self.landmarks != NETWORK_LANDMARKS,
            "--path-trace": self.path_trace != "auto",
        }
        named = [name for name, given in used.items() if given]
        if named:
            raise ValueError(f"{', '.join(named)}: only with --refine landmarks, raster or raytrace")

    def _refuse_missing_landmarks(self) -> None:
        if self.landmarks == NETWORK_LANDMARKS:
            return
        if self.landmarks in DETECTORS:
            if find_spec(DETECTORS[self.landmarks]) is None:
                raise ValueError(f"--landmarks {self.landmarks}: not installed; {_HOW_TO_GET[self.landmarks]}")
        elif not Path(self.landmarks).exists():
            known = ", ".join((NETWORK_LANDMARKS, *DETECTORS))
            raise ValueError(f"--landmarks {self.landmarks}: neither one of {known} nor a file or folder that exists")
