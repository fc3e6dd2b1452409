from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.face.assets import HeadAssets, save_head
from tests.small_checkpoint import toy_checkpoint
from tests.small_world import toy_head
from tools.carry_over import carried_albedo, main

MIX = np.array([[1.0, 0.4, 0.0, 0.1], [-0.3, 1.2, 0.2, 0.0], [0.0, 0.3, 0.8, -0.4], [0.2, 0.0, 0.5, 1.1]], np.float32)


def recalibrated(head: HeadAssets) -> HeadAssets:
    """The same albedos by other names: components mixed, the mean moved along them."""
    basis = np.einsum("nk,kvx->nvx", MIX, head.albedo_basis).astype(np.float32)
    return replace(head, albedo_basis=basis, albedo_mean=head.albedo_mean + 0.3 * basis[1] - 0.2 * basis[2])


def layer(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 16, generator=generator), torch.randn(4, generator=generator)


def albedo(head: HeadAssets, weight: torch.Tensor, bias: torch.Tensor, features: torch.Tensor) -> np.ndarray:
    """What a layer answers, on the face."""
    coefficients = (features @ weight.T + bias).numpy()
    every = head.albedo_mean + np.einsum("nk,kvx->nvx", coefficients, head.albedo_basis)
    return every[:, head.regions["face"]]


def test_the_albedo_on_the_face_stays_what_it_was() -> None:
    old, new = toy_head(), recalibrated(toy_head())
    weight, bias = layer()
    features = torch.randn(20, 16, generator=torch.Generator().manual_seed(1))
    before = albedo(old, weight, bias, features)
    after = albedo(new, *carried_albedo(weight, bias, old, new), features)
    spread = float(np.abs(before - before.mean(0)).mean())
    # All but the ridge, which takes a little.
    assert np.abs(after - before).mean() < 0.03 * spread
    unchanged = albedo(new, weight, bias, features)
    assert np.abs(unchanged - before).mean() > 0.2 * spread


def test_a_head_with_fewer_components_takes_what_it_can_say() -> None:
    old = toy_head()
    new = replace(old, albedo_basis=old.albedo_basis[:2])
    weight, bias = carried_albedo(*layer(), old, new)
    assert weight.shape == (2, 16)
    assert bias.shape == (2,)
    features = torch.randn(20, 16, generator=torch.Generator().manual_seed(1))
    before, after = albedo(old, *layer(), features), albedo(new, weight, bias, features)
    # Nearer than what the old layer's first rows would say.
    cut = albedo(new, layer()[0][:2], layer()[1][:2], features)
    assert np.square(after - before).sum() < np.square(cut - before).sum()


def test_another_topology_is_refused() -> None:
    old = toy_head()
    half = len(old.vertices_mm) - 20
    new = replace(
        old,
        vertices_mm=old.vertices_mm[:half],
        faces=old.faces[(old.faces < half).all(1)],
        uv_faces=old.uv_faces[(old.faces < half).all(1)],
        identity_basis=old.identity_basis[:, :half],
        expression_basis=old.expression_basis[:, :half],
        albedo_mean=old.albedo_mean[:half],
        albedo_basis=old.albedo_basis[:, :half],
        mirror=np.arange(half, dtype=np.int32),
        landmarks={},
        regions={name: mask[:half] for name, mask in old.regions.items()},
    )
    with pytest.raises(ValueError, match=f"heads of {len(old.vertices_mm)} and {half} vertices"):
        carried_albedo(*layer(), old, new)


def test_the_weights_written_differ_in_that_layer_only(tmp_path: Path) -> None:
    checkpoint = toy_checkpoint(tmp_path)
    save_head(recalibrated(toy_head()), tmp_path / "new.safetensors")
    options = ["--checkpoint", str(checkpoint), "--old_head", str(tmp_path / "head.safetensors")]
    main([*options, "--head", str(tmp_path / "new.safetensors"), "--output", str(tmp_path / "carried")])
    before = load_file(checkpoint / "weights.safetensors")
    after = load_file(tmp_path / "carried" / "weights.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name].float(), after[name])}
    # An untrained layer's weights are zero; its bias makes up for the moved mean.
    assert changed == {"parameter_head.albedo.bias"}
    expected = [0.0, -0.3, 0.2, 0.0]
    np.testing.assert_allclose(after["parameter_head.albedo.bias"].numpy(), expected, atol=0.02)


def test_what_cannot_be_carried_is_one_line(tmp_path: Path) -> None:
    checkpoint = toy_checkpoint(tmp_path)
    options = ["--old_head", str(tmp_path / "head.safetensors"), "--output", str(tmp_path / "carried")]
    with pytest.raises(SystemExit, match=r"tools\.carry_over: .*none\.safetensors"):
        main(["--checkpoint", str(checkpoint), "--head", str(tmp_path / "none.safetensors"), *options])
    with pytest.raises(SystemExit, match=r"tools\.carry_over: .*none"):
        main(["--checkpoint", str(tmp_path / "none"), "--head", str(tmp_path / "head.safetensors"), *options])
    assert not (tmp_path / "carried").exists()
