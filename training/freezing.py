"""Keep the first stages of a backbone as they are.

Its first stages work at full resolution, so that they take half of the time of a step, and after ImageNet there is
little in edges and blobs that faces would change.
"""

from typing import cast

from timm.models import group_parameters
from torch import nn


def freeze_stages(network: nn.Module, count: int) -> list[nn.Module]:
    """Freeze the first stages of a timm network.

    Args:
        network: A timm network; its own `group_matcher` says what its stages are, the stem being the first.
        count: How many stages; 0 for none.

    Returns:
        The largest modules all of whose parameters are frozen: they must stay in evaluation mode, since batch
        statistics would change them without any gradient.

    Raises:
        ValueError: If the network has fewer stages, or timm knows none of it.
    """
    if count == 0:
        return []
    matcher = getattr(network, "group_matcher", None)
    if matcher is None:
        raise ValueError(f"frozen_stages: timm knows no stages of {type(network).__name__}")
    stage_of = cast(dict[str, int], group_parameters(network, matcher(coarse=True), reverse=True))
    stages = max(stage_of.values()) + 1
    if count > stages:
        raise ValueError(f"frozen_stages {count}: {type(network).__name__} has {stages} stages, the stem included")
    for name, parameter in network.named_parameters():
        parameter.requires_grad = stage_of[name] >= count
    return _frozen_modules(network)


def _frozen_modules(module: nn.Module) -> list[nn.Module]:
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        return [module]
    return [frozen for child in module.children() for frozen in _frozen_modules(child)]
