"""Stage 1: the whole statistical head and its light, by rasterization, coarse to fine.

Shape, skin and pose descend (Adam, with large steps for the height of each vertex); the light, which is linear, is
solved anew every few steps, and in the end the skin that the statistics do not explain. Analysis by synthesis as in
Thies et al., "Face2Face", CVPR 2016, and the first two stages of Dib et al., "Practical Face Reconstruction via
Differentiable Ray Tracing", EUROGRAPHICS 2021.
"""

import time

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.losses.landmark_weights import landmark_visibility
from model.losses.landmarks import landmark_distance
from model.losses.photometric import residual_srgb
from model.losses.recognition import recognition_loss
from model.recognition.network import RecognitionNetwork
from model.refine.face import FaceCrop, FittedFace, StageRecord, detached
from model.refine.raster.accept import judge
from model.refine.raster.config import RasterFitConfig
from model.refine.raster.levels import Level, View, compared_vertices, draw, make_level
from model.refine.raster.light import solve_light
from model.refine.raster.occlusion import fit_weight
from model.refine.raster.unknowns import Unknowns
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb, luminance
from model.render.rasterizer import Rasterizer

_RENEWED_EVERY = 10
"""Steps between two solutions of light and occlusion."""

_TINT = 10.0
_HIDDEN_WEIGHT = 0.3
"""Weight of landmarks on the far side of the head, over that of the others."""
_COARSE = ("identity", "expression", "albedo", "turn_rad", "shift", "log_focal")
_FINE = ("height",)


def fit_raster(
    morphable_model: MorphableModel,
    crop: FaceCrop,
    start: FittedFace,
    config: RasterFitConfig,
    recognition_network: RecognitionNetwork | None = None,
) -> tuple[FittedFace, StageRecord]:
    """Fit shape, skin, pose and light to what a photograph shows.

    Args:
        morphable_model: The head.
        crop: The photograph's window.
        start: The answer so far.
        config: Weights, sizes and steps.
        recognition_network: For the recognition-feature term.

    Returns:
        The fit and what became of it; where the fit is no better the start, whose occluders are marked.

    Raises:
        ValueError: If the config wants the recognition-feature term and there is no network, or the crop is smaller
            than the smallest size.
    """
    if config.recognition_feature > 0.0 and recognition_network is None:
        raise ValueError("raster.recognition_feature has a weight, but no recognition network was given")
    if crop.size_px < config.sizes_px[0]:
        raise ValueError(
            f"the crop has {crop.size_px} px, the smallest of raster.sizes_px {config.sizes_px} is larger: "
            "cut a larger crop or name a smaller size"
        )
    began = time.perf_counter()
    fit = RasterFit(morphable_model, crop, detached(start), config, recognition_network)
    history = fit.run()
    with torch.no_grad():
        answer, verdict = judge(morphable_model, fit.rasterizer, crop, detached(start), fit.answer(), config)
    return answer, StageRecord(
        "raster", verdict.accepted, verdict.reason, time.perf_counter() - began, verdict.figures, history
    )


