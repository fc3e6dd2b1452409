"""`environment.exr` and `lights.json`: the light of the photograph."""

import json
from pathlib import Path

import numpy as np
import OpenEXR
from jaxtyping import Float

from common.atomic import atomic_path
from model.look.appearance import Appearance

LIGHTS_FORMAT = "likeness-lights-1"

_LARGEST_HALF = 65504.0
_CONVENTION = (
    "Latitude-longitude, linear RGB radiance in the photograph's camera space: +x right, +y up, the camera looks along "
    "-z. Row 0 looks up (+y), the middle column along -z, columns go on towards +x."
)


def write_environment(radiance_linear: Float[np.ndarray, "rows columns 3"], path: Path) -> None:
    """Write the distant light as OpenEXR in half precision; its header says how it lies.

    Raises:
        ValueError: If a value is not finite.
    """
    if not np.isfinite(radiance_linear).all():
        raise ValueError(f"{path.name}: the environment holds values that are not finite")
    pixels = np.ascontiguousarray(radiance_linear.clip(max=_LARGEST_HALF).astype(np.float16))
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "comments": _CONVENTION}
    with atomic_path(path) as temporary:
        OpenEXR.File(header, {"RGB": pixels}).write(str(temporary))


def write_lights(appearance: Appearance, path: Path) -> None:
    """Write the lamps as data, with units; the distant light is named, it lies in its own file."""
    content = {
        "format": LIGHTS_FORMAT,
        "space": "camera of the photograph: +x right, +y up, the camera looks along -z",
        "units": {"position_mm": "mm", "radius_mm": "mm", "radiance_linear": "linear RGB; the photograph's white is 1"},
        "environment": "environment.exr",
        "lamps": [
            {
                "position_mm": [round(float(value), 3) for value in lamp.position_mm],
                "radius_mm": round(float(lamp.radius_mm), 3),
                "radiance_linear": [float(value) for value in lamp.radiance_linear],
            }
            for lamp in appearance.lamps
        ],
        "tone_sd": float(appearance.tone_sd),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
