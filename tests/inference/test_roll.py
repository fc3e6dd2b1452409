from dataclasses import replace
from math import pi

import torch

from inference.roll import rolled
from model.geometry.camera import project
from model.parameters import FaceParameters
from model.render.lighting import shade


def any_parameters() -> FaceParameters:
    torch.manual_seed(0)
    neutral = FaceParameters.neutral(2, 3, 4, 5)
    return replace(
        neutral,
        translation_mm=torch.tensor([[30.0, 40.0, -700.0], [-10.0, 5.0, -500.0]]),
        lighting=torch.randn(2, 9, 3),
    )


def test_a_face_turns_about_the_principal_point_and_its_light_with_it() -> None:
    parameters, roll = any_parameters(), torch.tensor([0.7, -2.1])
    after = rolled(parameters, roll)
    points_mm = 50.0 * torch.randn(2, 6, 3)
    camera = torch.tensor([[900.0, 0.0, 320.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]]).expand(2, 3, 3)
    centered = project(parameters.to_camera(points_mm), camera)[..., :2] - torch.tensor([320.0, 240.0])
    turned = project(after.to_camera(points_mm), camera)[..., :2] - torch.tensor([320.0, 240.0])
    cosine, sine = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
    # Counter-clockwise, with y down.
    expected = torch.stack(
        (cosine * centered[..., 0] + sine * centered[..., 1], cosine * centered[..., 1] - sine * centered[..., 0]), -1
    )
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-2)
    normals_model = torch.nn.functional.normalize(torch.randn(2, 8, 3), dim=-1)
    before = shade(normals_model @ parameters.rotation.transpose(1, 2), parameters.lighting)
    torch.testing.assert_close(shade(normals_model @ after.rotation.transpose(1, 2), after.lighting), before)


def test_no_turn_changes_nothing_and_a_whole_turn_next_to_nothing() -> None:
    parameters = any_parameters()
    assert rolled(parameters, torch.zeros(2)) is parameters
    mixed = rolled(parameters, torch.tensor([0.0, 1.0]))
    assert torch.equal(mixed.rotation[0], parameters.rotation[0])
    assert torch.equal(mixed.lighting[0], parameters.lighting[0])
    whole = rolled(parameters, torch.full((2,), 2.0 * pi))
    torch.testing.assert_close(whole.translation_mm, parameters.translation_mm)
    torch.testing.assert_close(whole.lighting, parameters.lighting, rtol=1e-4, atol=1e-4)
