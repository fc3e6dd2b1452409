"""The light of one photograph and the skin under it, at the head's vertices: what the texture is divided by.

    photograph at the vertices --> lobes of light that cast the head's shadows <--> coefficients of the albedo model
                                        |
                     what both leave unexplained, split by its size and its colour: light or skin
                                        |
                          shading and base albedo of every vertex

All of it is smooth, so a vertex every few millimetres is enough; every finer mark of the photograph is skin and stays
in the texture (`model.look.texture`). It costs a third of a second, where the ray-traced refinement takes twenty.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csc_matrix, diags
from scipy.spatial import KDTree

from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region, facial_skin
from model.look.completion import factorized
from model.look.face_result import FaceResult
from model.look.self_shadow import lit_from
from model.look.texel_kernels import LEAST_DIFFUSE
from model.render.color import REC709_LUMINANCE

_LOBES = 64
_ROUNDS = 4
_RIDGE = 0.02
"""Pull of each lobe towards the mean of all, over what the photograph says of a lobe."""
_ROBUST = 0.25
"""Log residual at which a vertex counts half: hair, glasses, a shadow that the shape does not cast."""
_EFFECTIVE_SAMPLES, _UNEXPLAINED = 2.0, 0.25
"""How many independent measurements of the albedo a face is taken for, and their log error."""
_DARKEST_ALBEDO, _DARKEST = 0.01, 2e-3
_SKIN_NEIGHBOURS = 12
_LUMINANCE = np.array(REC709_LUMINANCE, np.float32)

_GLOSS, _GRAZING_GLOSS, _GLOSS_SHARPNESS = 0.035, 0.3, 8.0
_SCALES = (400.0, 25.0)
"""Stiffness of the two smoothings of the residual: about 25 and 8 mm on the face."""
_COARSE_LUMINANCE, _COARSE_CHROMA = 1.0, 1.0
"""Share of what is coarser than the first scale that is light: the model knows the coarse albedo of faces."""
_AS_SHADE, _AS_PIGMENT = (0.95, 0.85), (0.3, 0.0)
"""Share that is light of what lies between the scales, and of what is finer, where it looks like shade or a highlight
and where it looks like pigment."""
_PIGMENT_SHARE, _PIGMENT_FLOOR = 0.3, 0.03
"""Pigment and hair change red against blue, shade does not: so much of the change of brightness still passes."""
_EXPOSURE_LOG, _EXPOSURE_TRUST, _EXPOSURE_REACH = -0.16, 0.6, 1.5
"""Cameras are exposed so that a face is about as bright as its skin (0.85 of it), and that tells the tone as well as
the network does; what is many times darker or brighter is a dark or a bright room."""
_BALANCE_TRUST, _BALANCE_REACH = 0.5, 0.25
"""The same of colour: photographs are balanced for white light, but for what is as orange as a sunset."""
_TRACED_STIFFNESS = 1.0
_DEEPEST_SHADE, _SURE_SHADE = 0.05, 0.2
"""Shading over that of the face's middle, below the first of which a photograph says nothing of the skin."""


@dataclass(frozen=True)
class PhotographLight:
    """Light and skin at the vertices, linear RGB.

    Attributes:
        shading_linear: What the albedo is multiplied with in the photograph, shadows and all.
        gloss_linear: What the skin's surface reflects besides, which is to be taken away first.
        albedo_linear: The albedo model's answer for this face: smooth, known all around the head, without light.
        trust: How far the photograph tells the skin, in [0, 1]: not in the deepest shade.
        slope: By what share the shading grows where the normal turns towards each axis, camera space, tangential.
        occlusion: Share of the light from everywhere that reaches each vertex, in [0, 1].
    """

    shading_linear: Float[np.ndarray, "vertex 3"]
    gloss_linear: Float[np.ndarray, "vertex 3"]
    albedo_linear: Float[np.ndarray, "vertex 3"]
    trust: Float[np.ndarray, " vertex"]
    slope: Float[np.ndarray, "vertex 3"]
    occlusion: Float[np.ndarray, " vertex"]


