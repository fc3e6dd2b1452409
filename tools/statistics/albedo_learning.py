"""Albedo of a symmetric head from photographs: alternate light, coefficients, outliers and components."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.render.lighting import spherical_harmonics
from tools.statistics.light import LightPrior, Separation, separate
from tools.statistics.photograph_colors import ColorSamples
from tools.statistics.weighted_pca import LinearModel, canonical, fit_components, grow, sufficient_statistics

_LOWEST_SHADING = 0.15
_LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])


RANKS = (1, 1, 1, 6, 6, 6, 20, 20, 20, 48, 48, 48, 48, 48)
"""Number of components at each round; the last is the model's."""
_PRIOR = LightPrior()
_NOISE = 0.2
"""Relative noise of a point's colour. Neighbouring points err together, so it stands above their scatter."""
_POINTS = 700
"""Points per photograph used for light and coefficients."""
_PRIOR_PHOTOGRAPHS = 8.0
"""Weight of the smooth fallback at an entry, in photographs."""
_OUTLIER, _STRICT_OUTLIER = (0.15, 0.40), (0.12, 0.16)
"""Bounds of the relative residual at which a colour counts a quarter (hair, glasses, hands); and on bare skin
(forehead, temples), where what differs is hair."""
_MEAN_LUMINANCE = 0.30
"""Luminance of the mean skin. A photograph shows albedo times light, so the scale is a convention."""
_TONE_SD = (0.36, 0.40, 0.42)
"""Spread of the skin's colour beside its mean, per channel: the scale of the first component. A photograph cannot tell
dark skin from little light, nor brown skin from warm light, so this is set, not learned: melanin takes blue before red,
and two deviations reach from about a quarter of the mean (the darkest skins) to one and three quarters (the lightest).
How it differs over the face is learned, within `_TONE_PATTERN` of proportional."""
_TONE_PATTERN = (0.92, 1.15)
"""Bounds of the first component beside one proportional to the mean."""
_CAST_SD = 0.05
"""Largest relative spread of the whole face's colour, a channel, beside the tone: undertone, flush."""
_SHAPE_ROUNDS = 6
"""Rounds in which the mean light is re-estimated."""
_TONE_BALANCE = 6.0
"""Largest weight of a photograph of a rare skin tone."""
_BATCH = 100


@dataclass(frozen=True)
class Sides:
    """The symmetric half of the sampled vertices.

    Attributes:
        first: Index into the samples of each entry on one side (or the middle).
        second: Index of its mirror partner.
        core: Entries of the face proper, from which light and coefficients are estimated.
        strict: Entries of bare skin, where hair may hang but none grows.
        neighbours: Adjacency of entries, row-normalised, sparse.
    """

    first: Int[Tensor, " entry"]
    second: Int[Tensor, " entry"]
    core: Bool[Tensor, " entry"]
    strict: Bool[Tensor, " entry"]
    neighbours: Tensor


