"""What the raster fit searches: deviations from a start, and the head they make."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.encoder.parameter_head import to_unit_interval
from model.face.detail import Detail
from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin
from model.geometry.mesh import vertex_normals
from model.geometry.rotation import rotation_from_vector
from model.parameters import FaceParameters
from model.refine.face import FittedFace
from model.refine.raster.config import RasterFitConfig
from model.refine.raster.offsets import LargeSteps

_RATES = {
    "identity": 0.04,
    "expression": 0.01,
    "albedo": 0.04,
    "turn_rad": 0.003,
    "shift": 0.001,
    "log_focal": 0.003,
    "height": 0.15,
}
"""Step of each group at its first size: about a thirtieth of what it may have to move."""

_FOCAL_LOG_SD = 0.1
"""Standard deviation of the logarithm of an estimated focal length."""
_OFFSET_SD_MM = 0.5
"""Standard deviation of a refined displacement about the start's, at the scale of a vertex's neighbourhood."""
_OFFSET_STIFFNESS = 30.0
"""The lambda of "large steps" preconditioning; how far neighbours move together."""

_NOT_MOVED = ("scalp", "neck", "ears")


class Unknowns:
    """Leaves of the graph by name, each zero at the start.

    Attributes:
        start: Where they deviate from; its detail as the config wants it.
        alone: The start had no albedo of its own, so it came from landmarks and not from a network.
    """

    def __init__(self, model: MorphableModel, start: FittedFace, config: RasterFitConfig) -> None:
        """Make zeros.

        Args:
            model: The head.
            start: The earlier answer.
            config: What is searched.
        """
        self._model, self._config = model, config
        self.start = _prepared(model, start, config)
        parameters, like = start.parameters, start.parameters.identity
        self.alone = not bool((parameters.albedo != 0.0).any())
        self._smooth = LargeSteps(model, moved_vertices(model), _OFFSET_STIFFNESS)
        shapes = {
            "identity": parameters.identity.shape,
            "expression": parameters.expression.shape,
            "albedo": parameters.albedo.shape,
            "turn_rad": (3,),
            "shift": (3,),
        }
        if config.focal == "estimate":
            shapes["log_focal"] = ()
        if config.offsets == "refine":
            shapes["height"] = (self._smooth.moved_count, 1)
        self.values = {name: like.new_zeros(shape).requires_grad_() for name, shape in shapes.items()}
        with torch.no_grad():
            self._normals = vertex_normals(self.start.mesh(model).vertices_mm, model.faces)[0]

    def groups(self, names: tuple[str, ...]) -> list[dict[str, object]]:
        """For the optimiser."""
        return [{"params": [self.values[name]], "lr": _RATES[name]} for name in names if name in self.values]

    def height_mm(self) -> Float[Tensor, "vertex 1"] | None:
        """Displacement along the start's normals, or None; made once a step, for it takes the longest."""
        return self._smooth(self.values["height"]) if "height" in self.values else None

    def face(self, lighting: Float[Tensor, "1 9 3"], height_mm: Float[Tensor, "vertex 1"] | None) -> FittedFace:
        """The head under a light; differentiable."""
        values, parameters = self.values, self.start.parameters
        rotation = rotation_from_vector(values["turn_rad"]) @ parameters.rotation[0]
        depth_mm = -parameters.translation_mm[:, 2:]
        moved = FaceParameters(
            identity=parameters.identity + values["identity"],
            expression=to_unit_interval(parameters.expression + values["expression"]),
            albedo=parameters.albedo + values["albedo"],
            rotation=rotation[None],
            translation_mm=parameters.translation_mm + depth_mm * values["shift"],
            lighting=lighting,
        )
        detail = self.start.detail
        if detail is not None and height_mm is not None:
            detail = replace(detail, offsets_mm=detail.offsets_mm + (height_mm * self._normals)[None])
        intrinsics_px = self.start.intrinsics_px
        if "log_focal" in values:
            scale = values["log_focal"].exp()
            one = torch.ones_like(scale)
            intrinsics_px = intrinsics_px * torch.stack((scale, scale, one))[:, None].where(
                torch.eye(3, device=scale.device) > 0, one
            )
        return FittedFace(moved, detail, intrinsics_px)

    def prior(self, height_mm: Float[Tensor, "vertex 1"] | None) -> Float[Tensor, ""]:
        """Half the squared deviations in standard deviations; per-vertex ones count as many as the coefficients."""
        config, values, parameters = self._config, self.values, self.start.parameters
        terms = [
            (values["identity"] / config.identity_sd).square().sum(),
            (values["expression"] / config.expression_sd).square().sum(),
        ]
        albedo_sd = 1.0 if self.alone else config.albedo_sd
        terms.append((values["albedo"] / albedo_sd).square().sum())
        if "log_focal" in values:
            terms.append((values["log_focal"] / _FOCAL_LOG_SD).square())
        count = float(parameters.identity.shape[1])
        if height_mm is not None:
            share = count / max(self._smooth.moved_count, 1)
            terms.append(share * (height_mm / _OFFSET_SD_MM).square().sum())
        return 0.5 * torch.stack(terms).sum()


def moved_vertices(model: MorphableModel) -> Bool[Tensor, " vertex"]:
    """Vertices that may move by themselves: the face's skin."""
    return facial_skin(model, *_NOT_MOVED)


def _prepared(model: MorphableModel, start: FittedFace, config: RasterFitConfig) -> FittedFace:
    """The start with detail to add to, if anything shall be added or kept."""
    like = model.mean_mm[None]
    detail = start.detail or Detail(
        torch.zeros_like(like), torch.zeros_like(like), torch.ones_like(like[..., 0]), torch.zeros_like(like[..., 0])
    )
    if config.offsets == "drop":
        detail = replace(detail, offsets_mm=torch.zeros_like(like))
    if config.albedo_residual != "keep":
        detail = replace(detail, albedo_linear=torch.zeros_like(like))
    return replace(start, detail=detail)
