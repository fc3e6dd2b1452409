"""Terms that ask a recognition network: about the rendering, and about what the encoder's features hold."""

from jaxtyping import Float
from torch import Tensor

from model.identity import IdentityNetwork
from model.losses.config import LossConfig
from model.losses.identity import rendering_identity
from model.losses.identity_teacher import identity_distillation
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


def distillation_terms(config: LossConfig, observation: Observation, answer: Float[Tensor, "batch number"]) -> Terms:
    """The weighted distance of the stored embeddings from what a layer on the encoder's features answers.

    Args:
        config: Weights.
        observation: The photographs.
        answer: At least as many numbers as the embeddings have; those behind them are left.
    """
    embedding, weight = observation.identity_embedding, observation.identity_embedding_weight
    predicted = answer[:, : embedding.shape[1]]
    return weighted(config, {"identity_distillation": lambda: identity_distillation(predicted, embedding, weight)})
