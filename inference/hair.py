"""Hair of faces: the person network's mask, and the shell that is made from it."""

from functools import cached_property

import numpy as np
import torch
from jaxtyping import UInt8

from inference.options import HairKind
from inference.person_masks import PersonMasker
from model.face.morphable_model import MorphableModel
from model.look.face_result import FaceResult
from model.look.hair_grid import ScalpTemplate, scalp_template
from model.look.hair_mesh import FaceHair, hair_mesh
from model.look.hair_shell import build_shell
from model.look.hair_texture import draw_hair
from model.person.classes import HAIR, SKIN
from model.person.mask import PersonMask


class HairMaker:
    """Finds out what of a photograph is hair, and makes a mesh of it.

    Attributes:
        kind: What becomes of hair. On a head model that does not say where its scalp is, a shell cannot be made: such a
            head gets a cap.
    """

    def __init__(self, model: MorphableModel, device: torch.device, kind: HairKind = "shell") -> None:
        """Take the head model; the network is loaded with the first face."""
        self.kind: HairKind = "cap" if kind == "shell" and "scalp" not in model.region_names else kind
        self._model = model
        self._device = device

    @cached_property
    def _masker(self) -> PersonMasker:
        return PersonMasker.load(self._device)

    @cached_property
    def _template(self) -> ScalpTemplate:
        return scalp_template(self._model)

    def mask(self, image_srgb: UInt8[np.ndarray, "height width 3"], result: FaceResult) -> PersonMask:
        """What a photograph shows about a face: skin, hair, the rest of the person, background."""
        return self._masker.mask(image_srgb, result.landmarks68_px, float(result.yaw_pitch_roll_degrees[2]))

    def of(self, image_srgb: UInt8[np.ndarray, "height width 3"], result: FaceResult) -> FaceHair:
        """The hair of a face.

        Args:
            image_srgb: The photograph.
            result: The face in it.
        """
        mask = self.mask(image_srgb, result)
        skin = mask.in_photograph(SKIN, *image_srgb.shape[:2])
        if self.kind == "cap":
            return FaceHair(skin + mask.in_photograph(HAIR, *image_srgb.shape[:2]), None)
        if self.kind == "none":
            return FaceHair(skin, None)
        shell = build_shell(result, mask, self._template, self._model)
        if shell is None:
            return FaceHair(skin, None)
        return FaceHair(skin, hair_mesh(shell, draw_hair(shell, result, image_srgb, mask)))
