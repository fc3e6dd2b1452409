"""Faces of photographs through a model with a mesh decoder, to the files."""

from pathlib import Path

import numpy as np
import torch

from data.alignment import CropWindow
from inference.faces import FaceReconstructor, FaceRequest
from model.export.arrays import write_arrays
from model.look.face_result import face_result
from model.reconstructor import Reconstructor
from tests.small_world import toy_decoding_reconstructor, toy_reconstructor

PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
WINDOWS = (CropWindow(50.0, 40.0, 160.0), CropWindow(220.0, 130.0, 90.0))


def awake() -> Reconstructor:
    reconstructor = toy_decoding_reconstructor()
    torch.manual_seed(0)
    decoder = reconstructor.detail_head
    assert decoder is not None
    torch.nn.init.normal_(decoder.outputs.weight, std=0.5)
    return reconstructor


def test_each_face_is_refined_from_its_own_crop_and_stands_in_its_photograph() -> None:
    reconstructor = awake()
    faces = FaceReconstructor(reconstructor, torch.device("cpu"))
    requests = [FaceRequest.in_photograph(PHOTOGRAPH, window) for window in WINDOWS]
    together = faces.reconstruct(requests)
    for request, answer in zip(requests, together, strict=True):
        detail = answer.detail
        assert detail is not None
        assert detail.offsets_mm.shape == answer.mesh.vertices_mm.shape
        assert detail.offsets_mm.norm(dim=-1).max() > 0.05
        linear = reconstructor.linear_mesh(answer.parameters)
        torch.testing.assert_close(answer.mesh.vertices_mm, linear.vertices_mm + detail.offsets_mm)
        torch.testing.assert_close(
            answer.mesh.vertices_camera_mm, answer.parameters.to_camera(answer.mesh.vertices_mm), atol=1e-3, rtol=1e-4
        )
        (alone,) = faces.reconstruct([request])
        assert alone.detail is not None
        torch.testing.assert_close(alone.detail.offsets_mm, detail.offsets_mm, atol=1e-2, rtol=1e-2)
    first, second = (answer.detail for answer in together)
    assert first is not None
    assert second is not None
    assert (first.albedo_linear - second.albedo_linear).abs().max() > 1e-3


def test_the_arrays_tell_what_was_added_and_how_sure_it_is(tmp_path: Path) -> None:
    for reconstructor in (awake(), toy_reconstructor()):
        request = FaceRequest.in_photograph(PHOTOGRAPH, WINDOWS[0])
        (answer,) = FaceReconstructor(reconstructor, torch.device("cpu")).reconstruct([request])
        box = np.array([50.0, 40.0, 210.0, 200.0])
        result = face_result(answer, reconstructor.morphable_model, request.intrinsics_px, box, 0.9)
        write_arrays(result, tmp_path / "face.npz")
        with np.load(tmp_path / "face.npz") as face:
            offsets_mm, sigma_mm, vertices = face["offsets_mm"], face["sigma_mm"], face["vertices"]
            neutral_mm = face["vertices_neutral"]
        linear_mm = reconstructor.linear_mesh(answer.parameters).vertices_mm[0].numpy()
        np.testing.assert_allclose(vertices - offsets_mm, linear_mm, atol=1e-4)
        model, parameters = reconstructor.morphable_model, answer.parameters
        alone_mm = model.vertices_mm(parameters.identity, torch.zeros_like(parameters.expression))[0].numpy()
        np.testing.assert_allclose(neutral_mm, alone_mm, atol=1e-4)
        if answer.detail is None:
            assert not offsets_mm.any()
            assert np.isnan(sigma_mm).all()
        else:
            assert np.abs(offsets_mm).max() > 0.05
            assert (sigma_mm > 0.0).all()
