"""Ask a face-recognition network about the photographs of shards, once, so that training need not.

    python -m tools.embed_photographs --shards shards --weights dlib_resnet_v1.npz [--network dlib] [--device auto]

Each labelled sample gets a member `recognition.npy` (`data/shards.py`), which the losses `recognition_teacher` and
`recognition` use. Each tar is replaced at once when its samples are done, so it can be interrupted and started again:
what has an embedding keeps it, unless `--force true` is given.
"""

import logging
from pathlib import Path

import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from data.shards import (
    RECOGNITION_MEMBER,
    ShardSample,
    decode_sample,
    encode_embedding,
    list_shards,
    read_shard,
    write_shard,
)
from inference.options import CommandLineError, Device
from inference.setup import choose_device
from model.recognition import NetworkKind, RecognitionConfig, RecognitionNetwork, align_faces, build_recognition_network
from tools.command import run_tool

_LOG = logging.getLogger(__name__)


@torch.inference_mode()
def embed(
    network: RecognitionNetwork, samples: list[ShardSample], device: torch.device
) -> Float32[ndarray, "face feature"]:
    """What the network says of samples, which must have landmarks."""
    return network.embed(torch.cat([_aligned(network, sample, device) for sample in samples])).cpu().numpy()


def _aligned(network: RecognitionNetwork, sample: ShardSample, device: torch.device) -> Float[Tensor, "1 3 side side"]:
    if sample.landmarks68_px is None:
        raise ValueError(f"{sample.name}: has no landmarks to align it by")
    patch = torch.from_numpy(sample.patch_srgb).to(device).permute(2, 0, 1)[None].float() / 255.0
    points_px = torch.from_numpy(sample.landmarks68_px[None, :, :2]).to(device)
    return align_faces(patch, points_px, network.template_px, network.face_size_px)


def embed_shard(
    path: Path, network: RecognitionNetwork, device: torch.device, *, batch_size: int = 32, force: bool = False
) -> int:
    """Give the samples of a shard their embeddings, in place.

    Args:
        path: The shard.
        network: What embeds, on the device.
        device: Where to compute.
        batch_size: Faces at a time.
        force: Those that have one too.

    Returns:
        How many it embedded. Samples without landmarks, and broken ones, which the loader skips, stay as they are.

    Raises:
        ValueError: If the shard is broken, or holds another network's embeddings that were not to be replaced.
    """
    content = read_shard(path)
    waiting: list[tuple[str, ShardSample]] = []
    for key, members in content.items():
        if force:
            members.pop(RECOGNITION_MEMBER, None)
        try:
            sample = decode_sample({"__key__": key, **members})
        except ValueError as error:
            _LOG.warning("%s: left as it is: %s", path, error)
            continue
        length = network.feature_count if sample.recognition_embedding is None else len(sample.recognition_embedding)
        if length != network.feature_count:
            raise ValueError(
                f"{path}: holds embeddings of {length} numbers, this network's have {network.feature_count}; "
                "replace them all with --force true"
            )
        if sample.recognition_embedding is None and sample.landmarks68_px is not None:
            waiting.append((key, sample))
    for start in range(0, len(waiting), batch_size):
        some = waiting[start : start + batch_size]
        vectors = embed(network, [sample for _, sample in some], device)
        for (key, _), vector in zip(some, vectors, strict=True):
            content[key][RECOGNITION_MEMBER] = encode_embedding(vector)
    if waiting:
        write_shard(path, list(content.items()))
    return len(waiting)


def embed_photographs(
    shards: Path,
    weights: Path | None = None,
    network: NetworkKind = "dlib",
    batch_size: int = 32,
    device: Device = "auto",
    force: bool = False,
) -> None:
    """Embed the faces of shards.

    Args:
        shards: What `data.prepare` wrote: the folder of train/ and val/, or one of them.
        weights: The network's weights; FaceNet downloads its own if none are named.
        network: Which network; all shards of a training need the same. FaceNet's and MobileFaceNet's embeddings are
            equally long, so from the one to the other nothing warns: use `force`.
        batch_size: Faces at a time.
        device: Where to compute.
        force: Replace embeddings that are there, as after a change of the network.
    """
    if batch_size < 1:
        raise ValueError(f"--batch_size {batch_size}: expected at least 1")
    folders = [shards / name for name in ("train", "val") if (shards / name).is_dir()]
    paths = [path for folder in folders or [shards] for path in list_shards(folder)]
    chosen = choose_device(device)
    asked = build_recognition_network(RecognitionConfig(network, weights)).to(chosen)
    count = sum(
        embed_shard(path, asked, chosen, batch_size=batch_size, force=force)
        for path in track(paths, "shards", console=Console(stderr=True))
    )
    print(f"embedded {count} faces in {len(paths)} shards")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and embed."""
    run_tool(embed_photographs, arguments, (RuntimeError, CommandLineError))


if __name__ == "__main__":
    main()