class RasterFit:
    """The search of one face.

    Attributes:
        rasterizer: What draws.
    """

    def __init__(
        self,
        model: MorphableModel,
        crop: FaceCrop,
        start: FittedFace,
        config: RasterFitConfig,
        recognition_network: RecognitionNetwork | None,
    ) -> None:
        """Prepare; see `fit_raster`."""
        self._model, self._crop, self._config, self._network = model, crop, config, recognition_network
        self.rasterizer: Rasterizer = build_rasterizer("auto")
        self._compared = compared_vertices(model)
        self._unknowns = Unknowns(model, start, config)
        self._lighting = start.parameters.lighting
        self._start_tone = self._tone(start)
        self._color = torch.tensor([crop.color], device=crop.image_srgb.device)
        points = crop.landmarks68_px[crop.landmarks68_weight > 0.0]
        extent = (points.amax(0) - points.amin(0)).clamp(min=1.0) if len(points) else crop.image_srgb.new_ones(2)
        self._box_px = extent.prod().sqrt()[None]
        normals = vertex_normals(model.mean_mm[None], model.faces)
        self._normals68 = torch.nn.functional.normalize(model.landmarks(normals)[0], dim=-1)

    def run(self) -> dict[str, list[float]]:
        """Descend through the sizes.

        Returns:
            Every term in every step.
        """
        sizes = [(size, steps) for size, steps in zip(self._config.sizes_px, self._config.steps, strict=True)]
        sizes = [(size, steps) for size, steps in sizes if size <= self._crop.size_px]
        history: dict[str, list[float]] = {}
        for number, (size, steps) in enumerate(sizes):
            names = _COARSE if number == 0 and len(sizes) > 1 else _COARSE + _FINE
            if not self._descend(make_level(self._crop, size), steps, names, 0.5**number, history):
                break
        return history

    def answer(self) -> FittedFace:
        """The head found so far."""
        with torch.no_grad():
            return detached(self._unknowns.face(self._lighting, self._unknowns.height_mm()))

    def _descend(
        self, level: Level, steps: int, names: tuple[str, ...], rate: float, history: dict[str, list[float]]
    ) -> bool:
        """One size; False where the objective is no number any more."""
        optimizer = torch.optim.Adam(self._unknowns.groups(names), betas=(0.8, 0.95))
        for group in optimizer.param_groups:
            group["lr"] *= rate
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        weight: Tensor | None = None
        for step in range(steps):
            height_mm = self._unknowns.height_mm()
            face = self._unknowns.face(self._lighting, height_mm)
            view = self._view(face, level)
            if weight is None or step % _RENEWED_EVERY == 0:
                weight = self._renew(view, level)
            terms = self._terms(face, height_mm, view, level, weight)
            loss = torch.stack(list(terms.values())).sum()
            if not bool(torch.isfinite(loss)):
                return False
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fall.step()
            for name, value in terms.items():
                history.setdefault(name, []).append(float(value.detach()))
        return True

    def _renew(self, view: View, level: Level) -> Float[Tensor, "1 size size"]:
        color = self._crop.color
        self._lighting = solve_light(view, level, color=color)
        return fit_weight(view, level, self._lighting, color=color)

    def _view(self, face: FittedFace, level: Level) -> View:
        mesh = face.mesh(self._model)
        return draw(
            self._model,
            self.rasterizer,
            level,
            mesh.vertices_camera_mm,
            mesh.albedo_linear,
            self._compared,
            face.intrinsics_px,
        )

    def _terms(
        self, face: FittedFace, height_mm: Tensor | None, view: View, level: Level, weight: Float[Tensor, "1 size size"]
    ) -> dict[str, Float[Tensor, ""]]:
        config = self._config
        image_linear = view.image_linear(self._lighting)
        distance = residual_srgb(image_linear, level.image_srgb, self._color)
        terms = {
            "photometric": config.photometric * (weight * distance).sum() / weight.sum().clamp(min=1.0),
            "landmarks": config.landmarks * self._landmarks(face),
            "prior": config.prior * self._unknowns.prior(height_mm),
        }
        if not self._unknowns.alone:
            change = self._tone(face) - self._start_tone
            # A tint moves between skin and light even more easily than brightness does.
            tint = change - change.mean()
            terms["tone"] = config.tone * (change.square().sum() + _TINT * tint.square().sum())
        if config.recognition_feature > 0.0:
            terms["recognition_feature"] = config.recognition_feature * self._feature(view, image_linear, level)
        return terms

    def _tone(self, face: FittedFace) -> Float[Tensor, "3"]:
        """Mean log of the face's statistical albedo, by channel."""
        skin, weight = self._model.albedo_linear(face.parameters.albedo)[0], self._compared[:, :1]
        return (skin.clamp(min=0.01).log() * weight).sum(0) / weight.sum()

    def _landmarks(self, face: FittedFace) -> Float[Tensor, ""]:
        parameters, model, crop = face.parameters, self._model, self._crop
        points_mm = model.landmarks_mm(parameters.identity, parameters.expression)
        if face.detail is not None:
            points_mm = points_mm + model.landmarks(face.detail.offsets_mm)
        points_px = project(parameters.to_camera(points_mm), face.intrinsics_px[None])[..., :2]
        seen = landmark_visibility(self._normals68, parameters.rotation, parameters.translation_mm, _HIDDEN_WEIGHT)
        weight = seen * crop.landmarks68_weight
        known = (weight.sum(1) > 0.0).to(weight)
        return landmark_distance(points_px, crop.landmarks68_px[None], self._box_px, known, weight)

    def _feature(self, view: View, image_linear: Float[Tensor, "1 size size 3"], level: Level) -> Float[Tensor, ""]:
        network = self._network
        assert network is not None
        grey = luminance(image_linear)[..., None].expand_as(image_linear)
        drawn = linear_to_srgb((image_linear if self._crop.color else grey).clamp(0.0, 1.0)).permute(0, 3, 1, 2)
        # As `model.losses.recognition.composite_srgb`: what is not the face's skin stays the photograph's.
        share = view.weight[:, None]
        picture = share * drawn + (1.0 - share) * level.image_srgb
        points_px = self._crop.landmarks68_px[None] * level.scale
        return recognition_loss(network, picture, level.image_srgb, points_px, points_px.new_ones(1))