@dataclass(frozen=True)
class TracedSkin:
    """What a ray-traced refinement found at the vertices.

    Attributes:
        albedo_linear: Diffuse albedo, free of the light.
        known: How far the photograph told it, in [0, 1]: not under hair.
    """

    albedo_linear: Float[np.ndarray, "vertex 3"]
    known: Float[np.ndarray, " vertex"]


def photograph_light(
    result: FaceResult,
    normals: Float[np.ndarray, "vertex 3"],
    seen: Float[np.ndarray, " vertex"],
    observed_linear: Float[np.ndarray, "vertex 3"],
    morphable_model: MorphableModel,
    laplacian: csc_matrix,
    color: bool,
    traced: TracedSkin | None = None,
) -> PhotographLight:
    """Find light and coarse skin of a face.

    Args:
        result: The face, whose albedo coefficients are where the search begins and what holds the skin's tone.
        normals: Unit normals, camera space.
        seen: How well the photograph shows each vertex, in [0, 1].
        observed_linear: The photograph at the vertices, averaged over about a vertex's distance.
        morphable_model: Its head.
        laplacian: Of the head's vertices.
        color: False for a black-and-white photograph, whose skin takes all its colour from the model.
        traced: What is known better, if anything is.
    """
    observed = np.maximum(observed_linear, _DARKEST)
    skin = facial_skin(morphable_model, "lips", "eyelids").cpu().numpy()
    weight = (seen * skin * (observed.max(1) < 0.95)).astype(np.float64)
    directions = _directions(_LOBES)
    # Radiance 1 from everywhere makes a shading of 1 in the open: each lobe stands for a share of the sphere.
    reached = lit_from(result.vertices_camera_mm, result.faces, directions) * (4.0 / _LOBES)
    facing = np.clip(normals @ directions.T, 0.0, None)
    transport = reached * facing
    reflection = (reached > 0.0) * _reflection(result.vertices_camera_mm, normals, directions)
    lobes, albedo, shading, gloss, weight = _solve(
        result, transport, reflection, observed, weight, morphable_model, color
    )
    observed = without_gloss(observed, gloss)
    flux = (reached * (facing > 0.0) * lobes) @ directions
    slope = (flux - (flux * normals).sum(1, keepdims=True) * normals) / np.maximum(transport @ lobes, 1e-3)[:, None]
    residual = np.log(observed) - np.log(albedo * shading)
    shading = shading * np.exp(_light_in(residual, weight, laplacian, color))
    if traced is not None:
        shading = _as_traced(shading, observed, seen, traced, laplacian)
    inner = any_region(morphable_model, *NO_SKIN).cpu().numpy()
    shading = _as_around(shading, result.vertices_mm, weight > 0.0, inner)
    level = shading @ _LUMINANCE
    middle = float(np.average(level, weights=weight)) if weight.sum() > 0.0 else 1.0
    trust = np.clip((level / middle - _DEEPEST_SHADE) / (_SURE_SHADE - _DEEPEST_SHADE), 0.0, 1.0)
    shading = np.maximum(shading, _DEEPEST_SHADE * middle)
    occlusion = transport.sum(1) / np.maximum(facing.sum(1) * (4.0 / _LOBES), 1e-6)
    arrays = (shading, gloss, albedo, trust, slope, occlusion)
    return PhotographLight(*(values.astype(np.float32) for values in arrays))


def without_gloss(
    observed_linear: Float[np.ndarray, "*place 3"], gloss_linear: Float[np.ndarray, "*place 3"]
) -> Float[np.ndarray, "*place 3"]:
    """The light that came out of the skin and not off its surface; never less than a quarter of all."""
    return np.maximum(observed_linear - gloss_linear, LEAST_DIFFUSE * observed_linear)


