"""The term that asks a recognition network about the rendering."""

from model.identity import IdentityNetwork
from model.losses.config import LossConfig
from model.losses.identity import rendering_identity
from model.losses.weighting import Terms, weighted
from model.observation import Observation
from model.render.renderer import Rendering


def identity_terms(
    config: LossConfig,
    observation: Observation,
    rendering: Rendering,
    network: IdentityNetwork | None,
    *,
    stored: bool = False,
) -> Terms:
    """The weighted likeness of rendering and photograph; none without a weight.

    Args:
        config: Weights.
        observation: The photographs.
        rendering: Pictures of the crops' size.
        network: What embeds faces; may be None where `config.identity` is 0.
        stored: The observation's embeddings are this network's: the photographs need not be embedded again.

    Raises:
        ValueError: If the loss has a weight and there is no network.
    """
    if config.identity == 0.0:
        return {}
    if network is None:
        raise ValueError("loss.identity needs a recognition network: name one, or set the weight to 0")
    return weighted(config, {"identity": lambda: rendering_identity(network, rendering, observation, stored=stored)})
