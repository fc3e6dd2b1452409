"""What photographs have in common is taken out of the first answer, in part or whole, and nothing else changes."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import load_reconstructor
from tests.small_checkpoint import toy_checkpoint
from tests.small_world import crop_camera
from tools import center_identity
from tools.center_identity import identity_bias, main


def crops(size: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    camera = crop_camera(4, size)
    return [
        {"image_srgb": torch.rand(4, 3, size, size, generator=generator), "intrinsics_px": camera} for _ in range(3)
    ]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = toy_checkpoint(tmp_path)
    size = load_reconstructor(folder).image_size
    monkeypatch.setattr(center_identity, "build_loader", lambda config: iter(crops(size)))
    return folder


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_bias_goes_by_its_share(checkpoint: Path, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    before = load_reconstructor(checkpoint)
    with torch.no_grad():
        before.parameter_head.identity.bias.add_(0.5)
    stored = load_file(checkpoint / "weights.safetensors")
    kind = stored["parameter_head.identity.bias"].dtype
    biased = {**stored, "parameter_head.identity.bias": before.parameter_head.identity.bias.detach().to(kind)}
    save_file(biased, checkpoint / "weights.safetensors", {"format": "likeness-checkpoint-1"})
    was = identity_bias(crops(before.image_size), load_reconstructor(checkpoint))
    main(["--checkpoint", str(checkpoint), "--shards", "shards", "--share", str(share)])
    after = load_reconstructor(checkpoint)
    bias = identity_bias(itertools.chain(crops(before.image_size)), after)
    torch.testing.assert_close(bias, (1.0 - share) * was, atol=2e-3, rtol=0)
    changed = {
        name
        for name, value in load_file(checkpoint / "weights.safetensors").items()
        if not torch.equal(value, biased[name])
    }
    assert changed == {"parameter_head.identity.bias"}
    assert json.loads((checkpoint / "config.json").read_text())["provenance"]["identity_bias_taken_out"] == share
    assert "before" in capsys.readouterr().out


def test_no_photographs_and_no_share_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="no photographs"):
        identity_bias([], load_reconstructor(checkpoint))
    with pytest.raises(SystemExit):
        main(["--checkpoint", str(checkpoint), "--shards", "shards", "--share", "2"])
