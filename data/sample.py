"""`FaceSample`: the wire format between the data and whoever uses it.

One sample is a square crop of a photograph with its labels. `data.loader` makes samples (NumPy) and batches (torch,
with a leading batch axis); nothing else leaves this package for training. Conventions (pixels, z, colour):
`docs/conventions.md`.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from common.paths import tool_command
from data.blendshapes import BLENDSHAPES

LANDMARKS68 = 68
LANDMARKS478 = 478
RECOGNITION_EMBEDDING = 128
"""Length of an absent `recognition_embedding`: that of the network whose embeddings are usually there."""


class FaceSample(TypedDict):
    """A crop of S x S px and what is known of it.

    Attributes:
        image_srgb: (3, S, S) float32, sRGB in [0, 1].
        color: Whether the photograph has colour; where it has none, only luminance may be compared.
        intrinsics_px: (3, 3) float32, camera of the crop.
        landmarks68_px: (68, 3) float32, iBUG's points in crop px: x right, y down, z towards the viewer in px of the
            same scale with zero mean. Points may lie outside the crop. Zeros where the weight is 0.
        landmarks68_weight: How far the points can be trusted, in [0, 1]; 0 where there are none.
        landmarks478_px: (478, 2) float32, MediaPipe's points in crop px. Zeros where the weight is 0.
        landmarks478_weight: In [0, 1]; 0 where there are none, or they are doubtful.
        skin_mask: (S, S) float32 in [0, 1]: where the skin of the face can be expected; 0 where the crop reaches over
            the photograph's border, and on patches that augmentation put over it.
        person: Number of the person, -1 where unknown.
        recognition_embedding: (E,) float32, what a face-recognition network says of the photograph
            (`tools.embed_photographs`): E is 128 for dlib's, 512 for the others'; `RECOGNITION_EMBEDDING` zeros if
            absent.
        recognition_embedding_weight: 1 where there is an embedding, else 0.
        blendshapes: (52,) float32 in [0, 1], of `data.blendshapes.BLENDSHAPE_NAMES`; zeros where the weight is 0.
        blendshapes_weight: How far they can be trusted, in [0, 1]; 0 where there are none.
        name: Name of the photograph within its source, for messages.
        source: Collection it comes from.
    """

    image_srgb: Float32[np.ndarray, "3 size size"]
    color: bool
    intrinsics_px: Float32[np.ndarray, "3 3"]
    landmarks68_px: Float32[np.ndarray, "68 3"]
    landmarks68_weight: float
    landmarks478_px: Float32[np.ndarray, "478 2"]
    landmarks478_weight: float
    skin_mask: Float32[np.ndarray, "size size"]
    person: int
    recognition_embedding: Float32[np.ndarray, " embedding"]
    recognition_embedding_weight: float
    blendshapes: Float32[np.ndarray, "52"]
    blendshapes_weight: float
    name: str
    source: str


class FaceBatch(TypedDict):
    """Samples stacked along a leading batch axis: arrays and numbers become tensors, texts a list."""

    image_srgb: Float[torch.Tensor, "batch 3 size size"]
    color: Bool[torch.Tensor, " batch"]
    intrinsics_px: Float[torch.Tensor, "batch 3 3"]
    landmarks68_px: Float[torch.Tensor, "batch 68 3"]
    landmarks68_weight: Float[torch.Tensor, " batch"]
    landmarks478_px: Float[torch.Tensor, "batch 478 2"]
    landmarks478_weight: Float[torch.Tensor, " batch"]
    skin_mask: Float[torch.Tensor, "batch size size"]
    person: Int[torch.Tensor, " batch"]
    recognition_embedding: Float[torch.Tensor, "batch embedding"]
    recognition_embedding_weight: Float[torch.Tensor, " batch"]
    blendshapes: Float[torch.Tensor, "batch 52"]
    blendshapes_weight: Float[torch.Tensor, " batch"]
    name: list[str]
    source: list[str]


_ARRAYS: dict[str, tuple[int | str, ...]] = {
    "image_srgb": (3, "S", "S"),
    "intrinsics_px": (3, 3),
    "landmarks68_px": (LANDMARKS68, 3),
    "landmarks478_px": (LANDMARKS478, 2),
    "skin_mask": ("S", "S"),
    "recognition_embedding": ("E",),
    "blendshapes": (BLENDSHAPES,),
}
_SCALARS: dict[str, type] = {
    "color": bool,
    "landmarks68_weight": float,
    "landmarks478_weight": float,
    "person": int,
    "recognition_embedding_weight": float,
    "blendshapes_weight": float,
    "name": str,
    "source": str,
}
_UNIT_RANGE = (
    "image_srgb",
    "skin_mask",
    "landmarks68_weight",
    "landmarks478_weight",
    "recognition_embedding_weight",
    "blendshapes",
    "blendshapes_weight",
)


def validate_sample(sample: FaceSample) -> None:
    """Check a sample against the contract.

    Raises:
        ValueError: Naming the sample, the key and what is wrong, at the first violation.
    """
    content: dict[str, Any] = dict(sample)
    title = f"FaceSample {content.get('name', '?')!r}"
    if set(content) != set(_ARRAYS) | set(_SCALARS):
        difference = sorted(set(content) ^ (set(_ARRAYS) | set(_SCALARS)))
        raise ValueError(f"{title}: missing or unknown keys: {', '.join(difference)}")
    lengths = {"S": content["skin_mask"].shape[-1], "E": np.size(content["recognition_embedding"])}
    for key, pattern in _ARRAYS.items():
        value = content[key]
        expected = tuple(lengths[side] if isinstance(side, str) else side for side in pattern)
        if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != expected:
            found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"{title}: {key} is {found}, expected float32 {expected}")
        if not np.isfinite(value).all():
            raise ValueError(f"{title}: {key} holds NaN or infinity")
    for key, kind in _SCALARS.items():
        if type(content[key]) is not kind:
            raise ValueError(f"{title}: {key} is {type(content[key]).__name__}, expected {kind.__name__}")
    for key in _UNIT_RANGE:
        lowest, highest = np.min(content[key]), np.max(content[key])
        if lowest < 0.0 or highest > 1.0:
            raise ValueError(f"{title}: {key} reaches from {lowest} to {highest}, expected [0, 1]")
    if not (content["intrinsics_px"][0, 0] > 0.0 and content["intrinsics_px"][1, 1] > 0.0):
        raise ValueError(f"{title}: the focal length in intrinsics_px must be positive")
    if content["person"] < -1:
        raise ValueError(f"{title}: person is {content['person']}, expected -1 (unknown) or more")


def collate(samples: Sequence[FaceSample]) -> FaceBatch:
    """Stack samples into a batch.

    Samples without a recognition embedding take the length of the others' (all zeros).

    Raises:
        ValueError: If there is none, or they differ in size or in the length of their embeddings.
    """
    if not samples:
        raise ValueError("collate: no samples to stack")
    return FaceBatch(
        image_srgb=_stack([sample["image_srgb"] for sample in samples]),
        color=torch.tensor([sample["color"] for sample in samples]),
        intrinsics_px=_stack([sample["intrinsics_px"] for sample in samples]),
        landmarks68_px=_stack([sample["landmarks68_px"] for sample in samples]),
        landmarks68_weight=torch.tensor([sample["landmarks68_weight"] for sample in samples]),
        landmarks478_px=_stack([sample["landmarks478_px"] for sample in samples]),
        landmarks478_weight=torch.tensor([sample["landmarks478_weight"] for sample in samples]),
        skin_mask=_stack([sample["skin_mask"] for sample in samples]),
        person=torch.tensor([sample["person"] for sample in samples]),
        recognition_embedding=_stack(_embeddings(samples)),
        recognition_embedding_weight=torch.tensor([sample["recognition_embedding_weight"] for sample in samples]),
        blendshapes=_stack([sample["blendshapes"] for sample in samples]),
        blendshapes_weight=torch.tensor([sample["blendshapes_weight"] for sample in samples]),
        name=[sample["name"] for sample in samples],
        source=[sample["source"] for sample in samples],
    )


def join(first: FaceBatch, second: FaceBatch) -> FaceBatch:
    """One batch of two, the first one's samples first; what only one of them holds is left out.

    Raises:
        ValueError: If their crops or the embeddings of both differ in size.
    """
    sizes = {batch["image_srgb"].shape[-1] for batch in (first, second)}
    if len(sizes) > 1:
        raise ValueError(f"join: crops of {' and '.join(map(str, sorted(sizes)))} px do not fit into one batch")
    keys = [key for key in FaceBatch.__annotations__ if key != "recognition_embedding"]
    joined: dict[str, Any] = {}
    for key in keys:
        one, other = first[key], second[key]
        joined[key] = one + other if isinstance(one, list) else torch.cat((one, other))
    joined["recognition_embedding"] = torch.cat(_same_length(first, second))
    return cast(FaceBatch, joined)


def _same_length(first: FaceBatch, second: FaceBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of both, zeros of the other's length where one has none."""
    one, other = first["recognition_embedding"], second["recognition_embedding"]
    if one.shape[1] == other.shape[1]:
        return one, other
    if not bool((second["recognition_embedding_weight"] > 0).any()):
        return one, other.new_zeros(len(other), one.shape[1])
    if not bool((first["recognition_embedding_weight"] > 0).any()):
        return one.new_zeros(len(one), other.shape[1]), other
    raise ValueError(
        f"join: recognition embeddings of {one.shape[1]} and {other.shape[1]} numbers are of different networks"
    )


def _embeddings(samples: Sequence[FaceSample]) -> list[np.ndarray]:
    lengths = {
        len(sample["recognition_embedding"]) for sample in samples if sample["recognition_embedding_weight"] > 0.0
    }
    if len(lengths) > 1:
        raise ValueError(
            f"collate: recognition embeddings of {' and '.join(map(str, sorted(lengths)))} numbers in one batch are of "
            f"different networks; embed all shards with one ({tool_command('embed_photographs', '--force true')})"
        )
    absent = np.zeros(lengths.pop() if lengths else RECOGNITION_EMBEDDING, np.float32)
    return [s["recognition_embedding"] if s["recognition_embedding_weight"] > 0.0 else absent for s in samples]


def _stack(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays))
