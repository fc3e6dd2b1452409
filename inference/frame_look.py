"""One look at a face whose place is known already: in the frames of a video."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from common.tensor_groups import map_tensors
from inference.confidence import spread_percent
from inference.faces import FaceReconstructor, FaceRequest, next_window, shift_percent, split_batch
from inference.mirror import ParameterMirror
from inference.roll import rolled
from model.geometry.camera import crop_intrinsics
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction


@dataclass(frozen=True)
class FrameLook:
    """What one look at a face says.

    Attributes:
        parameters: Batch axis 1, on the CPU, in the photograph's camera.
        landmarks68_px: iBUG's points of that head in the photograph.
        spread_percent: How far its points and those of a look at the mirror image lie from their mean, in percent of
            the face's size; None where nobody looked at the mirror image.
        shift_percent: How far the window around those points is from the window that was looked at, see `Signals`.
    """

    parameters: FaceParameters
    landmarks68_px: Float[np.ndarray, "68 2"]
    spread_percent: float | None
    shift_percent: float


class FrameLooks:
    """Looks at faces once, as is enough where the window is good."""

    def __init__(self, faces: FaceReconstructor, device: torch.device) -> None:
        """Take the network and where it runs."""
        self._faces = faces
        self._device = device
        self._mirror = ParameterMirror(faces.reconstructor.morphable_model)

    @torch.inference_mode()
    def look(self, request: FaceRequest, *, mirrored: bool) -> FrameLook:
        """Look at a face.

        Args:
            request: The face.
            mirrored: Whether to look at its mirror image as well, which only says how far the look can be trusted.
        """
        image_srgb, camera_px = self._crop(request)
        looks = [self._faces.parameters_of(image_srgb, camera_px)]
        if mirrored:
            other_px = camera_px.clone()
            other_px[:, 0, 2] = image_srgb.shape[-1] - camera_px[:, 0, 2]
            looks.append(self._mirror(self._faces.parameters_of(image_srgb.flip(-1), other_px)))
        looks_px = np.stack([self._landmarks_px(one, request) for one in looks])
        answer = rolled(looks[0], torch.deg2rad(torch.tensor([request.roll_degrees], device=self._device)))
        return FrameLook(
            map_tensors(answer, lambda values: values.cpu()),
            self._landmarks_px(answer, request),
            spread_percent(looks_px) if mirrored else None,
            shift_percent(request.window, next_window(request.window, looks_px[0])),
        )

    @torch.inference_mode()
    def with_detail(self, request: FaceRequest, parameters: FaceParameters) -> Reconstruction:
        """The head of given parameters, batch axis 1, in their photograph, with the detail that it shows."""
        given = map_tensors(parameters, lambda values: values.to(self._device))
        back = torch.deg2rad(torch.tensor([-request.roll_degrees], device=self._device))
        reconstructor = self._faces.reconstructor
        detail = reconstructor.detail(*self._crop(request), rolled(given, back))
        whole = request.intrinsics_px[None].to(self._device)
        return split_batch(reconstructor.decode(given, whole, detail))[0]

    def _crop(self, request: FaceRequest) -> tuple[Float[torch.Tensor, "1 3 size size"], Float[torch.Tensor, "1 3 3"]]:
        """The window's crop and its camera."""
        window, size = request.window, self._faces.reconstructor.image_size
        image_srgb = (
            torch.from_numpy(request.crop(window, size)).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        )
        camera_px = crop_intrinsics(request.intrinsics_px, window.left_px, window.top_px, size / window.side_px)
        return image_srgb, camera_px[None].to(self._device)

    def _landmarks_px(self, parameters: FaceParameters, request: FaceRequest) -> Float[np.ndarray, "68 2"]:
        whole = request.intrinsics_px[None].to(self._device)
        return self._faces.reconstructor.landmarks_image(parameters, whole)[0, :, :2].cpu().double().numpy()
