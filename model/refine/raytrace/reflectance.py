"""Second half of the ray-traced stage: what the photograph shows of the skin beyond the statistical albedo."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from model.refine.raytrace import priors
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.materials import on_skin, sample_texture
from model.refine.raytrace.skin_problem import SkinProblem

_WEIGHTS_ARE_FOR_PX = 256
_SURE = 0.4
"""A sample with less weight than this does not say what its texel looks like."""


class TextureVariable:
    """Log of the diffuse albedo over the statistical one, a map over the texture space.

    A logarithm: what a light does to all skin alike is one number here, and no albedo can become negative. One channel
    where the photograph is grey.
    """

    def __init__(self, problem: SkinProblem, side_px: int) -> None:
        """Start with the statistical albedo.

        Args:
            problem: What is seen.
            side_px: Side of the map; finer than the photograph it would be full of holes.
        """
        channels = 3 if problem.color else 1
        self.raw = problem.uv.new_zeros(side_px, side_px, channels).requires_grad_()
        self.look(problem)

    def look(self, problem: SkinProblem) -> None:
        """Ask again which texels are seen, when weights have changed."""
        self.seen = _seen(problem, len(self.raw))

    def __call__(self, uv: Float[Tensor, "place 2"]) -> Float[Tensor, "place 3"]:
        """Factor on the albedo at texture coordinates."""
        return sample_texture(self.raw, uv).exp().expand(-1, 3)

    def fit(
        self,
        problem: SkinProblem,
        albedo_linear: Float[Tensor, "sample 3"],
        start_tone: Float[Tensor, "3"],
        arriving: Float[Tensor, "sample 3"],
        glossy: Float[Tensor, "sample 3"],
        config: RaytraceConfig,
        history: History,
    ) -> None:
        """Find the map for given light.

        Args:
            problem: What is seen.
            albedo_linear: Statistical albedo of the samples.
            start_tone: What the whole skin's colour is held to.
            arriving: Their irradiance.
            glossy: Their reflection.
            config: Steps, rate, weights.
            history: Gets the terms of every step.
        """
        weights, diffuse = config.weights, albedo_linear * arriving
        # A step between texels is half as high in a map of twice as many.
        smoothness = weights.smoothness * len(self.raw) / _WEIGHTS_ARE_FOR_PX

        def terms() -> dict[str, Tensor]:
            factor = self(problem.uv)
            return {
                "distance": problem.distance(diffuse * factor + glossy),
                "tone": weights.tone * (problem.tone(albedo_linear * factor) - start_tone).square().sum(),
                "smoothness": smoothness * priors.smoothness(self.raw, self.seen),
                "symmetry": weights.symmetry * priors.symmetry(self.raw, self.seen),
                "prior": weights.prior * priors.coarse(self.raw, self.seen),
                "consistency": weights.consistency * priors.own_size(self.raw, self.seen),
            }

        descend(terms, ((self.raw, config.texture_rate),), config.texture_steps, history, "texture")


def texture_side(size_px: int, texture_px: int) -> int:
    """Side of the map under optimisation: the photograph's window or the written map, whichever is smaller."""
    side = 16
    while 2 * side <= min(size_px, texture_px):
        side *= 2
    return side


def _seen(problem: SkinProblem, side_px: int) -> Bool[Tensor, "texture texture"]:
    """Texels at and beside surely seen samples."""
    uv = problem.uv[(problem.weight > _SURE) & on_skin(problem.uv)]
    column = (uv[:, 0] * side_px).long().clamp(0, side_px - 1)
    row = ((1.0 - uv[:, 1]) * side_px).long().clamp(0, side_px - 1)
    seen = uv.new_zeros(side_px, side_px)
    seen[row, column] = 1.0
    return max_pool2d(seen[None, None], 3, stride=1, padding=1)[0, 0] > 0.0
