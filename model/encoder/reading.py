"""From what the backbone sees to parameters, by as many steps as a model has."""

from jaxtyping import Float
from torch import Tensor

from model.encoder.aligned_look import AlignedLook
from model.encoder.backbone import Seen
from model.encoder.parameter_head import ParameterHead
from model.encoder.point_update import PointUpdate
from model.parameters import FaceParameters


def read_seen(
    seen: Seen,
    intrinsics_px: Float[Tensor, "batch 3 3"],
    image_size: int,
    parameter_head: ParameterHead,
    point_update: PointUpdate | None = None,
    aligned_look: AlignedLook | None = None,
) -> FaceParameters:
    """What is likely, moved to the points that are seen, and corrected by what lies under the answer's own points.

    Args:
        seen: What the backbone saw.
        intrinsics_px: Intrinsics of the crops.
        image_size: Side of the crops in px.
        parameter_head: Says what is likely.
        point_update: Moves it to the points.
        aligned_look: Corrects it; of use only after a point update.
    """
    answer = parameter_head(seen.pooled, intrinsics_px, image_size)
    if point_update is None:
        return answer
    answer = point_update(answer, seen.points, seen.log_distance, intrinsics_px, image_size)
    if aligned_look is None:
        return answer
    step = aligned_look(seen, point_update.places(answer, intrinsics_px, image_size), answer.rotation)
    return point_update.moved(answer, step)
