"""The weights that training starts from: those of checkpoints, of which nothing is left out in silence."""

import logging
from collections import Counter
from collections.abc import Iterable

import torch

from common.old_names import current_weights
from common.tensors import read_tensors
from model.reconstructor import Reconstructor
from training.config import Experiment

_LOG = logging.getLogger(__name__)
_DECODER = "detail_head."


def load_start(reconstructor: Reconstructor, experiment: Experiment) -> None:
    """Give a model the weights of the checkpoints that its run starts from, where it names some.

    Args:
        reconstructor: The model, untrained.
        experiment: The run. Parts that `start_fresh` names stay as they are, or are left behind.

    Raises:
        FileNotFoundError: If a checkpoint has no weights.
        ValueError: If the weights do not fit the model, or `start_fresh` names what neither of the two has.
    """
    if not experiment.starts:
        return
    weights: dict[str, torch.Tensor] = {}
    for folder in experiment.starts:
        weights |= current_weights(read_tensors(folder / "weights.safetensors")[0], str(folder))
    # Batch normalisation's counters are in no checkpoint.
    state = {name: own for name, own in reconstructor.state_dict().items() if not name.endswith("num_batches_tracked")}
    fresh = tuple(current_weights(dict.fromkeys(experiment.start_fresh), "start_fresh"))
    for part in fresh:
        if not any(name.startswith(part) for name in (*state, *weights)):
            raise ValueError(f"start_fresh: no weight of this model is called {part}...")
    if reconstructor.detail_head is None and any(name.startswith(_DECODER) for name in weights):
        _LOG.warning("%s has a mesh decoder, which is left behind: set `detail: {}`", experiment.start_from)
        weights = {name: value for name, value in weights.items() if not name.startswith(_DECODER)}
    _refuse_what_does_not_fit(weights, state, fresh, experiment)
    fitting = {name: value.float() for name, value in weights.items() if not name.startswith(fresh or ("\0",))}
    reconstructor.load_state_dict({**reconstructor.state_dict(), **fitting})


def _refuse_what_does_not_fit(
    weights: dict[str, torch.Tensor], state: dict[str, torch.Tensor], fresh: tuple[str, ...], experiment: Experiment
) -> None:
    """Refuse a start that would leave a part of the model untrained, or a part of itself behind, unasked."""

    def unasked(names: Iterable[str]) -> list[str]:
        return [name for name in names if not any(name.startswith(part) for part in fresh)]

    wrong = {
        "missing there": unasked(state.keys() - weights.keys()),
        "of another shape": unasked(name for name in state.keys() & weights.keys() if _differ(weights, state, name)),
        "unknown to this model": unasked(weights.keys() - state.keys()),
    }
    found = [f"{len(names)} {how} ({_parts(names)})" for how, names in wrong.items() if names]
    if found:
        parts = sorted({_part(name) for names in wrong.values() for name in names})
        start = ", ".join(map(str, experiment.starts))
        raise ValueError(
            f"start_from: the weights of {start} do not fit this model: {'; '.join(found)}. Set encoder, head, "
            "image_size and detail to those of the checkpoint, or say what shall begin untrained: "
            f"start_fresh: [{', '.join(parts)}]"
        )


def _differ(weights: dict[str, torch.Tensor], state: dict[str, torch.Tensor], name: str) -> bool:
    return weights[name].shape != state[name].shape


def _part(name: str) -> str:
    """The part of the model that a weight belongs to: its name's first two words."""
    return ".".join(name.split(".")[:2])


def _parts(names: Iterable[str]) -> str:
    counts = Counter(map(_part, names))
    return ", ".join(f"{part} {count}" for part, count in sorted(counts.items()))
