"""From pooled features to `FaceParameters`: one zero-initialised linear layer per named group.

Untrained means neutral: with every layer at zero the answer is the mean face, unlit, facing the camera, filling the
crop as a training crop is filled.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.geometry.camera import rotation_towards_ray, unproject
from model.geometry.rotation import rotation_from_6d
from model.parameters import LIGHTING_COEFFICIENTS, FaceParameters

CROP_SIDE_OVER_BOX = 1.5
"""Side of the crop window over the size of the 68 landmarks' box; `data.alignment` cuts crops by it."""

CROP_RISE_OVER_SIDE = 0.06
"""How far the window's centre lies above the box's: a forehead says more than a throat."""

# Angular size (side / focal) of a crop of a face at 800 mm, and the spread that training draws around it.
_ANGLE_CENTRE, _ANGLE_SPREAD = 0.27, 0.12


class _UnitInterval(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient is stopped only where it pushes further outside.

    A plain clamp is dead at weight 0, where every untrained expression starts.
    """

    @staticmethod
    def forward(raw: Tensor) -> Tensor:
        return raw.clamp(0.0, 1.0)

    @staticmethod
    def setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        (raw,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        (gradient,) = gradients
        outward = ((raw < 0.0) & (gradient > 0.0)) | ((raw > 1.0) & (gradient < 0.0))
        return gradient.masked_fill(outward, 0.0)


def to_unit_interval(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Clamp to [0, 1] with a gradient that always leads back inside."""
    return _UnitInterval.apply(raw)  # pyright: ignore[reportReturnType]


class ParameterHead(nn.Module):
    """Linear layers from features to each parameter group.

    Attributes:
        anchor_mm: The point of the mean head that an untrained answer puts at the crop's centre (3,).
        box_mm: Size of the mean head's landmark box, square root of its area.
    """

    anchor_mm: Float[Tensor, "3"]

    def __init__(
        self,
        feature_count: int,
        identity_count: int,
        expression_count: int,
        albedo_count: int,
        landmarks_mm: Float[Tensor, "68 3"],
    ) -> None:
        """Make the layers.

        Args:
            feature_count: Width of the features.
            identity_count: Identity components of the morphable model.
            expression_count: Its expressions.
            albedo_count: Its albedo components.
            landmarks_mm: The 68 landmarks of its mean head: they fix the neutral placement in a crop.
        """
        super().__init__()
        lowest, highest = landmarks_mm.amin(0), landmarks_mm.amax(0)
        self.register_buffer("anchor_mm", 0.5 * (lowest + highest), persistent=False)
        extent = highest - lowest
        self.box_mm = float((extent[0] * extent[1]).sqrt())
        self.identity = nn.Linear(feature_count, identity_count)
        self.expression = nn.Linear(feature_count, expression_count)
        self.albedo = nn.Linear(feature_count, albedo_count)
        self.rotation = nn.Linear(feature_count, 6)
        self.placement = nn.Linear(feature_count, 3)
        self.lighting = nn.Linear(feature_count, LIGHTING_COEFFICIENTS * 3)
        # How the features are to be read depends on how wide a camera looks at the face: a nose grows in a near
        # camera as it does in a big-nosed face. FiLM (Perez et al., AAAI 2018) on the crop's angular size.
        self.camera = nn.Linear(1, 2 * feature_count)
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        features: Float[Tensor, "batch feature"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        image_size: int,
    ) -> FaceParameters:
        """Read the parameters off the features.

        Args:
            features: Pooled features of the crops.
            intrinsics_px: Intrinsics of the crops.
            image_size: Side of the crops in px.
        """
        pooled = self.with_camera(features, intrinsics_px, image_size)
        layers = self.identity, self.expression, self.albedo, self.rotation, self.placement, self.lighting
        identity, expression, albedo, turn, place, light = (layer(pooled) for layer in layers)
        rotation, translation_mm = self._pose(turn, place, intrinsics_px, image_size)
        lighting = light.unflatten(-1, (LIGHTING_COEFFICIENTS, 3))
        ambient = torch.zeros_like(lighting)
        ambient[:, 0] = 1.0
        return FaceParameters(
            identity=identity,
            expression=to_unit_interval(expression),
            albedo=albedo,
            rotation=rotation,
            translation_mm=translation_mm,
            lighting=ambient + lighting,
        )

    def with_camera(
        self,
        features: Float[Tensor, "batch feature"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        image_size: int,
    ) -> Float[Tensor, "batch feature"]:
        """The pooled features as they are to be read under a camera: what the linear layers are given."""
        angle = (image_size / intrinsics_px[:, 0, 0] - _ANGLE_CENTRE) / _ANGLE_SPREAD
        gain, shift = self.camera(angle[:, None]).chunk(2, dim=-1)
        return features * (1.0 + gain) + shift

    def _pose(
        self,
        turn: Float[Tensor, "batch 6"],
        place: Float[Tensor, "batch 3"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        image_size: int,
    ) -> tuple[Float[Tensor, "batch 3 3"], Float[Tensor, "batch 3"]]:
        """Rotation and translation from what a crop shows: a turn, a size and a place in it.

        The anchor lies on the ray through its predicted pixel, at the depth where the head has its predicted size;
        the predicted turn is relative to that ray.
        """
        in_crop = rotation_from_6d(turn + turn.new_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        log_size, offset = place.split((1, 2), dim=-1)
        anchor_px = image_size * (offset + offset.new_tensor([0.5, 0.5 + CROP_RISE_OVER_SIDE]))
        size_px = image_size / CROP_SIDE_OVER_BOX * log_size.exp()
        depth_mm = intrinsics_px[:, 0, 0, None] * self.box_mm / size_px
        rotation = rotation_towards_ray(anchor_px, intrinsics_px) @ in_crop
        anchor_image = torch.cat((anchor_px, depth_mm), dim=-1)[:, None]
        anchor_camera_mm = unproject(anchor_image, intrinsics_px)[:, 0]
        return rotation, anchor_camera_mm - rotation @ self.anchor_mm
