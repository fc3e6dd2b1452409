"""How much training changes stored faces: apart from what changes them, so that a command line is read at once."""

from dataclasses import dataclass

from common.ranges import POSITIVE, SHARE, checked


@dataclass(frozen=True)
@checked(
    ranges={
        SHARE: ("mirror", "color", "grey", "blur", "noise", "compression", "occlusion", "border"),
        POSITIVE: ("near_mm", "far_mm"),
    }
)
class AugmentConfig:
    """How much training changes. Everything at 0 leaves the samples as they are, but for the camera.

    Attributes:
        rotation_degrees: Largest turn in the picture's plane; small turns are more frequent (triangular).
        scale: Largest change of scale, as a logarithm.
        shift: Largest shift along x and y, in sides of the crop.
        mirror: Probability of mirroring.
        near_mm: Nearest camera of a photograph whose camera is unknown.
        far_mm: Farthest camera; the distance is log-uniform between the two.
        principal_shift: Largest distance, along x and y in sides of the crop, of the principal point from its centre.
        color: Probability of a change of brightness, contrast, colour or tone.
        grey: Probability that a colour photograph becomes a grey one.
        blur: Probability of blur or a loss of resolution.
        noise: Probability of sensor noise.
        compression: Probability of JPEG's marks.
        occlusion: Probability of one or two patches over the face.
        border: Probability that what lies beyond the photograph's border is filled with one colour, not repeated.
    """

    rotation_degrees: float = 30.0
    scale: float = 0.15
    shift: float = 0.06
    mirror: float = 0.5
    near_mm: float = 450.0
    far_mm: float = 2500.0
    principal_shift: float = 0.5
    color: float = 0.7
    grey: float = 0.1
    blur: float = 0.25
    noise: float = 0.15
    compression: float = 0.3
    occlusion: float = 0.3
    border: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if self.near_mm > self.far_mm:
            raise ValueError(f"near_mm is {self.near_mm}: expected far_mm, {self.far_mm}, at most")
