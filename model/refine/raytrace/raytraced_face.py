"""What the ray-traced stage answers."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from model.look.appearance import Appearance
from model.refine.face import FittedFace


@dataclass(frozen=True)
class RaytracedFace:
    """What the stage found.

    Attributes:
        fitted: The face; its shape, pose and camera are the start's.
        appearance: Skin and light; None where the answer was not accepted.
        rendered_linear: The face as they make it look.
        mask: Where it was compared with the photograph, [0, 1].
        albedo_linear: The diffuse albedo as the window shows it.
    """

    fitted: FittedFace
    appearance: Appearance | None
    rendered_linear: Float[Tensor, "size size 3"]
    mask: Float[Tensor, "size size"]
    albedo_linear: Float[Tensor, "size size 3"]
