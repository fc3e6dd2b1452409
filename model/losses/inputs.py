"""What losses may ask for: photographs, the answer about them, and whatever follows from both.

Each quantity is computed when a loss first asks for it, and once. A loss that needs a new one gives it a place here;
nothing on the way from the training step to the loss has to be told.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from common.tensor_groups import map_tensors
from model.encoder.backbone import Seen
from model.face.detail import Detail
from model.face.openings import EYES_68
from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.procrustes import align_similarity
from model.geometry.vertex_sampling import sample_at_vertices, vertex_visibility
from model.losses.config import LossConfig
from model.losses.landmark_weights import landmark_visibility, landmark_weights
from model.losses.loss_tables import LossTables
from model.losses.multiview import observed_albedo
from model.losses.photometric import residual_srgb
from model.losses.swapped_identity import swap_within_person
from model.observation import Observation
from model.parameters import FaceParameters
from model.recognition import RecognitionNetwork
from model.reconstructor import Reconstruction, Reconstructor
from model.render.color import srgb_to_linear
from model.render.lighting import shade
from model.render.renderer import Renderer, Rendering

Points = tuple[Float[Tensor, "batch point 2"], Float[Tensor, "batch point 2"]]
"""Points of the answer and their labels, px of the crop."""


@dataclass(frozen=True)
class KnownHeads:
    """The truth about drawn heads.

    Attributes:
        vertices_mm: Model space, with the expression.
        neutral_mm: The same at rest.
        vertex_weight: How much each vertex counts where shapes are compared.
        parameters: What the heads were drawn from; None where their shape alone is known.
    """

    vertices_mm: Float[Tensor, "batch vertex 3"]
    neutral_mm: Float[Tensor, "batch vertex 3"]
    vertex_weight: Float[Tensor, " vertex"]
    parameters: FaceParameters | None = None


@dataclass(frozen=True)
class LossInputs:
    """A batch of photographs beside what was answered about them.

    Attributes:
        config: Weights and settings of the losses.
        reconstructor: What answered.
        tables: Of its head model.
        renderer: Draws the answer.
        observation: The photographs and their labels.
        reconstruction: The answer.
        features: What the answer was read from; None where no loss asks for it.
        teacher_layer: Finds recognition embeddings in the features; None where no loss asks for it.
        network: The recognition network; None where no loss asks for it.
        stored: Whether the embeddings of the observation are this network's.
        truth: Of these heads; None where it is not known.
    """

    config: LossConfig
    reconstructor: Reconstructor
    tables: LossTables
    renderer: Renderer
    observation: Observation
    reconstruction: Reconstruction
    features: Float[Tensor, "batch feature"] | None = None
    teacher_layer: nn.Linear | None = None
    network: RecognitionNetwork | None = None
    stored: bool = False
    truth: KnownHeads | None = None

    def part(self, which: slice, truth: KnownHeads | None = None) -> "LossInputs":
        """The same of some of the photographs, whose truth may be known."""
        return replace(
            self,
            observation=map_tensors(self.observation, lambda values: values[which]),
            reconstruction=map_tensors(self.reconstruction, lambda values: values[which]),
            features=None if self.features is None else self.features[which],
            truth=truth,
        )

    # Coefficients and landmarks.

    @property
    def parameters(self) -> FaceParameters:
        """The coefficients of the answer."""
        return self.reconstruction.parameters

    @property
    def shape(self) -> Float[Tensor, "batch identity"]:
        """Identity coefficients about those of the head's mean person."""
        return self.parameters.identity - self.tables.identity_center

    @cached_property
    def box_px(self) -> Float[Tensor, " batch"]:
        """Size of each face."""
        return self.observation.box_px

    @cached_property
    def points68(self) -> Points:
        """IBUG's points."""
        return self.reconstruction.landmarks68_image[..., :2], self.observation.landmarks68_px[..., :2]

    @cached_property
    def points478(self) -> Points:
        """MediaPipe's points."""
        vertices_mm = self.reconstruction.mesh.vertices_camera_mm
        points_mm = self.reconstructor.morphable_model.landmarks(vertices_mm, "mediapipe478")
        return project(points_mm, self.observation.intrinsics_px)[..., :2], self.observation.landmarks478_px

    @cached_property
    def unmeshed(self) -> Float[Tensor, " batch"]:
        """1 where there is no mesh, and the 68 points alone must tell of the lids.

        They hardly do: over 6,477 photographs they open an eye by 4.9 % of the face's size where MediaPipe's
        blendshapes call it open and by 4.5 % where they call it shut; its mesh by 6.6 and 1.7 %.
        """
        return 1.0 - self.observation.landmarks478_weight

    @cached_property
    def point_weight68(self) -> Float[Tensor, "batch 68"]:
        """How much each of the 68 points counts: by preset and side of the head; lids only where there is no mesh."""
        lid_weight = self.observation.landmarks68_px.new_ones(len(self.unmeshed), 68)
        lids = torch.tensor(EYES_68, device=lid_weight.device).flatten()
        lid_weight[:, lids] = self.unmeshed[:, None]
        preset = landmark_weights(self.config.landmark_weights).to(lid_weight.device)
        return preset * self._visibility(self.tables.normals68) * lid_weight

    @cached_property
    def point_weight478(self) -> Float[Tensor, "batch 478"]:
        """How much each of MediaPipe's points counts: by the side of the head."""
        return self._visibility(self.tables.normals478)

    def _visibility(self, normals: Float[Tensor, "point 3"]) -> Float[Tensor, "batch point"]:
        rotation, translation_mm = self.parameters.rotation, self.parameters.translation_mm
        return landmark_visibility(normals, rotation, translation_mm, self.config.hidden_landmarks)

    @cached_property
    def seen(self) -> Seen:
        """What the backbone saw.

        Raises:
            ValueError: If there are no features, or the model looks for no points.
        """
        if self.features is None or self.reconstructor.point_update is None:
            raise ValueError("losses of seen points need the features of a model that looks for them: encoder.points")
        return self.reconstructor.backbone.split(self.features)

    @cached_property
    def answered_embedding(self) -> Float[Tensor, "batch number"]:
        """The recognition embeddings as the teacher's layer finds them in the features.

        Raises:
            ValueError: If there is no layer, or nothing for it to look at.
        """
        if self.teacher_layer is None or self.features is None:
            raise ValueError("loss.recognition_distillation needs a layer and the encoder's features")
        length = self.observation.recognition_embedding.shape[1]
        return self.teacher_layer(self.reconstructor.backbone.split(self.features).pooled)[:, :length]

    # Several photographs of one person.

    @cached_property
    def swapped_identity(self) -> tuple[FaceParameters, Bool[Tensor, " batch"]]:
        """The answer with the identity of another photograph of the person, and whose was exchanged."""
        identity, changed = swap_within_person(self.parameters.identity, self.observation.person)
        return replace(self.parameters, identity=identity), changed

    def swapped_points(self, name: str) -> Float[Tensor, "batch point 2"]:
        """The points of a landmark set with the exchanged identity."""
        parameters, _ = self.swapped_identity
        return self.reconstructor.landmarks_image(parameters, self.observation.intrinsics_px, name)[..., :2]

    @cached_property
    def normals(self) -> Float[Tensor, "batch vertex 3"]:
        """Of the vertices, camera space."""
        return vertex_normals(self.reconstruction.mesh.vertices_camera_mm, self.tables.faces)

    @cached_property
    def vertices_image(self) -> Float[Tensor, "batch vertex 3"]:
        """The vertices in the photographs, (x_px, y_px, depth_mm)."""
        return project(self.reconstruction.mesh.vertices_camera_mm, self.observation.intrinsics_px)

    @cached_property
    def skin(self) -> Float[Tensor, "batch vertex"]:
        """Where the label expects skin at the vertices' places: not hair, hands or an open mouth. No gradient."""
        return sample_at_vertices(self.observation.skin_mask[:, None], self.vertices_image.detach())[..., 0]

    @cached_property
    def observed_albedo(self) -> Float[Tensor, "batch vertex 3"]:
        """What the photographs say of the vertices' albedo under the light that was answered."""
        shading = shade(self.normals, self.parameters.lighting)
        return observed_albedo(srgb_to_linear(self.observation.image_srgb), self.vertices_image, shading)

    @cached_property
    def seen_skin(self) -> Float[Tensor, "batch vertex"]:
        """How far the photographs show the bare skin of each vertex, [0, 1]."""
        height, width = self.observation.image_srgb.shape[-2:]
        vertices_mm = self.reconstruction.mesh.vertices_camera_mm
        seen = vertex_visibility(self.vertices_image, vertices_mm, self.normals, height, width)
        return seen * self.skin * self.tables.skin

    # What the mesh decoder added.

    @property
    def detail(self) -> Detail:
        """What the decoder added to the linear heads.

        Raises:
            ValueError: If the model has no decoder.
        """
        if self.reconstruction.detail is None:
            raise ValueError("the answer has no detail: these losses are of a model with a mesh decoder")
        return self.reconstruction.detail

    @cached_property
    def detail_seen(self) -> Float[Tensor, "batch vertex"]:
        """How far the photographs show each vertex, where what lies over it is expected to be skin.

        Over other vertices lie hair, hands or the background, which are no evidence of the head.
        """
        return self.detail.visibility * self.skin

    # The answer drawn over its photographs.

    @cached_property
    def rendering(self) -> Rendering:
        """The heads, drawn as large as the crops."""
        faces, size = self.reconstructor.morphable_model.faces, self.observation.image_srgb.shape[-1]
        camera, lighting = self.observation.intrinsics_px, self.parameters.lighting
        return self.renderer.render_mesh(self.reconstruction.mesh, lighting, faces, camera, size)

    @cached_property
    def comparable(self) -> Float[Tensor, "batch size size"]:
        """Skin that the label expects and the rendering covers."""
        return self.observation.skin_mask * self.rendering.mask.detach()

    @cached_property
    def residual_srgb(self) -> Float[Tensor, "batch size size"]:
        """Distance of rendering and photograph per pixel, in sRGB."""
        return residual_srgb(self.rendering.image_linear, self.observation.image_srgb, self.observation.color)

    # Heads whose truth is known.

    @property
    def known(self) -> KnownHeads:
        """The truth.

        Raises:
            ValueError: If it is not known.
        """
        if self.truth is None:
            raise ValueError("the truth of these heads is not known: these losses are of drawn heads")
        return self.truth

    @cached_property
    def error_mm(self) -> Float[Tensor, "batch vertex 3"]:
        """Answer minus truth, turned, moved and scaled onto it."""
        return self._error_mm(self.reconstruction.mesh.vertices_mm, self.known.vertices_mm)

    @cached_property
    def neutral_error_mm(self) -> Float[Tensor, "batch vertex 3"]:
        """The same of the heads at rest, from identity alone."""
        at_rest_mm = self.reconstructor.morphable_model.neutral_mm(self.parameters.identity)
        return self._error_mm(at_rest_mm, self.known.neutral_mm)

    def _error_mm(
        self, answer_mm: Float[Tensor, "batch vertex 3"], truth_mm: Float[Tensor, "batch vertex 3"]
    ) -> Float[Tensor, "batch vertex 3"]:
        return align_similarity(answer_mm, truth_mm, self.known.vertex_weight) - truth_mm