class AlbedoLearner:
    """State of the alternation."""

    def __init__(self, samples: ColorSamples, sides: Sides) -> None:
        """Start from a skin that varies from dark to light in one component."""
        self._samples, self._sides = samples, sides
        count, entries = len(samples.row), len(sides.first)
        mean = torch.tensor([0.36, 0.23, 0.17]).expand(entries, 3).clone()
        tone = torch.tensor([0.15, 0.12, 0.10]).expand(1, entries, 3).clone()
        self.model = LinearModel(mean, tone)
        self.shape = torch.zeros(9, 3)
        self.shape[0] = 1.0
        white = torch.from_numpy(samples.white_level).clamp(0.15, 1.0)
        relative = white.log() - white.log().mean()
        self.level = (_PRIOR.exposure_power * relative).exp()
        self.state = Separation(self.level[:, None, None] * self.shape, torch.zeros(count, 1), torch.zeros(count, 1, 1))
        self.photograph_weight = torch.ones(count)
        self.scale = torch.full((entries,), _OUTLIER[1])
        self.seen = torch.zeros(entries)
        self.residual = 0.0
        self._rounds = 0

    @property
    def core(self) -> Bool[Tensor, " entry"]:
        """Entries of the face proper."""
        return self._sides.core

    def smooth(self, values: Float[Tensor, "photo entry"]) -> Float[Tensor, "photo entry"]:
        """Values averaged over the neighbours of each entry."""
        return (self._sides.neighbours @ values.T).T

    def photographs(self) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Colours, trust and harmonics at the first sides, then the second, of some photographs."""
        both = torch.cat([self._sides.first, self._sides.second]).numpy()
        single = (self._sides.first == self._sides.second).float()
        share = torch.cat([1.0 - 0.5 * single] * 2)
        for start in range(0, len(self._samples.row), _BATCH):
            part = slice(start, start + _BATCH)
            color = torch.from_numpy(self._samples.color_linear[part][:, both]).float()
            trust = torch.from_numpy(self._samples.trust[part][:, both]).float() * share
            normals = torch.from_numpy(self._samples.normals[part][:, both]).float()
            yield part, color, trust, spherical_harmonics(normals)

    def round(self, rank: int, seed: int) -> None:
        """One alternation with `rank` components."""
        entries = len(self._sides.first)
        self._rounds += 1
        core = torch.cat([self._sides.core, self._sides.core]).nonzero()[:, 0]
        generator = torch.Generator().manual_seed(seed)
        residual = (
            torch.zeros(len(self._samples.row), entries, 3, dtype=torch.float16)
            if rank > len(self.model.basis)
            else None
        )
        data_sum, gram = torch.zeros(()), torch.zeros(())
        parts: list[Separation] = []
        absolute: list[Tensor] = []
        self.seen = torch.zeros(entries)
        for part, color, trust, harmonics in self.photographs():
            chosen = core[torch.randperm(len(core), generator=generator)[:_POINTS]]
            start = Separation(self.state.lighting[part], self.state.means[part], self.state.covariances[part])
            trusted = trust[:, chosen] * self._inliers(start, color, harmonics, chosen)
            found = separate(
                _at(self.model, chosen % entries),
                start,
                color[:, chosen],
                trusted,
                harmonics[:, chosen],
                self.level[part],
                self.shape,
                _PRIOR,
                _NOISE,
            )
            parts.append(found)
            every = torch.arange(2 * entries)
            inlier = self._inliers(found, color, harmonics, every)
            shading = (harmonics @ found.lighting).clamp(min=_LOWEST_SHADING)
            albedo = self.model.predict(found.means).clamp(min=0.0)
            darkness = albedo.mean(-1).repeat(1, 2) + 0.1
            weight = trust * inlier * (shading.mean(-1).clamp(max=1.5) / darkness).square() * 0.1
            weight = weight * self.photograph_weight[part, None]
            first, second = weight.split(entries, dim=1)
            total = first + second
            left, right = (color / shading).clamp(max=1.2).split(entries, dim=1)
            merged = (first[..., None] * left + second[..., None] * right) / total.clamp(min=1e-6)[..., None]
            sums, grams = sufficient_statistics(found.means, found.covariances, merged, total)
            data_sum, gram = data_sum + sums, gram + grams
            self.seen += (trust * inlier).split(entries, dim=1)[0].sum(0) + (trust * inlier).split(entries, 1)[1].sum(0)
            difference = merged - albedo
            certainty = (total / total.mean()).clamp(max=1.0)
            absolute.append(torch.where(total > 0.02, difference.abs().mean(-1) / darkness[:, :entries], torch.nan))
            if residual is not None:
                residual[part] = (certainty[..., None] * difference).half()
        self._update(parts, data_sum, gram, torch.cat(absolute), residual, rank, seed)

    def _inliers(self, found: Separation, color: Tensor, harmonics: Tensor, points: Tensor) -> Tensor:
        """Geman-McClure weights of relative residuals, agreed upon by neighbours (hair and glasses are coherent)."""
        entries = len(self._sides.first)
        albedo = _at(self.model, points % entries).predict(found.means)
        if len(points) == color.shape[1]:
            expected = albedo * (harmonics @ found.lighting)
            observed = color
        else:
            expected, observed = albedo * (harmonics[:, points] @ found.lighting), color[:, points]
        relative = (observed - expected).abs().mean(-1) / (expected.mean(-1).clamp(min=0.0) + 0.04)
        weight = 1.0 / (1.0 + (relative / self.scale[points % entries]).square()).square()
        if len(points) == 2 * entries:
            smooth = torch.cat([(self._sides.neighbours @ w.T).T for w in weight.split(entries, dim=1)], dim=1)
            weight = torch.minimum(weight, smooth)
        return weight

    def _update(
        self,
        parts: list[Separation],
        data_sum: Tensor,
        gram: Tensor,
        absolute: Tensor,
        residual: Tensor | None,
        rank: int,
        seed: int,
    ) -> None:
        state = Separation(*(torch.cat([getattr(p, n) for p in parts]) for n in Separation.__dataclass_fields__))
        smoothed = _smooth(self.model, self._sides.neighbours)
        model = fit_components(
            data_sum, gram, smoothed, _PRIOR_PHOTOGRAPHS * float(gram[:, 0, 0].median()) / len(absolute)
        )
        share = self.photograph_weight / self.photograph_weight.sum()
        tone_mean = float(share @ state.means[:, 0])
        model = LinearModel(model.mean + tone_mean * model.basis[0], model.basis)
        model = self._pin_tone(model)
        tone = state.means[:, :1] - tone_mean
        means, covariances = state.means, state.covariances
        if len(model.basis) > 1:
            rest, transform = canonical(
                LinearModel(model.mean, model.basis[1:]), means[:, 1:], covariances[:, 1:, 1:], self.photograph_weight
            )
            means = torch.cat([tone, (means[:, 1:] - share @ means[:, 1:]) @ transform], dim=1)
            whole = torch.block_diag(torch.ones(1, 1), transform)
            covariances = whole.T @ covariances @ whole
            model = LinearModel(rest.mean, torch.cat([model.basis[:1], rest.basis]))
        else:
            means = tone
        typical = torch.nanmedian(absolute, dim=0).values
        scale = 2.5 * torch.nan_to_num(typical, nan=_OUTLIER[1])
        strict = scale.clamp(*_STRICT_OUTLIER)
        self.scale = torch.where(self._sides.strict, strict, scale.clamp(*_OUTLIER))
        self.residual = float(torch.nanmedian(absolute[:, self._sides.core]))
        relative = state.lighting / self.level[:, None, None]
        if self._rounds <= _SHAPE_ROUNDS:
            self.shape = _mirrored_mean(relative, self.photograph_weight)
        # The overall scale belongs to the convention: the typical light shades a face seen from the front with 1.
        front = spherical_harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0]
        self.shape = self.shape / (front @ self.shape).mean()
        gain = _MEAN_LUMINANCE / float(model.mean[self._sides.core].mean(0) @ _LUMINANCE)
        model = LinearModel(model.mean * gain, model.basis * gain)
        lighting = state.lighting / gain
        shading = torch.einsum("k,nkc->nc", front, lighting).mean(1) / self.level
        self.level = self.level * float((share @ shading.clamp(min=0.05).log()).exp())
        if residual is not None:
            model = grow(model, residual.float(), rank, seed)
            extra = len(model.basis) - means.shape[1]
            means = torch.nn.functional.pad(means, (0, extra))
            covariances = torch.nn.functional.pad(covariances, (0, extra, 0, extra))
        self.model, self.state = model, Separation(lighting, means, covariances)
        self.photograph_weight = self._tone_weight()

    def _pin_tone(self, model: LinearModel) -> LinearModel:
        """Give the first component the spread stated and take its direction out of the others."""
        core = self._sides.core
        spread = torch.tensor(_TONE_SD)
        proportional = model.mean.clamp(min=0.0) * spread
        # One factor for the three channels: a colour pattern would leave the darkest skins with stained brows.
        pattern = (model.basis[0] @ _LUMINANCE / (proportional @ _LUMINANCE).clamp(min=1e-3)).clamp(0.0, 2.0)[:, None]
        for _ in range(3):
            pattern = self._sides.neighbours @ pattern
        pattern = (pattern / pattern[core].mean()).clamp(*_TONE_PATTERN)
        tone = proportional * pattern
        rest = model.basis[1:]
        share = torch.einsum("kvc,vc->k", rest[:, core], tone[core]) / tone[core].square().sum()
        rest = rest - share[:, None, None] * tone
        # Hue of the whole face: nearly all of its spread over photographs is their white balance.
        cast = rest[:, core].mean(1) / model.mean[core].mean(0)
        excess = 1.0 - (_CAST_SD / cast.square().sum(0).mean().sqrt().clamp(min=1e-6)).clamp(max=1.0)
        rest = rest - excess * cast[:, None] * model.mean
        return LinearModel(model.mean, torch.cat([tone[None], rest]))

    def _tone_weight(self) -> Tensor:
        """Weights that flatten the distribution of skin tones over ten bins of luminance."""
        core = self._sides.core
        mean = self.model.mean[core].mean(0) @ _LUMINANCE
        slope = self.model.basis[:, core].mean(1) @ _LUMINANCE
        tone = (mean + self.state.means @ slope).clamp(min=0.02).log()
        low, high = tone.quantile(0.005), tone.quantile(0.995)
        bins = ((tone - low) / (high - low) * 10).long().clamp(0, 9)
        counts = torch.bincount(bins, minlength=10).float()
        weight = (counts.max() / counts.clamp(min=1.0)).sqrt().clamp(max=_TONE_BALANCE)[bins]
        return weight / weight.mean()


def _at(model: LinearModel, entries: Tensor) -> LinearModel:
    return LinearModel(model.mean[entries], model.basis[:, entries])


def _smooth(model: LinearModel, neighbours: Tensor) -> LinearModel:
    """The model averaged over neighbours: the prior of entries that few photographs show."""
    basis = torch.stack([neighbours @ component for component in model.basis])
    return LinearModel(neighbours @ model.mean, basis)


def _mirrored_mean(lighting: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean light; terms odd in x are 0 because left and right are equal."""
    mean = torch.einsum("n,nkc->kc", weight / weight.sum(), lighting)
    mean[[3, 4, 7]] = 0.0
    return mean
