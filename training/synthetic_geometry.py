"""Drawn heads whose shape is known, as batches beside the photographs."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from common.tensor_groups import map_tensors, merge_tensors
from data.sample import collate
from data.synthetic import SyntheticConfig, SyntheticFaces
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region
from model.losses.inputs import KnownHeads
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from training.drawn_bank import DrawnBank
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY, Truth, true_vertices_mm
from training.relief import Relief
from training.synthetic_config import SyntheticGeometryConfig
from training.synthetic_heads import MorphableHeadArtist, scene_parameters

PARAMETERS_KEY = "parameters"
"""What a batch that is drawn on the spot holds beside `training.drawn_truth`'s: the `FaceParameters`."""

HELD_OUT_SEED = 7_000_003
"""Of the heads that evaluation draws; training must not."""


class SyntheticGeometry(IterableDataset[dict[str, Any]]):
    """Endless batches; batch i of a rank is the same whenever it is asked for."""

    def __init__(
        self,
        config: SyntheticGeometryConfig,
        model: MorphableModel,
        hierarchy: MeshHierarchy | None,
        size: int,
        *,
        head_sha256: tuple[str, ...] = (),
        first: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Prepare the artist.

        Args:
            config: What to draw.
            model: The head, on the CPU.
            hierarchy: Its levels, which relief needs.
            size: Side of the crops in px.
            head_sha256: Of the head's file and those it succeeds (`heads_drawn_alike`); a bank must be of one of them.
            first: Number of the first batch, so that a resumed run goes on with new heads.
            rank: Which of the training processes this is.
            ranks: How many there are.

        Raises:
            FileNotFoundError: If there is no bank where one is named.
            ValueError: If relief is asked for without a hierarchy, or the bank is another head's.
        """
        if config.relief and hierarchy is None:
            raise ValueError("synthetic.relief needs the head's hierarchy: set `hierarchy`, or relief to false")
        relief = Relief(model, hierarchy) if config.relief and hierarchy is not None else None
        self._model, self._relief = model, relief
        self._bank: DrawnBank | None = None
        if config.bank is not None:
            self._bank = DrawnBank(
                config.bank, config.batch_size, model, relief, head_sha256, config.augment, config.seed
            )
        self._artist = MorphableHeadArtist(model, Renderer(build_rasterizer("cpu")), relief)
        self._faces = SyntheticFaces(self._artist, SyntheticConfig(size=size, seed=config.seed))
        self._config, self._first, self._rank, self._ranks = config, first, rank, ranks

    def batch(self, number: int) -> dict[str, Any]:
        """A batch by its number among those of all ranks."""
        if self._bank is not None:
            return self._bank.batch(number)
        size = self._config.batch_size
        faces = [self._faces.face(number * size + i) for i in range(size)]
        batch: dict[str, Any] = dict(collate([face.sample for face in faces]))
        truths = [Truth(face.scene.identity, face.scene.expression, face.scene.relief) for face in faces]
        batch[VERTICES_KEY], batch[NEUTRAL_KEY] = true_vertices_mm(self._model, self._relief, truths)
        batch[PARAMETERS_KEY] = merge_tensors([scene_parameters(face.scene) for face in faces], torch.cat)
        return batch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """This rank's batches from the first on, without end."""
        worker = get_worker_info()
        own, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        step = self._first + own
        while True:
            yield self.batch(step * self._ranks + self._rank)
            step += workers


def synthetic_loader(dataset: SyntheticGeometry, workers: int) -> DataLoader[dict[str, Any]]:
    """A loader of ready batches, in order."""
    return DataLoader(dataset, batch_size=None, num_workers=workers)


def known_heads(drawn: Mapping[str, Any], vertex_weight: Float[Tensor, " vertex"]) -> KnownHeads:
    """The truth about a batch of drawn heads, on the device of the vertices' weight (`geometry_weight`)."""
    heads = KnownHeads(drawn[VERTICES_KEY], drawn[NEUTRAL_KEY], vertex_weight, drawn.get(PARAMETERS_KEY))
    return map_tensors(heads, lambda values: values.to(vertex_weight.device))


def geometry_weight(model: MorphableModel) -> Float[Tensor, " vertex"]:
    """Where the shape of a head is judged: the face, a fifth as much the rest of the skin, not eyes and mouth."""
    weight = torch.ones(len(model.mean_mm), device=model.mean_mm.device)
    if "skin" in model.region_names:
        weight = 0.2 * model.region("skin").float()
    if "face" in model.region_names:
        weight = torch.where(model.region("face"), torch.ones_like(weight), weight)
    return weight * (~any_region(model, *NO_SKIN)).float()
