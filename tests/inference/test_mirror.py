from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.faces import FaceReconstructor
from inference.mirror import ParameterMirror, mean_parameters, mirrored_names
from model.face.morphable_model import MorphableModel
from model.face.readers.foreign import signed_pairs
from model.geometry.rotation import rotation_from_euler
from model.parameters import FaceParameters
from model.render.lighting import shade
from tests.small_world import crop_camera, toy_head, toy_reconstructor

MODEL = toy_reconstructor().morphable_model
FLIP = torch.tensor([-1.0, 1.0, 1.0])


def some_face(seed: int = 0) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    return FaceParameters(
        identity=torch.randn(2, MODEL.identity_count, generator=generator),
        expression=torch.rand(2, MODEL.expression_count, generator=generator),
        albedo=torch.randn(2, MODEL.albedo_count, generator=generator),
        rotation=rotation_from_euler(torch.randn(2, 3, generator=generator)),
        translation_mm=torch.tensor([[30.0, -20.0, -700.0], [-50.0, 10.0, -900.0]]),
        lighting=torch.randn(2, 9, 3, generator=generator),
    )


def test_a_mirrored_face_is_the_mirror_image() -> None:
    face = some_face()
    mirrored = ParameterMirror(MODEL)(face)
    shape = face.to_camera(MODEL.vertices_mm(face.identity, face.expression))
    shape_mirrored = mirrored.to_camera(MODEL.vertices_mm(mirrored.identity, mirrored.expression))
    # The toy head's expressions tilt a little differently by name, hence the tolerance in mm.
    torch.testing.assert_close(shape_mirrored, shape[:, MODEL.mirror] * FLIP, rtol=0.0, atol=5.0)
    no_expression = torch.zeros_like(face.expression)
    plain = face.to_camera(MODEL.vertices_mm(face.identity, no_expression))
    plain_mirrored = mirrored.to_camera(MODEL.vertices_mm(mirrored.identity, no_expression))
    torch.testing.assert_close(plain_mirrored, plain[:, MODEL.mirror] * FLIP, rtol=1e-4, atol=0.05)
    albedo, albedo_mirrored = MODEL.albedo_linear(face.albedo), MODEL.albedo_linear(mirrored.albedo)
    torch.testing.assert_close(albedo_mirrored, albedo[:, MODEL.mirror], rtol=1e-3, atol=1e-3)


def test_components_that_go_both_ways_are_mirrored_as_shapes() -> None:
    head = toy_head()
    rows = (head.expression_names.index("jawLeft"), head.expression_names.index("jawOpen"))
    names, pairs = signed_pairs("e", head.expression_basis[list(rows)] / 3.0)
    flipped = head.expression_basis[rows[0]][head.mirror] * FLIP.numpy()
    # Two components that are each other's mirror image in part.
    names2, pairs2 = signed_pairs("f", flipped[None] / 3.0)
    basis = np.concatenate((pairs, pairs2))
    model = MorphableModel(replace(head, expression_basis=basis, expression_names=(*names, *names2)))
    face = FaceParameters.neutral(1, model.identity_count, len(basis), model.albedo_count)
    face = replace(face, expression=torch.tensor([[0.6, 0.0, 0.0, 0.3, 0.0, 0.0]]))
    mirrored = ParameterMirror(model)(face)
    shape = model.vertices_mm(face.identity, face.expression)
    found = model.vertices_mm(mirrored.identity, mirrored.expression)
    torch.testing.assert_close(found, shape[:, model.mirror] * FLIP, rtol=0.0, atol=0.7)
    assert mirrored.expression.min() >= 0.0


def test_mirrored_light_falls_on_the_other_side() -> None:
    face = some_face()
    normals = torch.nn.functional.normalize(torch.randn(2, 50, 3), dim=-1)
    mirrored = ParameterMirror(MODEL)(face)
    torch.testing.assert_close(shade(normals * FLIP, mirrored.lighting), shade(normals, face.lighting))


def test_mirroring_twice_and_meaning_with_itself_change_nothing() -> None:
    face = some_face()
    mirror = ParameterMirror(MODEL)
    for other in (mirror(mirror(face)), mean_parameters([face, face, face])):
        for name, value in vars(face).items():
            torch.testing.assert_close(vars(other)[name], value, rtol=1e-3, atol=1e-3)


def test_the_mean_of_rotations_lies_halfway() -> None:
    face = some_face()
    turned = [
        FaceParameters(**{**vars(face), "rotation": rotation_from_euler(torch.tensor([[yaw, 0.2, 0.1]] * 2))})
        for yaw in (0.3, 0.7)
    ]
    expected = rotation_from_euler(torch.tensor([[0.5, 0.2, 0.1]] * 2))
    torch.testing.assert_close(mean_parameters(turned).rotation, expected, atol=0.02, rtol=0.0)


def test_left_and_right_change_places() -> None:
    assert mirrored_names(("jawLeft", "eyeBlinkRight", "jawOpen", "jawRight", "eyeBlinkLeft")).tolist() == [
        3,
        4,
        2,
        0,
        1,
    ]
    with pytest.raises(ValueError, match="jawRight"):
        mirrored_names(("jawLeft",))


def test_both_sides_of_a_mirrored_crop_give_the_mirrored_answer() -> None:
    """Whatever the network says, the mean over both sides knows no left and right."""
    reconstructor = toy_reconstructor()
    torch.manual_seed(0)
    for parameter in reconstructor.parameter_head.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    faces = FaceReconstructor(reconstructor, torch.device("cpu"))
    size = reconstructor.image_size
    image, camera = torch.rand(1, 3, size, size), crop_camera(1)
    with torch.no_grad():
        plain = mean_parameters(faces._both_sides((image, camera))[0])
        other = mean_parameters(faces._both_sides((image.flip(-1), camera))[0])
        mirrored = ParameterMirror(reconstructor.morphable_model)(other)
    torch.testing.assert_close(mirrored.rotation, plain.rotation, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mirrored.translation_mm, plain.translation_mm, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(mirrored.lighting, plain.lighting, rtol=1e-4, atol=1e-4)


def test_no_answers_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no answers"):
        mean_parameters([])
