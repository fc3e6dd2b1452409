"""Shape consistency: the shape of one photograph must do for another of the same person."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def next_of_person(person: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """For each sample the next one of the same person, round and round.

    Args:
        person: Person of each sample; negative where unknown, which is nobody else's.

    Returns:
        A permutation of the batch, and whether it moves each sample.
    """
    index = torch.arange(len(person), device=person.device)
    same = (person[:, None] == person[None, :]) & (person[:, None] >= 0)
    ahead = (index[None, :] - index[:, None]) % len(person)
    # Itself, at distance zero, only where there is no other.
    ahead = torch.where(same & (ahead > 0), ahead, len(person))
    changed = (ahead < len(person)).any(1)
    return torch.where(changed, ahead.argmin(1), index), changed


def swap_within_person(
    identity: Float[Tensor, "batch component"], person: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch component"], Bool[Tensor, " batch"]]:
    """Identity coefficients handed round among the photographs of each person.

    Feng et al., "DECA", SIGGRAPH 2021, section 4.1.1, after RingNet: with the identity of another photograph of the
    same person, landmarks and picture must fit as well. The loss is those ordinary terms.

    Args:
        identity: Coefficients.
        person: Person of each sample, negative where unknown.

    Returns:
        The coefficients after the exchange, and which samples got another's.
    """
    source, changed = next_of_person(person)
    return identity[source], changed
