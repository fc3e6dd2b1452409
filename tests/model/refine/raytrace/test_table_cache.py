from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace.light_basis import GaussianLight, HarmonicLight
from model.refine.raytrace.light_stage import LightStage
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.table_cache import cached_tables, load_tables, save_tables, trace_key
from model.refine.raytrace.transport import TransportConfig
from model.refine.raytrace.transport_tables import TransportTables
from tests.model.refine.raytrace.ray_scenes import ball_surface


def some_tables(bounce: bool = True) -> TransportTables:
    generator = torch.manual_seed(0)
    return TransportTables(
        torch.rand(6, 4, generator=generator),
        torch.rand(6, 4, 3, generator=generator) if bounce else None,
        torch.rand(6, 2, 4, generator=generator),
        torch.rand(6, 2, 4, generator=generator),
        torch.tensor([0.2, 0.45]),
    )


@pytest.mark.parametrize("bounce", [True, False])
@pytest.mark.parametrize("half", [True, False])
def test_tables_come_back_as_they_were_written(tmp_path: Path, half: bool, bounce: bool):
    tables = some_tables(bounce)
    save_tables(tables, tmp_path / "tables.safetensors", half=half)
    read = load_tables(tmp_path / "tables.safetensors")
    assert (read.bounce is None) != bounce
    for name, tensor in vars(tables).items():
        if tensor is not None:
            back = getattr(read, name)
            assert back.dtype == torch.float32
            torch.testing.assert_close(back, tensor, atol=5e-4 if half else 0.0, rtol=0)
    assert torch.equal(read.roughness_levels, tables.roughness_levels)
    assert [path.name for path in tmp_path.iterdir()] == ["tables.safetensors"]


def test_unchanged_inputs_are_traced_once(tmp_path: Path):
    calls = []

    def build() -> TransportTables:
        calls.append(1)
        return some_tables()

    first = cached_tables(tmp_path / "cache", "key", build, half=False)
    second = cached_tables(tmp_path / "cache", "key", build, half=False)
    assert len(calls) == 1
    assert torch.equal(first.diffuse, second.diffuse)
    # In half precision too the first answer is already what later ones will be.
    other = cached_tables(tmp_path / "cache", "other", build)
    assert len(calls) == 2
    assert torch.equal(other.diffuse, cached_tables(tmp_path / "cache", "other", build).diffuse)


def test_damaged_tables_are_named_and_traced_again(tmp_path: Path):
    path = tmp_path / "key.safetensors"
    save_tables(some_tables(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"key\.safetensors: not a safetensors file .* delete the file"):
        load_tables(path)
    with pytest.warns(UserWarning, match="key.safetensors"):
        again = cached_tables(tmp_path, "key", some_tables)
    assert torch.equal(again.diffuse, load_tables(path).diffuse)
    assert path.read_bytes() == whole


def test_other_files_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(FileNotFoundError, match="other.safetensors"):
        load_tables(path)
    save_file({"diffuse": torch.zeros(2, 2)}, path)
    with pytest.raises(ValueError, match="other.safetensors.*format"):
        load_tables(path)
    save_file({"diffuse": torch.zeros(2, 2)}, path, metadata={"format": "likeness-transport-1"})
    with pytest.raises(ValueError, match="other.safetensors.*grazing"):
        load_tables(path)
    tables = some_tables()
    tables.specular[0, 0, 0] = torch.nan
    save_tables(tables, path)
    with pytest.raises(ValueError, match="other.safetensors.*specular.*finite"):
        load_tables(path)


def test_the_key_names_everything_that_the_tables_depend_on():
    surface, config = ball_surface(12), TransportConfig()
    middle = surface.geometry.middle_mm
    albedo = torch.full((len(surface.geometry.vertices_mm), 3), 0.5)

    def moved(surface: PixelSurface) -> PixelSurface:
        vertices = surface.geometry.vertices_mm.clone()
        vertices[7, 1] += 0.01
        return replace(surface, geometry=replace(surface.geometry, vertices_mm=vertices))

    keys = [
        trace_key(surface, HarmonicLight(5), config),
        trace_key(surface, HarmonicLight(4), config),
        trace_key(surface, GaussianLight(25), config),
        trace_key(surface, LightStage(middle), config),
        trace_key(surface, LightStage(middle, radius_mm=100.0), config),
        trace_key(surface, HarmonicLight(5), replace(config, directions=256)),
        trace_key(surface, HarmonicLight(5), replace(config, visibility=False)),
        trace_key(surface, HarmonicLight(5), config, albedo),
        trace_key(surface, HarmonicLight(5), config, 0.9 * albedo),
        trace_key(moved(surface), HarmonicLight(5), config),
        trace_key(surface.kept(torch.arange(len(surface)) > 0), HarmonicLight(5), config),
        trace_key(ball_surface(14), HarmonicLight(5), config),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == trace_key(ball_surface(12), HarmonicLight(5), TransportConfig())
