"""The whole method in one forward.

image (B,3,S,S) sRGB ──> backbone ──> features ──> parameter head ──> FaceParameters
                                                      ^                    │
intrinsics of the crop ───────────────────────────────┘      morphable model
                                                                           │
Reconstruction <── landmarks, projected <── Mesh (model and camera space, albedo)
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.backbone import Backbone, EncoderConfig
from model.encoder.parameter_head import ParameterHead
from model.face.assets import HeadAssets
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.mesh import Mesh
from model.parameters import FaceParameters


@dataclass(frozen=True)
class Reconstruction:
    """A batch of reconstructed heads.

    Attributes:
        parameters: The network's answer.
        mesh: The heads it describes.
        landmarks68_image: iBUG's 68 points as (x_px, y_px, depth_mm), px of the image whose intrinsics were given.
        landmarks68_mm: The same points in model space.
    """

    parameters: FaceParameters
    mesh: Mesh
    landmarks68_image: Float[Tensor, "batch 68 3"]
    landmarks68_mm: Float[Tensor, "batch 68 3"]


class Reconstructor(nn.Module):
    """One crop of a face in, an editable head out.

    Attributes:
        config: The encoder it was built with.
        image_size: Side S of the crops in px.
        morphable_model: The head model; it holds no trained weight.
    """

    def __init__(self, config: EncoderConfig, image_size: int, head: HeadAssets) -> None:
        """Build an untrained reconstructor: it answers with the mean face in front of the camera.

        Args:
            config: Backbone and its starting weights.
            image_size: Side of the crops in px.
            head: The morphable model; it must have the landmark set `ibug68`.
        """
        super().__init__()
        self.config = config
        self.image_size = image_size
        self.morphable_model = MorphableModel(head)
        self.backbone = Backbone(config, image_size)
        self.parameter_head = ParameterHead(
            self.backbone.feature_count,
            self.morphable_model.identity_count,
            self.morphable_model.expression_count,
            self.morphable_model.albedo_count,
            self.morphable_model.landmarks(self.morphable_model.mean_mm[None])[0],
        )

    def forward(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> Reconstruction:
        """Reconstruct a batch.

        Args:
            image_srgb: Crops in [0, 1], S x S px (`data.alignment` cuts them).
            intrinsics_px: Intrinsics of the crops. A crop is a window of its photograph, so the answer stands in
                the photograph's own camera.
        """
        parameters = self.encode(image_srgb, intrinsics_px)
        return self.decode(parameters, intrinsics_px)

    def encode(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> FaceParameters:
        """The network alone: crops to parameters.

        Raises:
            ValueError: If the crops are not S x S.
        """
        if image_srgb.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"crops are {tuple(image_srgb.shape[-2:])} px, this model takes {self.image_size}")
        return self.parameter_head(self.backbone(image_srgb), intrinsics_px, self.image_size)

    def decode(self, parameters: FaceParameters, intrinsics_px: Float[Tensor, "batch 3 3"]) -> Reconstruction:
        """The head that parameters describe; works for edited parameters as well."""
        vertices_mm = self.morphable_model.vertices_mm(parameters.identity, parameters.expression)
        mesh = Mesh(
            vertices_mm=vertices_mm,
            vertices_camera_mm=parameters.to_camera(vertices_mm),
            albedo_linear=self.morphable_model.albedo_linear(parameters.albedo),
        )
        landmarks68_mm = self.morphable_model.landmarks(vertices_mm)
        return Reconstruction(
            parameters=parameters,
            mesh=mesh,
            landmarks68_image=project(parameters.to_camera(landmarks68_mm), intrinsics_px),
            landmarks68_mm=landmarks68_mm,
        )

    def landmarks_image(
        self, parameters: FaceParameters, intrinsics_px: Float[Tensor, "batch 3 3"], name: str = "ibug68"
    ) -> Float[Tensor, "batch landmark 3"]:
        """Projected landmarks (x_px, y_px, depth_mm) without the cost of every vertex."""
        points_mm = self.morphable_model.landmarks_mm(parameters.identity, parameters.expression, name)
        return project(parameters.to_camera(points_mm), intrinsics_px)
