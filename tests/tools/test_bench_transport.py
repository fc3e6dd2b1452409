from pathlib import Path

import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.face.assets import save_head
from tests.small_world import toy_head
from tools import bench_transport


@pytest.mark.slow
def test_it_prints_times_and_errors_that_shrink_with_the_rays(tmp_path: Path, capsys, monkeypatch):
    save_head(toy_head(), tmp_path / "head.safetensors")
    for name in ("MANY_DIRECTIONS", "MANY_GLOSSY", "MANY_BOUNCE"):
        monkeypatch.setattr(bench_transport, name, 1024)
    bench_transport.bench(tmp_path / "head.safetensors", sizes=(24,))
    printed = capsys.readouterr().out
    assert "24 px" in printed
    assert "all tables, 9 bands, with bounce" in printed
    line = next(line for line in printed.splitlines() if line.startswith("  5 bands"))
    errors = [float(part.split(":")[-1]) for part in line.split(";")[0].split(",")]
    assert errors[0] + 6.0 < errors[3]


def test_random_lights_are_of_mean_radiance_one():
    for basis in bench_transport._bases().values():
        light = bench_transport.random_light(basis)
        directions = torch.nn.functional.normalize(torch.randn(20000, 3, generator=torch.manual_seed(1)), dim=-1)
        mean = (basis.radiance(directions) @ light).mean(0)
        torch.testing.assert_close(mean, torch.ones_like(mean), atol=0.06, rtol=0)
