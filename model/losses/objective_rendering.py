"""Terms of a rendering: the picture, its light and its skin."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from model.losses.config import LossConfig
from model.losses.photometric import photometric
from model.losses.priors import albedo_range, exposure_prior, gaussian_prior, negative_light, white_light
from model.losses.reflectance import reflectance_variance
from model.losses.silhouette import silhouette
from model.losses.symmetry import mirror_difference
from model.losses.tables import LossTables
from model.losses.weighting import Terms, weighted
from model.observation import Observation
from model.reconstructor import Reconstruction
from model.render.renderer import Rendering


def photometric_terms(
    config: LossConfig,
    observation: Observation,
    reconstruction: Reconstruction,
    rendering: Rendering,
    mask: Float[Tensor, "batch size size"],
    tables: LossTables,
) -> Terms:
    """Weighted terms of a rendering.

    Args:
        config: Weights.
        observation: The photographs.
        reconstruction: What was rendered.
        rendering: Its picture, of the crops' size.
        mask: Where photograph and rendering may be compared.
        tables: Of the answer's head model.
    """
    parameters, albedo = reconstruction.parameters, reconstruction.mesh.albedo_linear
    seen = None if reconstruction.refinement is None else reconstruction.refinement.visibility

    def picture() -> Float[Tensor, ""]:
        image, color = observation.image_srgb, observation.color
        levels, smoothing = config.pyramid_levels, config.occlusion_smoothing
        return photometric(rendering.image_linear, image, mask, color, levels, smoothing)

    terms: dict[str, Callable[[], Float[Tensor, ""]]] = {
        "photometric": picture,
        "silhouette": lambda: silhouette(rendering.mask, observation.skin_mask, observation.landmarks68_weight),
        "albedo_prior": lambda: gaussian_prior(parameters.albedo),
        "white_light": lambda: white_light(parameters.lighting),
        "exposure": lambda: exposure_prior(parameters.lighting),
        "negative_light": lambda: negative_light(rendering.shading.flatten(1, 2)),
        "albedo_range": lambda: albedo_range(albedo),
        "symmetry": lambda: mirror_difference(albedo, tables.mirror, seen),
        "reflectance": lambda: reflectance_variance(albedo, tables.skin),
    }
    return weighted(config, terms)
