"""What the raster fit searches: deviations from a start, and the head they make."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.encoder.parameter_head import to_unit_interval
from model.face.morphable_model import MorphableModel
from model.face.refinement import Refinement
from model.geometry.mesh import vertex_normals
from model.parameters import FaceParameters
from model.refine.face import FittedFace
from model.refine.landmark_points import rotation_from_vector
from model.refine.raster_config import RasterFitConfig
from model.refine.raster_offsets import LargeSteps

_RATES = {
    "identity": 0.04,
    "expression": 0.01,
    "albedo": 0.04,
    "turn_rad": 0.003,
    "shift": 0.001,
    "log_focal": 0.003,
    "height": 0.15,
    "residual": 0.01,
}
"""Step of each group at its first size: about a thirtieth of what it may have to move."""

_NOT_MOVED = ("eyes", "eye_sockets", "mouth_inner", "teeth", "tongue", "scalp", "neck", "ears")


@dataclass(frozen=True)
class Surface:
    """What each vertex has of its own beyond the start.

    Attributes:
        height_mm: Displacement along the start's normals; None where none is searched.
        residual_linear: Albedo beyond the components; None likewise.
    """

    height_mm: Float[Tensor, "vertex 1"] | None
    residual_linear: Float[Tensor, "vertex 3"] | None


class Unknowns:
    """Leaves of the graph by name, each zero at the start.

    Attributes:
        start: Where they deviate from; its refinement as the config wants it.
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
        self._smooth = LargeSteps(model, moved_vertices(model), config.offset_stiffness)
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
        if config.albedo_residual == "learn":
            shapes["residual"] = (self._smooth.moved_count, 3)
        self.values = {name: like.new_zeros(shape).requires_grad_() for name, shape in shapes.items()}
        with torch.no_grad():
            self._normals = vertex_normals(self.start.mesh(model).vertices_mm, model.faces)[0]

    def groups(self, names: tuple[str, ...]) -> list[dict[str, object]]:
        """For the optimiser."""
        return [{"params": [self.values[name]], "lr": _RATES[name]} for name in names if name in self.values]

    def surface(self) -> Surface:
        """What the vertices have of their own; made once a step, for it takes the longest."""
        names = [name for name in ("height", "residual") if name in self.values]
        if not names:
            return Surface(None, None)
        solved = self._smooth(torch.cat([self.values[name] for name in names], dim=1))
        height = solved[:, :1] if "height" in names else None
        return Surface(height, solved[:, -3:] if "residual" in names else None)

    def face(self, lighting: Float[Tensor, "1 9 3"], surface: Surface) -> FittedFace:
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
        refinement = self.start.refinement
        if refinement is not None and surface.height_mm is not None:
            offsets_mm = refinement.offsets_mm + (surface.height_mm * self._normals)[None]
            refinement = replace(refinement, offsets_mm=offsets_mm)
        if refinement is not None and surface.residual_linear is not None:
            refinement = replace(refinement, albedo_linear=refinement.albedo_linear + surface.residual_linear[None])
        intrinsics_px = self.start.intrinsics_px
        if "log_focal" in values:
            scale = values["log_focal"].exp()
            one = torch.ones_like(scale)
            intrinsics_px = intrinsics_px * torch.stack((scale, scale, one))[:, None].where(
                torch.eye(3, device=scale.device) > 0, one
            )
        return FittedFace(moved, refinement, intrinsics_px)

    def prior(self, surface: Surface) -> Float[Tensor, ""]:
        """Half the squared deviations in standard deviations; per-vertex ones count as many as the coefficients."""
        config, values, parameters = self._config, self.values, self.start.parameters
        terms = [
            (values["identity"] / config.identity_sd).square().sum(),
            (values["expression"] / config.expression_sd).square().sum(),
        ]
        albedo_sd = 1.0 if self.alone else config.albedo_sd
        terms.append((values["albedo"] / albedo_sd).square().sum())
        if "log_focal" in values:
            terms.append((values["log_focal"] / config.focal_log_sd).square())
        count = float(parameters.identity.shape[1])
        share = count / max(self._smooth.moved_count, 1)
        if surface.height_mm is not None:
            terms.append(share * (surface.height_mm / config.offset_sd_mm).square().sum())
        if surface.residual_linear is not None:
            terms.append(share * (surface.residual_linear / config.albedo_residual_sd).square().sum())
        return 0.5 * torch.stack(terms).sum()


def moved_vertices(model: MorphableModel) -> Bool[Tensor, " vertex"]:
    """Vertices that may move by themselves: the face's skin."""
    names = model.region_names
    moved = model.region("face") if "face" in names else torch.ones_like(model.mean_mm[:, 0], dtype=torch.bool)
    for name in _NOT_MOVED:
        if name in names:
            moved = moved & ~model.region(name)
    return moved


def _prepared(model: MorphableModel, start: FittedFace, config: RasterFitConfig) -> FittedFace:
    """The start with a refinement to add to, if anything shall be added or kept."""
    like = model.mean_mm[None]
    refinement = start.refinement or Refinement(
        torch.zeros_like(like), torch.zeros_like(like), torch.ones_like(like[..., 0]), torch.zeros_like(like[..., 0])
    )
    if config.offsets == "drop":
        refinement = replace(refinement, offsets_mm=torch.zeros_like(like))
    if config.albedo_residual != "keep":
        refinement = replace(refinement, albedo_linear=torch.zeros_like(like))
    return replace(start, refinement=refinement)
