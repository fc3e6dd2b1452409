"""`RefineOptions`: the settings of every stage, as a YAML file holds them."""

import contextlib
import io
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from common.old_names import REFINE_SETTINGS, current_keys
from common.ranges import AT_LEAST_ONE, Range, checked
from model.recognition import RecognitionConfig
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.raster.fit import RasterFitConfig
from model.refine.raytrace.config import RaytraceConfig


@dataclass(frozen=True)
@checked("pictures.", {AT_LEAST_ONE: ("relit_px", "path_traced_px", "path_traced_samples")})
class PictureConfig:
    """The pictures that show what a refinement did.

    Attributes:
        relit_px: Side of each picture of the relit strip.
        path_traced_px: Side of each picture that Mitsuba draws.
        path_traced_samples: Paths per pixel of these.
    """

    relit_px: int = 160
    path_traced_px: int = 256
    path_traced_samples: int = 192


@dataclass(frozen=True)
@checked(ranges={Range(32, 2048): ("window_px",)})
class RefineOptions:
    """Settings of a refinement.

    Attributes:
        window_px: Side of the window of the photograph that a face is fitted in; time and memory grow with its square.
        cache_gb: Most disk space for traced light transport, which an unchanged face is not traced for again; 0 for
            none.
        landmarks: Stage 0, the landmark fit.
        raster: Stage 1, the statistical fit by rasterization.
        recognition_network: What `raster.recognition_feature` asks whose face it is, where that has a weight.
        raytrace: Stages 2 and 3, light and skin.
        pictures: What is drawn in the end.
    """

    window_px: int = 256
    cache_gb: float = 2.0
    landmarks: LandmarkFitConfig = field(default_factory=LandmarkFitConfig)
    raster: RasterFitConfig = field(default_factory=RasterFitConfig)
    recognition_network: RecognitionConfig = field(default_factory=RecognitionConfig)
    raytrace: RaytraceConfig = field(default_factory=RaytraceConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)

    def with_known_camera(self) -> "RefineOptions":
        """The settings for photographs whose camera the user knows: no stage looks for another focal length."""
        landmarks, raster = replace(self.landmarks, focal="fixed"), replace(self.raster, focal="fixed")
        return replace(self, landmarks=landmarks, raster=raster)


def read_refine_options(path: Path) -> RefineOptions:
    """Read a refinement's settings, strictly: what the file leaves out has its default.

    Raises:
        ValueError: Naming the file, if it is no YAML mapping, or holds an unknown setting or an impossible value.
        OSError: If it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected settings as `name: value`, not {type(content).__name__}")
    content = current_keys(content, REFINE_SETTINGS, str(path))
    _refuse_unknown(content, RefineOptions, path, "")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RefineOptions, None)
    try:
        # It also prints how an option is to be used, which a file has no use for.
        with contextlib.redirect_stderr(io.StringIO()):
            return RefineOptions(**vars(parser.instantiate(parser.parse_object(content))))
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


_REMOVED = {"shape": "--refine-shape, an experiment that was removed since it helped little (docs/log.md)"}
"""Settings that files may still have, and what they belonged to."""


def _refuse_unknown(content: dict[str, Any], kind: type, path: Path, prefix: str) -> None:
    """By name, at every depth: the parser lets some pass, such as an unknown name with nothing in it."""
    known = get_type_hints(kind)
    for name, value in content.items():
        if prefix + name in _REMOVED:
            raise ValueError(f"{path}: {prefix}{name} was a setting of {_REMOVED[prefix + name]}; delete it")
        if name not in known:
            raise ValueError(f"{path}: unknown setting {prefix}{name}; known are {', '.join(known)}")
        if is_dataclass(known[name]):
            if not isinstance(value, dict):
                raise ValueError(f"{path}: {prefix}{name} holds settings of its own, not {value!r}")
            _refuse_unknown(value, known[name], path, f"{prefix}{name}.")
