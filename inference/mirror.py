"""Several answers about one face: those about its mirror image told of the face itself, and the mean of all.

The mean cancels the part of the network's error that depends on how it looks (test-time augmentation; Krizhevsky et
al., NeurIPS 2012, section 4.1).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.tensor_groups import merge_tensors
from model.face.morphable_model import MorphableModel
from model.parameters import FaceParameters

_ODD_IN_X = (3, 4, 7)
"""Harmonics x, xy and xz of `model.render.lighting`: a mirrored light has them with the other sign."""


class ParameterMirror:
    """Carries parameters of a mirrored photograph back to the photograph itself."""

    def __init__(self, model: MorphableModel) -> None:
        """Work out how the model's components mirror, once for each model."""
        mirror = model.mirror.long()
        flip_x = model.mean_mm.new_tensor([-1.0, 1.0, 1.0])
        identity = model.identity_basis.unflatten(-1, (-1, 3))
        self._identity = _best_map(model.identity_basis, (identity[:, mirror] * flip_x).flatten(1))
        albedo = model.albedo_basis.unflatten(-1, (-1, 3))
        self._albedo = _best_map(model.albedo_basis, albedo[:, mirror].flatten(1))
        self._expression = mirrored_names(model.expression_names).to(mirror.device)
        self._signed = _SignedExpressions.of(model)

    def __call__(self, parameters: FaceParameters) -> FaceParameters:
        """Mirror a batch; twice gives back the batch, as far as the model's components mirror onto one another.

        The cameras must be mirrored as well: the principal point cx becomes width - cx.
        """
        flip = parameters.rotation.new_tensor([-1.0, 1.0, 1.0])
        sign = parameters.lighting.new_ones(parameters.lighting.shape[1])
        sign[list(_ODD_IN_X)] = -1.0
        return FaceParameters(
            identity=parameters.identity @ self._identity,
            expression=self._mirrored(parameters.expression),
            albedo=parameters.albedo @ self._albedo,
            rotation=parameters.rotation * flip[:, None] * flip,
            translation_mm=parameters.translation_mm * flip,
            lighting=parameters.lighting * sign[:, None],
        )

    def _mirrored(self, expression: Float[Tensor, "batch expression"]) -> Float[Tensor, "batch expression"]:
        named = expression[:, self._expression]
        return named if self._signed is None else self._signed(expression, named)


class _SignedExpressions:
    """Components that a published model has in both directions, each two blendshapes here (docs/morphable-models.md).

    Such a component is not its own mirror image, nor is any other: the nearest face is a sum of all of them.
    """

    def __init__(self, plus: Int[Tensor, " pair"], minus: Int[Tensor, " pair"], model: MorphableModel) -> None:
        flip_x = model.mean_mm.new_tensor([-1.0, 1.0, 1.0])
        basis = model.expression_basis[plus]
        mirrored = (basis.unflatten(-1, (-1, 3))[:, model.mirror.long()] * flip_x).flatten(1)
        self._plus, self._minus, self._map = plus, minus, _best_map(basis, mirrored)

    @classmethod
    def of(cls, model: MorphableModel) -> "_SignedExpressions | None":
        """Those of a head; None where it has none, as ours."""
        places = {name: index for index, name in enumerate(model.expression_names)}
        stems = [name.removesuffix("Plus") for name in places if name.endswith("Plus")]
        pairs = [(places[f"{stem}Plus"], places[f"{stem}Minus"]) for stem in stems if f"{stem}Minus" in places]
        if not pairs:
            return None
        plus, minus = torch.tensor(pairs, device=model.mean_mm.device).unbind(1)
        return cls(plus, minus, model)

    def __call__(
        self, expression: Float[Tensor, "batch expression"], named: Float[Tensor, "batch expression"]
    ) -> Float[Tensor, "batch expression"]:
        """The mirrored weights: `named` with those of the pairs."""
        weight = (expression[:, self._plus] - expression[:, self._minus]) @ self._map
        mirrored = named.clone()
        mirrored[:, self._plus], mirrored[:, self._minus] = weight.clamp(0.0, 1.0), (-weight).clamp(0.0, 1.0)
        return mirrored


def mean_parameters(answers: Sequence[FaceParameters]) -> FaceParameters:
    """The mean of several answers about the same faces; of rotations, the one nearest to all.

    Raises:
        ValueError: If there is no answer.
    """
    if not answers:
        raise ValueError("no answers to take the mean of")
    mean = merge_tensors(answers, lambda values: torch.stack(values).mean(0))
    # The nearest rotation to a mean of matrices (chordal mean; Hartley et al., "Rotation Averaging", IJCV 2013).
    u, _, vh = torch.linalg.svd(mean.rotation)
    return replace(mean, rotation=u @ vh)


def mirrored_names(names: Sequence[str]) -> Int[Tensor, " expression"]:
    """For each expression the index of its mirror image: Left and Right change places.

    Raises:
        ValueError: If one has no counterpart.
    """
    places = {name: index for index, name in enumerate(names)}
    indices = []
    for name in names:
        other = name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")
        if other not in places:
            raise ValueError(f"expression {name!r} has no mirror image {other!r} in the head model")
        indices.append(places[other])
    return torch.tensor(indices)


def _best_map(
    basis: Float[Tensor, "component coordinate"], mirrored: Float[Tensor, "component coordinate"]
) -> Float[Tensor, "component component"]:
    """Coefficients c of a mirrored face become `c @ map`: the least-squares answer in the basis itself."""
    basis, mirrored = basis.double(), mirrored.double()
    gram = basis @ basis.T
    # A component of length zero must not make the matrix singular.
    ridge = 1e-9 * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge, basis @ mirrored.T).T.float()
