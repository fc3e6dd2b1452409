"""Transport tables on disk, so that unchanged inputs are not traced twice."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from common.tensors import read_tensors, save_tensors
from model.refine.raytrace.light_basis import LightBasis, fibonacci_directions
from model.refine.raytrace.light_stage import LightStage
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.transport import TransportConfig
from model.refine.raytrace.transport_tables import TransportTables

TABLES_FORMAT = "likeness-transport-1"


def trace_key(
    surface: PixelSurface,
    light: LightBasis | LightStage,
    config: TransportConfig,
    bounce_albedo: Float[Tensor, "vertex 3"] | None = None,
) -> str:
    """A name for what `build_tables` would answer: other geometry, camera, mask, light or care, another name."""
    digest = hashlib.sha256(repr((TABLES_FORMAT, light.count, surface.size_px, astuple(config))).encode())
    lights = light.disc_points() if isinstance(light, LightStage) else light.radiance(fibonacci_directions(97))
    geometry, points = surface.geometry, surface.points
    for tensor in (
        geometry.vertices_mm,
        geometry.faces,
        points.position_mm,
        points.normal,
        surface.view,
        surface.pixel_index,
        lights,
        torch.empty(0) if bounce_albedo is None else bounce_albedo,
    ):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def cached_tables(folder: Path, key: str, build: Callable[[], TransportTables], half: bool = True) -> TransportTables:
    """The tables of a key: read if they are there, else built and written.

    Args:
        folder: Where tables are kept; made if missing.
        key: From `trace_key`.
        build: Traces them. Called too, with a warning, when the file is damaged.
        half: Write half precision, which changes a picture by less than one of 255 levels.
    """
    path = folder / f"{key}.safetensors"
    if path.is_file():
        try:
            return load_tables(path)
        except ValueError as error:
            warnings.warn(f"{error}; traced again", stacklevel=2)
    tables = build()
    folder.mkdir(parents=True, exist_ok=True)
    save_tables(tables, path, half)
    # As they will be read: the same photograph has the same answer the second time.
    return load_tables(path)


def save_tables(tables: TransportTables, path: Path, half: bool = True) -> None:
    """Write tables, atomically.

    Args:
        tables: The tables.
        path: A `.safetensors` file in a folder that exists.
        half: Half instead of single precision.
    """
    kept = {name: tensor for name, tensor in vars(tables).items() if tensor is not None}
    stored = torch.float16 if half else torch.float32
    arrays = {
        name: tensor.detach().cpu().to(torch.float32 if name == "roughness_levels" else stored).contiguous()
        for name, tensor in kept.items()
    }
    save_tensors(arrays, path, {"format": TABLES_FORMAT})


def load_tables(path: Path) -> TransportTables:
    """Read tables as float32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else; the message names the file.
    """
    stored, _ = read_tensors(
        path,
        TABLES_FORMAT,
        needed=("diffuse", "specular", "grazing", "roughness_levels"),
        missing="no such file of transport tables",
        remedy="damaged transport tables: delete the file",
    )
    tensors = {name: tensor.float() for name, tensor in stored.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} holds values that are not finite; delete the file")
    return TransportTables(**{"bounce": None, **tensors})
