"""Whose face it is, told to the identity coefficients themselves: by a teacher, and by photographs of one person.

The photometric loss hardly sees the difference between two faces of one pose and light, and a rendering's gradients are
noisy. A recognition network knows whether two photographs show like people; its answers need no rendering. The idea of
MICA (Zielonka et al., "Towards Metrical Reconstruction of Human Faces", ECCV 2022), with the network as a teacher
instead of an input, so that it is not needed once the model is trained.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_LEAST_SAMPLES = 3
# In standard deviations, of all components together: an untrained model's coefficients have no direction yet.
_LEAST_IDENTITY_NORM = 0.1
_LEAST_EMBEDDING_NORM = 1e-6
_LEAST_SPREAD = 1e-3


def recognition_teacher(
    identity: Float[Tensor, "batch component"],
    embedding: Float[Tensor, "batch feature"],
    weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """People who are alike to the teacher shall be alike in their coefficients, and strangers strangers.

    Relational distillation (Park et al., "Relational Knowledge Distillation", CVPR 2019) of angles around the batch's
    mean: L = mean over pairs of w_i w_j (cos(a_i, a_j) - cos(e_i, e_j))^2, with a and e coefficients and embeddings
    less their weighted means. Neither a turn nor a scale of either matters, so that coefficients and embeddings need no
    common space. Embeddings of faces share a large part, which without their mean would say that all are alike.

    Args:
        identity: Identity coefficients, in standard deviations.
        embedding: The teacher's vectors of the same photographs; no gradient flows to them.
        weight: Trust in each sample; 0 leaves it out.

    Returns:
        A scalar in [0, 4]; 0 with fewer than three samples, whose centred directions say nothing.
    """
    student = _directions(identity, weight, _LEAST_IDENTITY_NORM)
    teacher = _directions(embedding.detach().to(identity.dtype), weight, _LEAST_EMBEDDING_NORM)
    others = ~torch.eye(len(weight), dtype=torch.bool, device=weight.device)
    pair_weight = weight[:, None] * weight[None, :] * others
    difference = student @ student.T - teacher @ teacher.T
    mean = (pair_weight * difference.square()).sum() / pair_weight.sum().clamp(min=_LEAST_EMBEDDING_NORM)
    return mean * ((weight > 0).sum() >= _LEAST_SAMPLES)


def recognition_distillation(
    predicted: Float[Tensor, "batch feature"],
    embedding: Float[Tensor, "batch feature"],
    weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """A layer on the encoder's features shall find the teacher's embedding again (Hinton et al. 2015; FitNets).

    A layer on fixed features cannot tell people that the features do not hold, so the backbone has to learn them; the
    angles between pairs say too little of that in a short training. The layer is thrown away afterwards.

    Args:
        predicted: What the layer answers.
        embedding: The teacher's vectors of the same photographs; no gradient flows to them.
        weight: Trust in each sample; 0 leaves it out.

    Returns:
        Mean of 1 - cos, both less their mean over the batch, which holds what all faces share: in [0, 2]; 0 with fewer
        than three samples.
    """
    student = _directions(predicted, weight, _LEAST_EMBEDDING_NORM)
    teacher = _directions(embedding.detach().to(predicted.dtype), weight, _LEAST_EMBEDDING_NORM)
    distance = 1.0 - (student * teacher).sum(-1)
    mean = (weight * distance).sum() / weight.sum().clamp(min=_LEAST_EMBEDDING_NORM)
    return mean * ((weight > 0).sum() >= _LEAST_SAMPLES)


def shape_consistency(identity: Float[Tensor, "batch component"], person: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Photographs of one person shall have one shape (RingNet's idea: Sanyal et al., CVPR 2019; MICA, ECCV 2022).

    Args:
        identity: Identity coefficients, in standard deviations.
        person: Number of the person, negative where unknown.

    Returns:
        Mean squared distance between photographs of one person over that between two of the batch; 0 without such
        photographs. The divisor is held fixed in the gradient: else coefficients could grow instead of agreeing.
    """
    pairs = _same_person(person)
    distance = (identity[:, None] - identity[None, :]).square().sum(-1)
    # Twice the spread around the mean is the mean squared distance of two drawn at random.
    spread = 2.0 * (identity - identity.mean(0)).square().sum(-1).mean()
    return (distance * pairs).sum() / pairs.sum().clamp(min=1) / spread.detach().clamp(min=_LEAST_SPREAD)


def _same_person(person: Int[Tensor, " batch"]) -> Bool[Tensor, "batch batch"]:
    others = ~torch.eye(len(person), dtype=torch.bool, device=person.device)
    return (person[:, None] == person[None, :]) & (person >= 0)[:, None] & others


def _directions(
    vectors: Float[Tensor, "batch feature"], weight: Float[Tensor, " batch"], least_norm: float
) -> Float[Tensor, "batch feature"]:
    """Vectors less their weighted mean, of length 1 (shorter than 1 if they are shorter than `least_norm`)."""
    mean = (weight[:, None] * vectors).sum(0) / weight.sum().clamp(min=_LEAST_EMBEDDING_NORM)
    centred = vectors - mean
    return centred / centred.square().sum(-1, keepdim=True).clamp(min=least_norm**2).sqrt()
