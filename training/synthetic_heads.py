"""The artist of `data.synthetic`: draws a scene's head with the morphable model and the renderer."""

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from data.synthetic import Drawing, HeadScene
from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin, triangles_of
from model.geometry.camera import project
from model.geometry.rotation import rotation_from_euler
from model.parameters import FaceParameters
from model.render.lighting import directional_lighting, neutral_lighting
from model.render.renderer import Renderer
from training.relief import Relief

_DARKEST_ALBEDO = 0.005


class MorphableHeadArtist:
    """A `data.synthetic.HeadArtist`."""

    def __init__(
        self,
        morphable_model: MorphableModel,
        renderer: Renderer,
        relief: Relief | None = None,
        skins: UInt8[Tensor, "skin vertex 3"] | None = None,
    ) -> None:
        """Take what heads are made of.

        Args:
            morphable_model: The head model, with landmark sets `ibug68` and `mediapipe478`.
            renderer: What draws it.
            relief: Shapes beyond its components; None for heads of components alone.
            skins: Photographed skins (`model.face.skins`); None for heads of the albedo model alone.
        """
        self._model = morphable_model
        self._renderer = renderer
        self._relief = relief
        self._skins = skins
        self._skin_faces = triangles_of(morphable_model, facial_skin(morphable_model))
        # The last scene's vertices: landmarks, picture and truth of one face ask for them five times.
        self._drawn: tuple[HeadScene, Tensor] | None = None

    @property
    def identity_count(self) -> int:
        """Identity components."""
        return self._model.identity_count

    @property
    def albedo_count(self) -> int:
        """Albedo components."""
        return self._model.albedo_count

    @property
    def relief_count(self) -> int:
        """Coefficients of shapes beyond the components."""
        return 0 if self._relief is None else self._relief.count

    @property
    def skin_count(self) -> int:
        """Photographed skins."""
        return 0 if self._skins is None else len(self._skins)

    @property
    def expression_names(self) -> tuple[str, ...]:
        """Blendshapes."""
        return self._model.expression_names

    @torch.no_grad()
    def landmarks_image(
        self, scene: HeadScene, intrinsics_px: Float32[np.ndarray, "3 3"], name: str
    ) -> Float32[np.ndarray, "landmark 3"]:
        """Points of a landmark set as (x_px, y_px, depth_mm)."""
        parameters = scene_parameters(scene)
        points_mm = self._model.landmarks(self.vertices_mm(scene), name)
        return project(parameters.to_camera(points_mm), torch.from_numpy(intrinsics_px)[None])[0].numpy()

    @torch.no_grad()
    def draw(self, scene: HeadScene, intrinsics_px: Float32[np.ndarray, "3 3"], size: int) -> Drawing:
        """Draw the head into a square of `size` px."""
        parameters = scene_parameters(scene)
        rendering = self._renderer.render(
            parameters.to_camera(self.vertices_mm(scene)),
            self._albedo_linear(scene, parameters),
            parameters.lighting,
            self._model.faces,
            torch.from_numpy(intrinsics_px)[None],
            size,
            size,
        )
        seen = rendering.face_index[0].long()
        skin = self._skin_faces[seen.clamp(min=0)] & (seen >= 0)
        return Drawing(
            image_linear=rendering.image_linear[0].clamp(min=0.0).numpy(),
            coverage=rendering.mask[0].clamp(0.0, 1.0).numpy(),
            skin=skin.float().numpy(),
        )

    @torch.no_grad()
    def vertices_mm(self, scene: HeadScene) -> Float[Tensor, "1 vertex 3"]:
        """The head in model space: the truth that a reconstruction is compared with."""
        if self._drawn is None or self._drawn[0] is not scene:
            expression = torch.from_numpy(scene.expression)[None]
            vertices_mm = self._model.vertices_mm(torch.from_numpy(scene.identity)[None], expression)
            if self._relief is not None:
                vertices_mm = vertices_mm + self._relief.offsets_mm(scene.relief)
            self._drawn = (scene, vertices_mm)
        return self._drawn[1]

    def _albedo_linear(self, scene: HeadScene, parameters: FaceParameters) -> Float[Tensor, "1 vertex 3"]:
        if scene.skin >= 0 and self._skins is not None:
            # Of the scalp too: the hair that a photograph has there is as good as any.
            return (self._skins[scene.skin].float() / 255.0).square().clamp(min=_DARKEST_ALBEDO)[None]
        albedo_linear = self._model.albedo_linear(parameters.albedo).clamp(_DARKEST_ALBEDO, 1.0)
        if scene.hair_linear is None or "scalp" not in self._model.region_names:
            return albedo_linear
        scalp = self._model.region("scalp")[None, :, None]
        return torch.where(scalp, torch.from_numpy(scene.hair_linear), albedo_linear)


def scene_parameters(scene: HeadScene) -> FaceParameters:
    """The scene's numbers as the model's parameters, batch of one: what a perfect reconstruction would answer."""
    lighting = neutral_lighting(1) * torch.from_numpy(scene.ambient)
    for lamp in scene.lamps:
        lighting = lighting + directional_lighting(
            torch.from_numpy(lamp.direction)[None], torch.from_numpy(lamp.strength)[None]
        )
    return FaceParameters(
        identity=torch.from_numpy(scene.identity)[None],
        expression=torch.from_numpy(scene.expression)[None],
        albedo=torch.from_numpy(scene.albedo)[None],
        rotation=rotation_from_euler(torch.from_numpy(scene.yaw_pitch_roll_rad)[None]),
        translation_mm=torch.from_numpy(scene.translation_mm)[None],
        lighting=lighting,
    )
