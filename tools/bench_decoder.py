"""How many meshes a second the mesh decoder makes, alone and batched.

    python -m tools.bench_decoder [--device cuda] [--batches 1,8,32] [--checkpoint DIR]

Lin et al. (CVPR 2020; Zhou et al., "Dense 3D Face Decoding over 2500FPS", CVPR 2019) count the decoder alone: features
in, coloured mesh out. So does the first column; the second adds what ours looks up in the photograph at each vertex.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from common.paths import DEFAULT_CHECKPOINT
from model.checkpoint import load_reconstructor
from model.observation import Observation
from model.reconstructor import Reconstructor
from tools.command import run_tool
from tools.timing import median_ms

_REPEATS = 7


def bench(checkpoint: Path = DEFAULT_CHECKPOINT, device: str = "cpu", batches: Sequence[int] = (1, 8, 32)) -> None:
    """Print meshes per second.

    Args:
        checkpoint: A checkpoint with a mesh decoder.
        device: Where to compute.
        batches: Sizes of the batches.

    Raises:
        ValueError: If the checkpoint has no decoder.
    """
    reconstructor = load_reconstructor(checkpoint, device)
    print(f"{'meshes a second, ' + device:<28}{'decoder':>10}{'and lookup':>12}")
    for batch in batches:
        alone, together = meshes_per_second(reconstructor, batch, device)
        print(f"{f'batch of {batch}':<28}{alone:>10.0f}{together:>12.0f}")


@torch.inference_mode()
def meshes_per_second(reconstructor: Reconstructor, batch: int, device: str) -> tuple[float, float]:
    """Meshes per second of the decoder alone and with its lookup, the median of several runs.

    Raises:
        ValueError: If the model has no decoder.
    """
    decoder = reconstructor.detail_head
    if decoder is None:
        raise ValueError("this checkpoint has no mesh decoder: train one (docs/training.md, detail)")
    observation = Observation.fake(batch, reconstructor.image_size)
    image, camera = observation.image_srgb.to(device), observation.intrinsics_px.to(device)
    features = reconstructor.features(image)
    parameters = reconstructor.read_parameters(features, camera)
    mesh = reconstructor.linear_mesh(parameters)
    evidence = decoder.evidence(image, camera, parameters, mesh)
    alone_ms = median_ms(lambda: decoder.decode(evidence, features), _REPEATS, warm=2, device=device)
    together_ms = median_ms(lambda: decoder(image, camera, features, parameters, mesh), _REPEATS, warm=2, device=device)
    return 1000.0 * batch / alone_ms, 1000.0 * batch / together_ms


if __name__ == "__main__":
    run_tool(bench)
