"""The shape that is shown and written: the fitted head with lips that touch at rest and teeth where they were seen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from model.face.morphable_model import MorphableModel
from model.look.face_result import FaceResult
from model.look.lips import LipSeam


@dataclass(frozen=True)
class HeadShape:
    """A face's vertices at rest and what its expressions do.

    Attributes:
        rest_mm: Model space, without any expression.
        morphs_mm: Displacement at weight 1 of each expression.
    """

    rest_mm: Float[np.ndarray, "vertex 3"]
    morphs_mm: Float[np.ndarray, "expression vertex 3"]

    def posed_mm(self, weights: Float[np.ndarray, " expression"]) -> Float[np.ndarray, "vertex 3"]:
        """The vertices with an expression."""
        return (self.rest_mm + np.einsum("e,evx->vx", weights, self.morphs_mm)).astype(np.float32)


def head_shape(
    result: FaceResult,
    model: MorphableModel,
    seam: LipSeam | None,
    upper_teeth: Float[np.ndarray, " vertex"],
    lower_teeth_by_mm: float = 0.0,
) -> HeadShape:
    """The shape of a face.

    Args:
        result: The face.
        model: Its head.
        seam: Where the head's lips meet; None leaves them as they are.
        upper_teeth: The upper teeth: 1 at their biting edges, down to 0 at the gums, where they stay.
        lower_teeth_by_mm: How far the photograph shows those edges lower than the fit.
    """
    morphs = model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()
    rest = result.vertices_mm - np.einsum("e,evx->vx", result.expression, morphs)
    if seam is not None:
        closing = seam.closing_mm(rest)
        rest = rest + closing
        morphs = np.stack(
            [morph - seam.opened_by(number)[:, None] * closing for number, morph in enumerate(morphs)]
        ).astype(np.float32)
    rest[:, 1] -= lower_teeth_by_mm * upper_teeth
    return HeadShape(rest.astype(np.float32), morphs)
