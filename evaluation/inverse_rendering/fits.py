"""The ray-traced stage as the benchmark runs it, with what makes it up taken out piece by piece."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from evaluation.inverse_rendering.benchmark import Fit, FoundSkin
from model.face.morphable_model import MorphableModel
from model.look.appearance import Appearance
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.raytrace.config import RaytraceConfig

FULL, WITHOUT_VISIBILITY = "ray-traced", "without visibility"


class Answer(Protocol):
    """What the stage answers, as far as the benchmark looks at it."""

    @property
    def appearance(self) -> Appearance | None:
        """Skin and light; None where it was not accepted."""
        ...

    @property
    def rendered_linear(self) -> Float[Tensor, "size size 3"]:
        """The face as they make it look."""
        ...

    @property
    def mask(self) -> Float[Tensor, "size size"]:
        """Where it was compared with the photograph."""
        ...


Stage = Callable[[MorphableModel, FaceCrop, FittedFace, RaytraceConfig], tuple[Answer, StageRecord]]


def variants(config: RaytraceConfig, ablations: bool) -> dict[str, RaytraceConfig]:
    """The settings that are compared, by name.

    Args:
        config: The stage's settings.
        ablations: More than the one without visibility.
    """

    def light(**changes: object) -> RaytraceConfig:
        return replace(config, light=replace(config.light, **changes))

    compared = {FULL: config, WITHOUT_VISIBILITY: light(visibility=False)}
    if ablations:
        compared["without bounce"] = light(bounce=False)
        compared["without symmetry"] = replace(config, weights=replace(config.weights, symmetry=0.0))
        for kind, name in (("harmonics", "harmonics"), ("gaussians", "gaussians"), ("stage", "light stage")):
            if kind != config.light.kind:
                compared[name] = light(kind=kind)
    return compared


def as_fit(stage: Stage, model: MorphableModel, config: RaytraceConfig) -> Fit:
    """The stage with settings, as `evaluate_inverse_rendering` calls it."""

    def fit(crop: FaceCrop, start: FittedFace) -> FoundSkin | None:
        answer, record = stage(model, crop, start, config)
        if not record.accepted or answer.appearance is None:
            return None
        return FoundSkin(
            diffuse_linear=answer.appearance.diffuse_linear,
            rendered_linear=answer.rendered_linear.detach().cpu().numpy(),
            drawn=answer.mask.detach().cpu().numpy() > 0.0,
            reason=record.reason,
        )

    return fit