def _reflection(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    normals: Float[np.ndarray, "vertex 3"],
    directions: Float[np.ndarray, "light 3"],
) -> Float[np.ndarray, "vertex light"]:
    """Share of each lobe's radiance that the oily surface of skin throws towards the camera.

    The reflectance of rough skin for light from everywhere (Schlick's form), spread about the mirrored view.
    """
    eye = -vertices_mm / np.linalg.norm(vertices_mm, axis=1, keepdims=True)
    cosine = (normals * eye).sum(1, keepdims=True).clip(0.0, 1.0)
    mirrored = 2.0 * cosine * normals - eye
    spread = np.exp(_GLOSS_SHARPNESS * (mirrored @ directions.T - 1.0))
    reflectance = _GLOSS + _GRAZING_GLOSS * (1.0 - cosine) ** 5
    return reflectance * spread / spread.sum(1, keepdims=True)


def _directions(count: int) -> Float[np.ndarray, "light 3"]:
    """Spread evenly over the sphere: the Fibonacci lattice."""
    index = np.arange(count)
    height = 1.0 - (2.0 * index + 1.0) / count
    azimuth = index * (np.pi * (3.0 - np.sqrt(5.0)))
    radius = np.sqrt(1.0 - height**2)
    return np.stack((radius * np.cos(azimuth), height, radius * np.sin(azimuth)), axis=-1).astype(np.float32)


