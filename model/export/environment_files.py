"""Reading environments: Radiance's `.hdr` and OpenEXR's `.exr`, latitude-longitude."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32


class EnvironmentFileError(ValueError):
    """A file that is no environment; the message names it, says what is wrong and what to do."""


def read_environment(path: Path) -> Float32[np.ndarray, "rows columns 3"]:
    """Read an environment: row 0 looks up, the middle column looks along -z, columns to its right turn towards +x.

    Raises:
        EnvironmentFileError: If it cannot be read, or is no picture of all directions.
    """
    try:
        picture = _exr(path) if path.suffix.lower() == ".exr" else _hdr(path)
    except Exception as error:  # OpenEXR's errors have no common class but this.
        raise EnvironmentFileError(
            f"{path}: cannot be read as .hdr or .exr ({' '.join(str(error).split())})"
        ) from error
    rows, columns = picture.shape[:2]
    if not np.isfinite(picture).all():
        raise EnvironmentFileError(f"{path}: holds values that are not finite; repair it in a picture editor")
    if abs(columns / rows - 2.0) > 0.1:
        raise EnvironmentFileError(
            f"{path}: {columns} x {rows} px; an environment of all directions is twice as wide as high"
        )
    # Half a degree is finer than any light of it is used.
    scale = max(1, columns // 720)
    size = (max(2, columns // scale), max(1, rows // scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale > 1 else picture


def _hdr(path: Path) -> Float32[np.ndarray, "rows columns 3"]:
    # Not by its name: OpenCV takes no paths that are not text.
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if len(encoded) else None
    if picture is None or picture.dtype != np.float32:
        raise ValueError("no Radiance picture")
    return np.ascontiguousarray(picture[..., ::-1])


def _exr(path: Path) -> Float32[np.ndarray, "rows columns 3"]:
    import OpenEXR

    if not path.is_file():
        raise FileNotFoundError("no such file")
    channels = OpenEXR.File(str(path)).channels()
    if "RGB" in channels:
        return np.ascontiguousarray(channels["RGB"].pixels[..., :3].astype(np.float32))
    if "RGBA" in channels:
        return np.ascontiguousarray(channels["RGBA"].pixels[..., :3].astype(np.float32))
    return np.stack([channels[name].pixels.astype(np.float32) for name in "RGB"], axis=-1)
