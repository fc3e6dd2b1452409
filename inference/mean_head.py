"""The mean head for every face: what goes through the pipeline where the network is not asked."""

from collections.abc import Sequence

import torch

from inference.faces import FaceAnswer, FaceRequest
from model.parameters import FaceParameters
from model.reconstructor import Reconstructor


class MeanHead:
    """Answers each request with the mean head before the camera; the landmark fit puts it in its place."""

    def __init__(self, reconstructor: Reconstructor) -> None:
        """Take the head of a reconstructor."""
        self._reconstructor = reconstructor

    @torch.no_grad()
    def answers(self, requests: Sequence[FaceRequest]) -> list[FaceAnswer]:
        """The mean head, in the camera of each photograph, on the CPU."""
        model = self._reconstructor.morphable_model
        device = model.mean_mm.device
        neutral = FaceParameters.neutral(
            1, model.identity_count, model.expression_count, model.albedo_count, str(device)
        )
        heads = [self._reconstructor.decode(neutral, request.intrinsics_px[None].to(device)) for request in requests]
        return [FaceAnswer(request, head, None) for request, head in zip(requests, heads, strict=True)]
