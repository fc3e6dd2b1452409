"""Putting a run's refinement together: settings, landmarks, stages."""

import sys
from collections.abc import Callable
from importlib.util import find_spec

import torch

from inference.landmark_sources import Finder, build_landmark_source
from inference.options import CommandLineError
from inference.refine import PathTracer, Refiner
from inference.refine_options import PictureConfig, RefineOptions, read_refine_options
from inference.refine_request import PathTrace, RefineRequest
from inference.transport_cache import TransportCache
from model.face.morphable_model import MorphableModel
from model.pictures.path_traced import draw_path_traced
from model.recognition import build_recognition_network
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.landmarks.fit import fit_landmarks
from model.refine.mitsuba.variant import why_unavailable
from model.refine.raster.fit import fit_raster
from model.refine.refined import Raytraced, Stage, StageAnswer


def load_options(request: RefineRequest) -> RefineOptions:
    """The settings of a refinement.

    Raises:
        CommandLineError: If the file cannot be used.
    """
    try:
        return read_refine_options(request.config)
    except (OSError, ValueError) as error:
        raise CommandLineError(f"--refine-config: {error}") from error


def build_refiner(
    request: RefineRequest,
    options: RefineOptions,
    morphable_model: MorphableModel,
    device: torch.device,
    tell: Callable[[str], None],
    *,
    pictures: bool,
    cache: TransportCache,
) -> Refiner:
    """The refiner of a run.

    Args:
        request: The command line.
        options: The settings that it names.
        morphable_model: The head, on `device`.
        device: Where the stages run.
        tell: Called with what is being done.
        pictures: Whether pictures are wanted.
        cache: Where traced light transport is kept.

    Raises:
        CommandLineError: If a landmark source or a stage cannot be used.
    """
    path_tracer = None
    if pictures and request.level == "raytrace":
        path_tracer = choose_path_tracer(request.path_trace, options.pictures, morphable_model)
    return Refiner(
        morphable_model,
        build_stages(request, options, morphable_model, cache),
        landmark_finder(request),
        size_px=options.window_px,
        device=device,
        from_network=request.network,
        path_tracer=path_tracer,
        tell=tell,
    )


def choose_path_tracer(asked: PathTrace, config: PictureConfig, morphable_model: MorphableModel) -> PathTracer | None:
    """What draws the pictures, None if nothing shall; says in one line why `auto` draws none.

    Raises:
        CommandLineError: If they are insisted on and cannot be drawn.
    """
    if asked == "no":
        return None
    reason = why_unavailable()
    if reason is None:
        size_px, samples = config.path_traced_px, config.path_traced_samples
        return lambda refined: draw_path_traced(refined, morphable_model, size_px, samples)
    if asked == "yes":
        raise CommandLineError(f"--path-trace yes: {reason}")
    print(f"no path-traced pictures: {reason}", file=sys.stderr)
    return None


def build_stages(
    request: RefineRequest, options: RefineOptions, morphable_model: MorphableModel, cache: TransportCache
) -> dict[str, Stage]:
    """The stages up to the one asked for, by name.

    Raises:
        CommandLineError: If one cannot be used.
    """
    network = None
    if request.level != "landmarks" and options.raster.recognition_feature > 0.0:
        try:
            network = build_recognition_network(options.recognition_network)
        except (OSError, ValueError, RuntimeError) as error:
            raise CommandLineError(f"{request.config}: recognition_network: {error}") from error

    def landmarks(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        fitted, record = fit_landmarks(morphable_model, crop, start, options.landmarks)
        return StageAnswer(fitted), record

    def raster(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        fitted, record = fit_raster(morphable_model, crop, _given(start), options.raster, network)
        return StageAnswer(fitted), record

    stages: dict[str, Stage] = {"landmarks": landmarks}
    if request.level in ("raster", "raytrace"):
        stages["raster"] = raster
    if request.level == "raytrace":
        stages["raytrace"] = _raytrace(options, morphable_model, cache)
    return stages


def _raytrace(options: RefineOptions, morphable_model: MorphableModel, cache: TransportCache) -> Stage:
    if find_spec("embreex") is None:
        raise CommandLineError("--refine raytrace needs the package embreex: pip install embreex")
    from model.refine.raytrace.stage import fit_raytrace

    def raytrace(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        face, record = fit_raytrace(morphable_model, crop, _given(start), options.raytrace, cache.folder)
        cache.prune()
        if face.appearance is None:
            return StageAnswer(face.fitted), record
        found = Raytraced(face.appearance, face.rendered_linear, face.mask, face.albedo_linear)
        return StageAnswer(face.fitted, found), record

    return raytrace


def landmark_finder(request: RefineRequest) -> Finder | None:
    """What finds the landmarks of a face; None where they are the network's.

    Raises:
        CommandLineError: If it cannot be used.
    """
    try:
        return build_landmark_source(request.landmarks)
    except (OSError, ValueError) as error:
        raise CommandLineError(" ".join(str(error).split())) from error


def _given(start: FittedFace | None) -> FittedFace:
    if start is None:
        raise ValueError("only the landmark fit can start from the mean head")
    return start
