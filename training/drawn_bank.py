"""Drawn heads on disk: drawing one takes as long as learning from it, so each is drawn once and seen many times.

A bank is a folder of `heads-<n>.safetensors`, each with some hundred heads (`python -m tools.draw_heads`). What is seen
again is never quite the same: pixels are changed anew, and every second time the picture is mirrored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from common.paths import tool_command
from common.tensors import open_tensors, save_tensors
from data.augment import AugmentConfig, PixelAugmentation
from data.blendshapes import BLENDSHAPE_MIRROR
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from data.sample import RECOGNITION_EMBEDDING, FaceBatch, FaceSample, collate
from data.synthetic import SyntheticFace
from model.checkpoint import file_sha256
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY, Truth, true_vertices_mm
from training.relief import Relief

BANK_FORMAT = "likeness-drawn-heads-1"
_TENSORS = {
    *("image", "skin_mask", "color", "intrinsics_px", "landmarks68_px", "landmarks478_px"),
    *("blendshapes", "identity", "expression", "relief"),
}


def write_bank_file(path: Path, faces: Sequence[SyntheticFace], head_sha256: str, settings: str = "") -> None:
    """Write some heads, atomically.

    Args:
        path: `heads-<n>.safetensors`.
        faces: The heads; persons are not kept.
        head_sha256: Of the morphable-model file they were drawn with: coefficients mean nothing without it.
        settings: What else they were drawn with, in words.
    """
    samples = [face.sample for face in faces]
    tensors = {
        "image": np.stack([np.rint(255.0 * s["image_srgb"]).astype(np.uint8) for s in samples]),
        "skin_mask": np.stack([np.rint(255.0 * s["skin_mask"]).astype(np.uint8) for s in samples]),
        "color": np.array([s["color"] for s in samples], np.uint8),
        "intrinsics_px": np.stack([s["intrinsics_px"] for s in samples]),
        "landmarks68_px": np.stack([s["landmarks68_px"] for s in samples]),
        "landmarks478_px": np.stack([s["landmarks478_px"] for s in samples]),
        "blendshapes": np.stack([s["blendshapes"] for s in samples]),
        "identity": np.stack([face.scene.identity for face in faces]),
        "expression": np.stack([face.scene.expression for face in faces]),
        "relief": np.stack([face.scene.relief for face in faces]).astype(np.float16),
    }
    metadata = {"format": BANK_FORMAT, "head_sha256": head_sha256, "settings": settings}
    save_tensors(tensors, path, metadata)


class DrawnBank:
    """Endless batches out of a bank; batch i is the same whenever it is asked for."""

    def __init__(
        self,
        folder: Path,
        batch_size: int,
        model: MorphableModel,
        relief: Relief | None,
        head_sha256: tuple[str, ...],
        augment: AugmentConfig,
        seed: int = 0,
    ) -> None:
        """Open the bank; its pictures stay on disk.

        Raises:
            FileNotFoundError: If the folder holds no bank.
            ValueError: If a file of it is broken, or was drawn with another head.
        """
        paths = sorted(folder.glob("heads-*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"{folder}: holds no drawn heads; make them with {tool_command('draw_heads')}")
        self._paths, self._head_sha256 = paths, head_sha256
        self._files = [_open(path, head_sha256) for path in paths]
        counts = [file.get_slice("color").get_shape()[0] for file in self._files]
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._batch_size, self._model, self._relief, self._seed = batch_size, model, relief, seed
        self._pixels = PixelAugmentation(augment)
        self._grey, self._mirror = augment.grey, augment.mirror
        self._shuffled: tuple[int, np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned, not forked, opens the files anew: handles cannot be sent.
        return {**self.__dict__, "_files": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files = [_open(path, self._head_sha256) for path in self._paths]

    def __len__(self) -> int:
        """How many heads there are."""
        return int(self._starts[-1])

    def batch(self, number: int) -> dict[str, Any]:
        """A batch with true vertices: passes over the bank in an order of their own each, every head once a pass."""
        samples, truths = self.samples(number)
        batch: dict[str, Any] = dict(samples)
        batch[VERTICES_KEY], batch[NEUTRAL_KEY] = true_vertices_mm(self._model, self._relief, truths)
        return batch

    def samples(self, number: int) -> tuple[FaceBatch, list[Truth]]:
        """The samples of a batch, and what they were drawn from."""
        heads: list[tuple[FaceSample, Truth]] = []
        for place in range(number * self._batch_size, (number + 1) * self._batch_size):
            epoch, within = divmod(place, len(self))
            index = int(self._order(epoch)[within])
            heads.append(self._head(index, np.random.default_rng((self._seed, 1, place))))
        return collate([sample for sample, _ in heads]), [truth for _, truth in heads]

    def _order(self, epoch: int) -> Int[np.ndarray, " head"]:
        if self._shuffled is None or self._shuffled[0] != epoch:
            order = np.random.default_rng((self._seed, 0, epoch)).permutation(len(self))
            self._shuffled = (epoch, order)
        return self._shuffled[1]

    def _head(self, index: int, generator: np.random.Generator) -> tuple[FaceSample, Truth]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        file, row = self._files[number], index - int(self._starts[number])
        read = {name: file.get_slice(name)[row : row + 1][0] for name in file.keys()}  # noqa: SIM118 - not a dict
        mirrored = bool(generator.random() < self._mirror)
        size = read["image"].shape[-1]
        image, mask = read["image"].transpose(1, 2, 0), read["skin_mask"].astype(np.float32) / np.float32(255.0)
        points68, points478 = read["landmarks68_px"], read["landmarks478_px"]
        camera, blendshapes = read["intrinsics_px"].copy(), read["blendshapes"]
        if mirrored:
            image, mask = image[:, ::-1], mask[:, ::-1]
            points68 = points68[IBUG68_MIRROR] * np.array([-1.0, 1.0, 1.0], np.float32)
            points478 = points478[MEDIAPIPE478_MIRROR] * np.array([-1.0, 1.0], np.float32)
            points68[:, 0] += size
            points478[:, 0] += size
            camera[0, 2] = size - camera[0, 2]
            blendshapes = blendshapes[BLENDSHAPE_MIRROR]
        self._pixels.seed(generator)
        image, mask = self._pixels(np.ascontiguousarray(image), np.ascontiguousarray(mask))
        color = bool(read["color"]) and not generator.random() < self._grey
        if not color:
            image = np.repeat(np.rint(image @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
        sample = FaceSample(
            image_srgb=np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255.0),
            color=color,
            intrinsics_px=camera,
            landmarks68_px=points68,
            landmarks68_weight=1.0,
            landmarks478_px=points478,
            landmarks478_weight=1.0,
            skin_mask=mask,
            person=-1,
            recognition_embedding=np.zeros(RECOGNITION_EMBEDDING, np.float32),
            recognition_embedding_weight=0.0,
            blendshapes=blendshapes,
            blendshapes_weight=1.0,
            name=f"drawn-{index:08d}",
            source="drawn",
        )
        return sample, Truth(read["identity"], read["expression"], read["relief"].astype(np.float32), mirrored)


def heads_drawn_alike(path: Path) -> tuple[str, ...]:
    """SHA-256 of a head's file and of those it succeeds: coefficients mean the same shapes in all of them."""
    return file_sha256(path), *load_head(path).succeeds


def check_bank_file(path: Path, head_sha256: str, settings: str) -> None:
    """Refuse a file that was drawn otherwise than what is drawn beside it.

    Raises:
        ValueError: Naming the file and what differs.
    """
    found = (_open(path, (head_sha256,)).metadata() or {}).get("settings", "")
    if found and found != settings:
        raise ValueError(f"{path}: was drawn with {found}, not with {settings}; choose another --output")


def _open(path: Path, head_sha256: tuple[str, ...]) -> Any:
    missing, remedy = "no such file of drawn heads", "no file of drawn heads: draw it again"
    file, metadata = open_tensors(path, BANK_FORMAT, framework="numpy", needed=_TENSORS, missing=missing, remedy=remedy)
    if metadata.get("head_sha256") not in head_sha256:
        raise ValueError(f"{path}: was drawn with another head model; draw it again ({tool_command('draw_heads')})")
    return file
