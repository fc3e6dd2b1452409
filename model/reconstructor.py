"""The whole method in one forward.

image (B,3,S,S) sRGB ──> backbone ──> features ──> parameter head ──> first FaceParameters
                            │            │            ^                    │
                            ├─> points ──│────────────│───────────> point update
                            │            │            │                    │
                            └─> map ─────│────────────│───────────> aligned look
                                         │            │                    │
intrinsics of the crop ──────────────────│────────────┘             FaceParameters
                                         │                                 │
                                         │                          morphable model
                                         │                                 │
                                         └──> detail head <──────> linear Mesh
                                                      │                    │
                                                 Detail ──────> Mesh (model and camera space, albedo)
                                                                           │
Reconstruction <───────────────────────────────────── landmarks, projected ┘

Detail head, points, their update and the aligned look are left out of models that have none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.aligned_look import AlignedLook
from model.encoder.backbone import Backbone, EncoderConfig, never_narrowing
from model.encoder.crop_inputs import refuse_impossible_cameras, refuse_impossible_crops
from model.encoder.detail_head import DetailConfig, DetailHead
from model.encoder.parameter_head import ParameterHead
from model.encoder.point_update import PointUpdate, point_sets
from model.encoder.reading import read_seen
from model.face.assets import HeadAssets
from model.face.detail import Detail
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.mesh import Mesh
from model.parameters import FaceParameters


@dataclass(frozen=True)
class Encoded:
    """What the network says of a batch of crops.

    Attributes:
        parameters: The heads.
        pooled: The backbone's features of each whole crop, which the mesh decoder reads as well.
    """

    parameters: FaceParameters
    pooled: Float[Tensor, "batch feature"]


@dataclass(frozen=True)
class Reconstruction:
    """A batch of reconstructed heads.

    Attributes:
        parameters: The network's answer.
        mesh: The heads it describes, with the detail.
        landmarks68_image: iBUG's 68 points as (x_px, y_px, depth_mm), px of the image whose intrinsics were given.
        landmarks68_mm: The same points in model space.
        detail: What the mesh decoder added to the linear heads; None where the model has no decoder, or none was
            asked for.
    """

    parameters: FaceParameters
    mesh: Mesh
    landmarks68_image: Float[Tensor, "batch 68 3"]
    landmarks68_mm: Float[Tensor, "batch 68 3"]
    detail: Detail | None = None


class Reconstructor(nn.Module):
    """One crop of a face in, an editable head out.

    Attributes:
        config: The encoder it was built with.
        image_size: Side S of the crops in px.
        morphable_model: The head model; it holds no trained weight.
        detail_head: The mesh decoder, or None.
    """

    def __init__(
        self,
        config: EncoderConfig,
        image_size: int,
        head: HeadAssets,
        detail: DetailConfig | None = None,
        hierarchy: MeshHierarchy | None = None,
    ) -> None:
        """Build an untrained reconstructor: it answers with the mean face in front of the camera.

        Args:
            config: Backbone and its starting weights.
            image_size: Side of the crops in px.
            head: The morphable model; it must have the landmark set `ibug68`.
            detail: The mesh decoder; None for a model without.
            hierarchy: The head's levels, which the decoder needs.

        Raises:
            ValueError: If only one of detail and hierarchy is given, or they do not fit the head.
        """
        super().__init__()
        self.config = config
        self.image_size = image_size
        self.morphable_model = MorphableModel(head)
        points = sum(len(chosen) for _, chosen in point_sets(self.morphable_model)) if config.points else 0
        self.backbone = Backbone(config, image_size, points)
        self.parameter_head = ParameterHead(
            self.backbone.feature_count,
            self.morphable_model.identity_count,
            self.morphable_model.expression_count,
            self.morphable_model.albedo_count,
            self.morphable_model.landmarks(self.morphable_model.mean_mm[None])[0],
        )
        self.point_update: PointUpdate | None = None
        if config.points:
            self.point_update = PointUpdate(self.morphable_model, self.parameter_head.anchor_mm)
        self.aligned_look: AlignedLook | None = None
        if config.aligned_look:
            counts = self.morphable_model.identity_count, self.morphable_model.expression_count
            self.aligned_look = AlignedLook(points, self.backbone.feature_count, counts)
        if (detail is None) != (hierarchy is None):
            raise ValueError("a detail head needs both its config and the head model's hierarchy")
        self.detail_head: DetailHead | None = None
        if detail is not None and hierarchy is not None:
            count = self.backbone.feature_count
            self.detail_head = DetailHead(detail, count, self.morphable_model, hierarchy)

    def forward(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> Reconstruction:
        """Reconstruct a batch.

        Args:
            image_srgb: Crops in [0, 1], S x S px (`data.alignment` cuts them).
            intrinsics_px: Intrinsics of the crops. A crop is a window of its photograph, so the answer stands in
                the photograph's own camera.

        Raises:
            ValueError: If crops or cameras cannot be meant: of another size, beyond [0, 1], not finite.
            TypeError: If the crops are whole numbers.
        """
        return self.read(self.features(image_srgb), image_srgb, intrinsics_px)

    def read(
        self,
        features: Float[Tensor, "batch feature"],
        image_srgb: Float[Tensor, "batch 3 size size"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
    ) -> Reconstruction:
        """The second half of the forward: from the backbone's features of a batch to its heads."""
        image_srgb, intrinsics_px = self._given(image_srgb, intrinsics_px)
        with _precisely(image_srgb):
            parameters = self.read_parameters(features, intrinsics_px)
            pooled = self.backbone.split(features).pooled
            detail = self._detail(image_srgb, intrinsics_px, pooled, parameters)
            return self.decode(parameters, intrinsics_px, detail)

    def features(self, image_srgb: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch feature"]:
        """The backbone alone: pooled features of crops, and the points it sees (`Backbone.split`).

        Raises:
            ValueError: If the crops are not S x S, or, unless the model is being trained, not in [0, 1].
            TypeError: If they are whole numbers.
        """
        if not self.training or image_srgb.shape[-2:] != (self.image_size, self.image_size):
            # Looking at values waits for the device, which training shall not at each step.
            refuse_impossible_crops(image_srgb, self.image_size)
        return self.backbone(image_srgb.to(self.backbone.mean.dtype)).to(self._precision)

    def encode(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> FaceParameters:
        """The network alone: crops to parameters; it raises what `forward` raises."""
        return self.look_at(image_srgb, intrinsics_px).parameters

    def look_at(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> Encoded:
        """`encode`, with the features that `detail` needs."""
        features = self.features(image_srgb)
        image_srgb, intrinsics_px = self._given(image_srgb, intrinsics_px)
        with _precisely(image_srgb):
            return Encoded(self.read_parameters(features, intrinsics_px), self.backbone.split(features).pooled)

    def read_parameters(
        self, features: Float[Tensor, "batch feature"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> FaceParameters:
        """From the backbone's features to parameters."""
        parts = self.parameter_head, self.point_update, self.aligned_look
        return read_seen(self.backbone.split(features), intrinsics_px, self.image_size, *parts)

    def detail(
        self,
        image_srgb: Float[Tensor, "batch 3 size size"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        parameters: FaceParameters,
        pooled: Float[Tensor, "batch feature"] | None = None,
    ) -> Detail | None:
        """What the mesh decoder adds to given parameters, from crops that show the face; None without a decoder.

        Args:
            image_srgb: The crops.
            intrinsics_px: Their intrinsics.
            parameters: The heads.
            pooled: What `look_at` saw in these crops, where it was asked; else the backbone looks at them again.

        Raises:
            ValueError: If crops or cameras cannot be meant, see `forward`.
        """
        if self.detail_head is None:
            return None
        if pooled is None:
            pooled = self.backbone.split(self.features(image_srgb)).pooled
        image_srgb, intrinsics_px = self._given(image_srgb, intrinsics_px)
        with _precisely(image_srgb):
            return self._detail(image_srgb, intrinsics_px, pooled, parameters)

    def _given(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> tuple[Float[Tensor, "batch 3 size size"], Float[Tensor, "batch 3 3"]]:
        """Crops and their cameras in the precision of what computes lengths; impossible cameras are refused."""
        if not self.training:
            refuse_impossible_cameras(intrinsics_px, image_srgb)
        return image_srgb.to(self._precision), intrinsics_px.to(self._precision)

    @property
    def _precision(self) -> torch.dtype:
        return self.morphable_model.mean_mm.dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Reconstructor":
        """What `to`, `half`, `cuda` and so on come down to.

        Half precision is for the backbone, as autocast's is: all else stays in single precision.
        """
        for child in self.children():
            # Of a module that is not this one; torch itself does the same.
            child._apply(fn if child is self.backbone else never_narrowing(fn))
        return self

    def _detail(
        self,
        image_srgb: Float[Tensor, "batch 3 size size"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        pooled: Float[Tensor, "batch feature"],
        parameters: FaceParameters,
    ) -> Detail | None:
        if self.detail_head is None:
            return None
        return self.detail_head(image_srgb, intrinsics_px, pooled, parameters, self.linear_mesh(parameters))

    def encoder_parts(self) -> tuple[nn.Module | None, ...]:
        """The parts that answer with parameters, the backbone first; None for those that this model does without."""
        return self.backbone, self.parameter_head, self.point_update, self.aligned_look

    def linear_mesh(self, parameters: FaceParameters) -> Mesh:
        """The heads of the morphable model alone."""
        vertices_mm = self.morphable_model.vertices_mm(parameters.identity, parameters.expression)
        return Mesh(
            vertices_mm=vertices_mm,
            vertices_camera_mm=parameters.to_camera(vertices_mm),
            albedo_linear=self.morphable_model.albedo_linear(parameters.albedo),
        )

    def decode(
        self,
        parameters: FaceParameters,
        intrinsics_px: Float[Tensor, "batch 3 3"],
        detail: Detail | None = None,
    ) -> Reconstruction:
        """The head that parameters describe, with detail if there is some; works for edited parameters as well."""
        mesh = self.linear_mesh(parameters)
        if detail is not None:
            vertices_mm = mesh.vertices_mm + detail.offsets_mm
            mesh = Mesh(
                vertices_mm=vertices_mm,
                vertices_camera_mm=parameters.to_camera(vertices_mm),
                albedo_linear=mesh.albedo_linear + detail.albedo_linear,
            )
        vertices_mm = mesh.vertices_mm
        landmarks68_mm = self.morphable_model.landmarks(vertices_mm)
        return Reconstruction(
            parameters=parameters,
            mesh=mesh,
            landmarks68_image=project(parameters.to_camera(landmarks68_mm), intrinsics_px),
            landmarks68_mm=landmarks68_mm,
            detail=detail,
        )

    def landmarks_image(
        self, parameters: FaceParameters, intrinsics_px: Float[Tensor, "batch 3 3"], name: str = "ibug68"
    ) -> Float[Tensor, "batch landmark 3"]:
        """Projected landmarks (x_px, y_px, depth_mm) of the linear head, without the cost of every vertex."""
        points_mm = self.morphable_model.landmarks_mm(parameters.identity, parameters.expression, name)
        return project(parameters.to_camera(points_mm), intrinsics_px)


def _precisely(image: Tensor) -> torch.autocast:
    # Autocast is for the backbone: in half precision a head a metre away has steps of four millimetres.
    return torch.autocast(image.device.type, enabled=False)
