"""Skin as a Mitsuba material: diffuse albedo and GGX with maps of f0 and roughness, which no material of its own has.

The model is that of `model.refine.raytrace.specular`, term by term. Only `scene.py` imports this file, and after
a variant was chosen: Mitsuba's classes are those of the variant.
"""

from functools import cache
from typing import Any

import drjit as dr
import mitsuba as mi

SKIN = "likeness_skin"
"""The material's name in scene descriptions."""


@cache
def register_skin(variant: str) -> None:
    """Make the material known to the variant that is set."""
    if variant != mi.variant():
        raise RuntimeError(f"Mitsuba's variant is {mi.variant()}, not {variant}")
    mi.register_bsdf(SKIN, lambda properties: _skin_class(variant)(properties))


@cache
def _skin_class(variant: str) -> type:
    class Skin(mi.BSDF):
        """Diffuse + GGX; half of the samples go to each."""

        def __init__(self, properties: Any) -> None:
            mi.BSDF.__init__(self, properties)
            self.diffuse, self.f0, self.rough = (properties[name] for name in ("diffuse", "f0", "roughness"))
            flags = mi.BSDFFlags.DiffuseReflection | mi.BSDFFlags.GlossyReflection
            flags |= mi.BSDFFlags.FrontSide | mi.BSDFFlags.SpatiallyVarying
            self.m_components = [flags]
            self.m_flags = flags

        def _lobe(self, surface: Any, active: Any) -> Any:
            alpha = dr.maximum(self.rough.eval_1(surface, active) ** 2, 1e-3)
            return alpha, mi.MicrofacetDistribution(mi.MicrofacetType.GGX, alpha, True)

        def eval(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            cos_i, cos_o = mi.Frame3f.cos_theta(si.wi), mi.Frame3f.cos_theta(wo)
            active = active & (cos_i > 0.0) & (cos_o > 0.0)
            half = dr.normalize(si.wi + wo)
            alpha, lobe = self._lobe(si, active)
            f0 = self.f0.eval_1(si, active)
            fresnel = f0 + (1.0 - f0) * (1.0 - dr.clip(dr.dot(wo, half), 0.0, 1.0)) ** 5
            masking = 4.0 * cos_i * cos_o * (1.0 + _smith_lambda(cos_i, alpha) + _smith_lambda(cos_o, alpha))
            glossy = fresnel * lobe.eval(half) / masking
            return dr.select(active, (self.diffuse.eval(si, active) * dr.inv_pi + glossy) * cos_o, 0.0)

        def pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            cos_i, cos_o = mi.Frame3f.cos_theta(si.wi), mi.Frame3f.cos_theta(wo)
            active = active & (cos_i > 0.0) & (cos_o > 0.0)
            half = dr.normalize(si.wi + wo)
            _, lobe = self._lobe(si, active)
            glossy = lobe.pdf(si.wi, half) / (4.0 * dr.dot(wo, half))
            return dr.select(active, 0.5 * (cos_o * dr.inv_pi + glossy), 0.0)

        def sample(self, ctx: Any, si: Any, sample1: Any, sample2: Any, active: Any = True) -> Any:
            active = active & (mi.Frame3f.cos_theta(si.wi) > 0.0)
            _, lobe = self._lobe(si, active)
            half, _ = lobe.sample(si.wi, sample2)
            outgoing = dr.select(
                sample1 < 0.5, mi.warp.square_to_cosine_hemisphere(sample2), mi.reflect(si.wi, mi.Normal3f(half))
            )
            answer: Any = mi.BSDFSample3f()
            answer.wo = outgoing
            answer.pdf = self.pdf(ctx, si, outgoing, active)
            answer.eta = 1.0
            answer.sampled_type = mi.UInt32(int(mi.BSDFFlags.DiffuseReflection))
            answer.sampled_component = mi.UInt32(0)
            active = active & (answer.pdf > 0.0)
            return answer, dr.select(active, self.eval(ctx, si, outgoing, active) / answer.pdf, 0.0)

        def eval_pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            return self.eval(ctx, si, wo, active), self.pdf(ctx, si, wo, active)

        def to_string(self) -> str:
            return "Skin[]"

    return Skin


def _smith_lambda(cosine: Any, alpha: Any) -> Any:
    squared = cosine**2
    return 0.5 * (dr.sqrt(1.0 + alpha**2 * dr.maximum(1.0 - squared, 0.0) / squared) - 1.0)