def _solve(
    result: FaceResult,
    transport: Float[np.ndarray, "vertex light"],
    reflection: Float[np.ndarray, "vertex light"],
    observed: Float[np.ndarray, "vertex 3"],
    weight: Float[np.ndarray, " vertex"],
    morphable_model: MorphableModel,
    color: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lobes of one colour and albedo coefficients in turns, each in closed form.

    One colour: lobes that each choose their own make red cheeks red lamps (docs/log.md). The skin's tone is
    held, for a photograph shows only the product of light and tone.

    Returns:
        Strength of the lobes; albedo, shading and gloss of the vertices; weights less those of what fits none of it.
    """
    mean = morphable_model.albedo_mean.cpu().numpy().astype(np.float64)
    basis = morphable_model.albedo_basis.unflatten(-1, (-1, 3)).cpu().numpy().astype(np.float64)
    start = result.albedo.astype(np.float64)
    # Half of the vertices say as much as all of them.
    some = np.flatnonzero(weight > 0.05)[::2]
    albedo = np.clip(mean + np.tensordot(start, basis, 1), _DARKEST_ALBEDO, 1.0)
    if len(some) < len(start):
        flat = float((observed @ _LUMINANCE)[weight >= weight.max()].mean() / (albedo @ _LUMINANCE).mean())
        even = np.full_like(albedo, max(flat, 0.05))
        return np.full(transport.shape[1], flat), albedo, even, np.zeros_like(albedo), weight
    here, mirrored = transport[some].astype(np.float64), reflection[some].astype(np.float64)
    seen, components, known = observed[some], basis[:, some], weight[some]
    tone = _tone(np.log(np.maximum(result.albedo_vertex_linear[some], _DARKEST_ALBEDO)), np.log(seen), known, color)
    scale = np.exp(tone - np.log(albedo[some]).mean(0))
    albedo = np.clip(albedo * scale, _DARKEST_ALBEDO, 1.0)
    robust, tint = np.ones(len(some)), np.ones(3)
    light = np.full(transport.shape[1], np.median(seen) / np.median(albedo[some]))
    for _ in range(_ROUNDS):
        sent = here * ((albedo[some] * tint) @ _LUMINANCE)[:, None] + mirrored * (tint @ _LUMINANCE)
        light = _lobes(sent, seen @ _LUMINANCE, known * robust, light)
        lit, gloss = np.maximum(here @ light, 1e-3)[:, None], (mirrored @ light)[:, None]
        tint = np.exp(np.average(np.log(seen / (albedo[some] * lit + gloss)), axis=0, weights=known * robust))
        tint /= tint @ _LUMINANCE
        diffuse = without_gloss(seen, gloss * tint)
        residual = np.log(diffuse) - np.log(albedo[some] * lit * tint)
        robust = 1.0 / (1.0 + (residual @ _LUMINANCE / _ROBUST) ** 2)
        # The tone is not the coefficients' to explain: it is a factor on what they make.
        before, wanted = mean[some] + np.tensordot(start, components, 1), diffuse / (lit * tint * scale)
        coefficients = start + _components(components, before, wanted, known * robust)
        albedo = np.clip(mean + np.tensordot(coefficients, basis, 1), _DARKEST_ALBEDO, 1.0)
        scale = np.exp(tone - np.log(albedo[some]).mean(0))
        albedo = np.clip(albedo * scale, _DARKEST_ALBEDO, 1.0)
    darkest = 0.02 * np.median(np.maximum(here @ light, 1e-3))
    shading = np.maximum(transport @ light, darkest)[:, None] * tint
    gloss = (reflection @ light)[:, None] * tint
    error = (np.log(without_gloss(observed, gloss)) - np.log(albedo * shading)) @ _LUMINANCE
    return light, albedo, shading, gloss, weight / (1.0 + (error / _ROBUST) ** 2)


def _lobes(
    sent: Float[np.ndarray, "sample light"],
    wanted: Float[np.ndarray, " sample"],
    weight: Float[np.ndarray, " sample"],
    start: Float[np.ndarray, " light"],
) -> Float[np.ndarray, " light"]:
    """Non-negative lobes that make a picture, by relative errors: accelerated projected gradients (Beck 2009)."""
    weight = weight / np.maximum(wanted, 0.05 * np.median(wanted)) ** 2
    weight = weight / weight.sum()
    gram = (sent * weight[:, None]).T @ sent
    ridge = _RIDGE * np.trace(gram) / len(gram)
    right = sent.T @ (weight * wanted) + ridge * start.mean()
    gram += ridge * np.eye(len(gram))
    step = 1.0 / np.linalg.eigvalsh(gram)[-1]
    light, ahead, pace = start, start, 1.0
    for _ in range(200):
        found = np.maximum(ahead - step * (gram @ ahead - right), 0.0)
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * pace * pace))
        ahead = found + (pace - 1.0) / following * (found - light)
        light, pace = found, following
    return light


def _components(
    basis: Float[np.ndarray, "component sample 3"],
    start: Float[np.ndarray, "sample 3"],
    wanted: Float[np.ndarray, "sample 3"],
    weight: Float[np.ndarray, " sample"],
) -> Float[np.ndarray, " component"]:
    """Changes of the albedo coefficients towards a wanted albedo; each has a deviation of one beforehand."""
    weight = weight / max(float(weight.sum()), 1e-9) * (_EFFECTIVE_SAMPLES / _UNEXPLAINED**2)
    by_channel = weight[:, None] / np.maximum(start, _DARKEST_ALBEDO) ** 2
    flat = basis.reshape(len(basis), -1)
    weighted = flat * by_channel.ravel()
    system = weighted @ flat.T + np.eye(len(basis))
    return np.linalg.solve(system, weighted @ (wanted - start).ravel())


def _tone(
    expected_log: Float[np.ndarray, "sample 3"],
    observed_log: Float[np.ndarray, "sample 3"],
    weight: Float[np.ndarray, " sample"],
    color: bool,
) -> Float[np.ndarray, "3"]:
    """Mean log albedo of the skin: the network's, moved towards what the exposure says of it."""
    expected = np.average(expected_log, axis=0, weights=weight)
    # What is seen is skin and the gloss on it, at an exposure: (albedo + gloss) x 0.85.
    seen = np.exp(np.average(observed_log, axis=0, weights=weight) - _EXPOSURE_LOG)
    beyond = np.log(without_gloss(seen, np.full(3, _GLOSS) * np.minimum(1.0, seen.mean() / 0.08))) - expected
    brightness = beyond @ _LUMINANCE
    shift = _EXPOSURE_TRUST * brightness / (1.0 + (brightness / _EXPOSURE_REACH) ** 2)
    if not color:
        return expected + shift
    balance = _BALANCE_REACH * np.tanh((beyond - brightness) / _BALANCE_REACH)
    return expected + shift + _BALANCE_TRUST * balance


def _light_in(
    residual: Float[np.ndarray, "vertex 3"],
    weight: Float[np.ndarray, " vertex"],
    laplacian: csc_matrix,
    color: bool,
) -> Float[np.ndarray, "vertex 3"]:
    """Which part of a log residual is light."""
    if weight.sum() <= 0.0:
        return np.zeros_like(residual)
    mean = np.average(residual, axis=0, weights=weight)
    finer, bands = residual - mean, []
    for stiffness in _SCALES:
        coarse = factorized(diags(weight + 1e-3) + stiffness * laplacian).solve(weight[:, None] * finer)
        bands.append(coarse)
        finer = finer - coarse
    coarsest, between = bands
    seen = (weight > 0.0)[:, None]
    light = mean + _shared(coarsest, np.full(len(seen), _COARSE_LUMINANCE), np.full(len(seen), _COARSE_CHROMA), color)
    for band, as_shade, as_pigment in zip((between, finer * seen), _AS_SHADE, _AS_PIGMENT, strict=True):
        shade, highlight = _looks_like_light(band) if color else (np.full(len(seen), 0.5), np.zeros(len(seen)))
        of_luminance = as_pigment + (as_shade - as_pigment) * np.maximum(shade, highlight)
        light += _shared(band, of_luminance, as_shade * highlight, color)
    return light


def _looks_like_light(
    band: Float[np.ndarray, "vertex 3"],
) -> tuple[Float[np.ndarray, " vertex"], Float[np.ndarray, " vertex"]]:
    """How far marks look like shade, which keeps the colour, and like highlights, which are brighter and paler."""
    brightness, warmth = band @ _LUMINANCE, band[:, 0] - band[:, 2]
    allowed = _PIGMENT_SHARE * np.abs(brightness) + _PIGMENT_FLOOR
    shade = np.exp(-np.square(warmth / allowed))
    return shade, ((brightness > 0.0) & (warmth < 0.0)).astype(np.float64)


def _shared(
    band: Float[np.ndarray, "vertex 3"],
    of_luminance: Float[np.ndarray, " vertex"],
    of_chroma: Float[np.ndarray, " vertex"],
    color: bool,
) -> Float[np.ndarray, "vertex 3"]:
    """A share of its brightness and a share of its colour; all of the colour of a black-and-white photograph."""
    brightness = (band @ _LUMINANCE)[:, None]
    chroma = of_chroma[:, None] if color else 1.0
    return of_luminance[:, None] * brightness + chroma * (band - brightness)


def _as_traced(
    shading: Float[np.ndarray, "vertex 3"],
    observed: Float[np.ndarray, "vertex 3"],
    seen: Float[np.ndarray, " vertex"],
    traced: TracedSkin,
    laplacian: csc_matrix,
) -> Float[np.ndarray, "vertex 3"]:
    """The shading that makes the traced skin look as the photograph, where it is known.

    Smooth over a few vertices: finer marks are the photograph's, which has more of them than the traced maps.
    """
    log_here = np.log(observed) - np.log(np.maximum(traced.albedo_linear, _DARKEST_ALBEDO))
    weight = (seen * traced.known).astype(np.float64)
    smooth = factorized(diags(weight + 1e-3) + _TRACED_STIFFNESS * laplacian).solve(weight[:, None] * log_here)
    share = traced.known[:, None]
    return np.exp(share * smooth + (1.0 - share) * np.log(shading))


def _as_around(
    shading: Float[np.ndarray, "vertex 3"],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    known: Bool[np.ndarray, " vertex"],
    inner: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, "vertex 3"]:
    """Eyes and mouth get the shading of the skin around them: behind lids and lips the shape's own would be night."""
    if known.sum() < 4 * _SKIN_NEIGHBOURS or not inner.any():
        return shading
    # A quarter of the vertices: what is wanted is a mean over a centimetre.
    some = np.flatnonzero(known)[::4]
    # The size of the leaves decides which of several neighbours at one distance are taken.
    _, nearest = KDTree(vertices_mm[some], leafsize=16).query(vertices_mm[inner], _SKIN_NEIGHBOURS)
    shading = shading.copy()
    shading[inner] = np.exp(np.log(shading[some])[np.asarray(nearest)].mean(1))
    return shading
