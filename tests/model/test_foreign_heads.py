"""Nothing behind a head file knows which model it was: published layouts train a step and are written as files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.mirror import ParameterMirror
from model.encoder.backbone import EncoderConfig
from model.export.face_files import FaceFiles
from model.face.assets import HeadAssets
from model.face.completion import completed
from model.face.readers.flame import FlameFiles, read_flame
from model.face.readers.gnm import read_gnm
from model.geometry.camera import default_intrinsics
from model.look.face_result import face_result
from model.losses.config import LossConfig
from model.losses.objective import Objective
from model.losses.weighting import total
from model.observation import Observation
from model.reconstructor import Reconstructor
from tests.model.face.layouts import truth, write_flame, write_flame_landmarks, write_gnm
from tests.small_world import BACKBONE, IMAGE_SIZE, crop_camera, toy_head

PHOTOGRAPH = np.random.default_rng(0).integers(0, 255, (240, 200, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["flame", "gnm"])
def head(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HeadAssets:
    folder = tmp_path_factory.mktemp("foreign")
    if request.param == "flame":
        files = FlameFiles(write_flame(folder, truth()), write_flame_landmarks(folder, toy_head()))
        return completed(read_flame(files), toy_head())[0]
    return completed(read_gnm(write_gnm(folder, truth())), toy_head())[0]


def test_a_step_of_training_moves_the_network(head: HeadAssets) -> None:
    torch.manual_seed(0)
    network = Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, head).train()
    observation = Observation.fake(batch=2, size=IMAGE_SIZE)
    config = LossConfig(photometric=1.0, opposites=0.1, blendshapes=1.0, symmetry=0.1)
    answer = network(observation.image_srgb, crop_camera(2))
    # Raises where a term is not finite.
    total(Objective(config, network)(observation, answer, torch.zeros(2, 1))).backward()
    moved = [p for p in network.parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]
    assert len(moved) > 10


def test_a_face_of_it_is_written_and_mirrored(head: HeadAssets, tmp_path: Path) -> None:
    network = Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, head).eval()
    camera = default_intrinsics(*PHOTOGRAPH.shape[:2])
    with torch.no_grad():
        answer = network(torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(1))
        again = ParameterMirror(network.morphable_model)(answer.parameters)
    assert torch.isfinite(again.expression).all()
    assert again.expression.min() >= 0.0
    box_px = np.array([10.0, 10.0, 90.0, 120.0])
    result = face_result(network.decode(answer.parameters, camera[None]), network.morphable_model, camera, box_px, 0.9)
    FaceFiles(network.morphable_model, 64).write(result, PHOTOGRAPH, tmp_path, ("glb", "obj"))
    assert (tmp_path / "mesh.glb").stat().st_size > 10_000
    lines = (tmp_path / "mesh.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == len(head.vertices_mm)
