import math

import pytest
import torch
from torch import Tensor

from model.geometry.camera import (
    crop_intrinsics,
    default_intrinsics,
    focal_from_fov,
    fov_from_focal,
    project,
    projection_slope,
    rotation_towards_ray,
    unproject,
)
from model.geometry.rotation import rotation_from_euler


def camera(fx: float = 900.0, fy: float = 700.0, cx: float = 300.0, cy: float = 200.0) -> Tensor:
    return torch.tensor([[[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]], dtype=torch.float64)


def points(count: int = 50, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    xyz = 100.0 * torch.randn(1, count, 3, generator=generator, dtype=torch.float64)
    return xyz - torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64)


def test_the_slope_is_the_derivative_of_the_projection() -> None:
    some = points(5)
    step = 1e-4 * torch.randn(some.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moved = (project(some + step, camera()) - project(some - step, camera()))[..., :2]
    expected = (projection_slope(some, camera()) @ (2.0 * step)[..., None])[..., 0]
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-10)


def test_unproject_undoes_project() -> None:
    torch.testing.assert_close(unproject(project(points(), camera()), camera()), points())


def test_up_in_space_is_up_in_the_image() -> None:
    centre, above, beside = project(
        torch.tensor([[[0.0, 0.0, -500.0], [0.0, 10.0, -500.0], [10.0, 0.0, -500.0]]], dtype=torch.float64), camera()
    )[0]
    assert above[1] < centre[1]
    assert beside[0] > centre[0]


def test_a_farther_point_has_more_depth_and_lies_nearer_to_the_principal_point() -> None:
    near, far = project(torch.tensor([[[50.0, 0.0, -500.0], [50.0, 0.0, -1000.0]]], dtype=torch.float64), camera())[0]
    assert near[2] == 500.0
    assert far[2] == 1000.0
    torch.testing.assert_close(near[0] - 300.0, 2.0 * (far[0] - 300.0))


def test_a_point_behind_the_camera_gives_finite_values_and_gradients() -> None:
    behind = torch.tensor([[[10.0, 10.0, 0.0], [10.0, 10.0, 50.0]]], dtype=torch.float64, requires_grad=True)
    projected = project(behind, camera())
    projected.sum().backward()
    assert torch.isfinite(projected).all()
    assert behind.grad is not None
    assert torch.isfinite(behind.grad).all()


def test_project_gradient() -> None:
    assert torch.autograd.gradcheck(project, (points(5).requires_grad_(), camera().requires_grad_()))


def test_crop_intrinsics_move_pixels_as_the_crop_does() -> None:
    left_px, top_px, scale = -37.5, 81.25, 0.37
    in_photograph = project(points(), camera())
    in_crop = project(points(), crop_intrinsics(camera(), left_px, top_px, scale))
    moved = (in_photograph[..., :2] - torch.tensor([left_px, top_px], dtype=torch.float64)) * scale
    torch.testing.assert_close(in_crop[..., :2], moved)
    torch.testing.assert_close(in_crop[..., 2], in_photograph[..., 2])


def test_a_crop_of_a_crop_is_a_crop() -> None:
    twice = crop_intrinsics(crop_intrinsics(camera(), 10.0, 20.0, 0.5), 4.0, 6.0, 3.0)
    torch.testing.assert_close(twice, crop_intrinsics(camera(), 10.0 + 8.0, 20.0 + 12.0, 1.5))


def test_the_documented_inverse_of_a_crop() -> None:
    left_px, top_px, scale = 12.0, -7.0, 1.75
    there = crop_intrinsics(camera(), left_px, top_px, scale)
    torch.testing.assert_close(crop_intrinsics(there, -left_px * scale, -top_px * scale, 1.0 / scale), camera())


@pytest.mark.parametrize(("height_px", "width_px"), [(400, 1000), (1000, 400), (700, 700)])
def test_default_camera_sees_30_degrees_over_the_longer_side(height_px: int, width_px: int) -> None:
    intrinsics_px = default_intrinsics(height_px, width_px)[None].double()
    middle = [0.5 * width_px, 0.5 * height_px]
    ends = [[0.0, middle[1]], [width_px, middle[1]]] if width_px >= height_px else [[middle[0], 0.0], [middle[0], 1e3]]
    points = torch.tensor([[[*end, 1.0] for end in ends]], dtype=torch.float64)
    edges = unproject(points, intrinsics_px)[0]
    cosine = torch.nn.functional.cosine_similarity(edges[0], edges[1], dim=0)
    assert math.degrees(math.acos(cosine.item())) == pytest.approx(30.0, abs=1e-3)


def test_focal_length_and_field_of_view_are_each_other_turned_round() -> None:
    assert focal_from_fov(36.0, 2.0 * math.degrees(math.atan(18.0 / 50.0))) == pytest.approx(50.0)
    assert fov_from_focal(640.0, focal_from_fov(640.0, 41.5)) == pytest.approx(41.5)


def test_rotation_towards_ray_carries_the_axis_to_the_ray_without_roll_about_it() -> None:
    pixels = torch.tensor([[300.0, 200.0], [0.0, 0.0], [900.0, 100.0], [250.0, 1500.0]], dtype=torch.float64)
    intrinsics_px = camera().repeat(4, 1, 1)
    rotation = rotation_towards_ray(pixels, intrinsics_px)
    image = torch.cat((pixels, torch.ones(4, 1, dtype=torch.float64)), dim=1)[:, None]
    ray = torch.nn.functional.normalize(unproject(image, intrinsics_px)[:, 0], dim=-1)
    axis = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(rotation @ axis, ray)
    # The smallest rotation that does so turns by the angle between the two and no more.
    angle = torch.acos(((torch.diagonal(rotation, dim1=1, dim2=2).sum(-1) - 1.0) / 2.0).clamp(-1.0, 1.0))
    torch.testing.assert_close(angle, torch.acos((ray @ axis).clamp(-1.0, 1.0)), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(rotation[0], torch.eye(3, dtype=torch.float64))
    identity = torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4, dtype=torch.float64))


def test_a_head_seen_along_its_ray_looks_the_same_wherever_it_is() -> None:
    """What `rotation_towards_ray` is for: the same turn in the crop, another one in space."""
    generator = torch.Generator().manual_seed(1)
    head_mm = 60.0 * torch.randn(1, 200, 3, generator=generator, dtype=torch.float64)
    in_crop = rotation_from_euler(torch.tensor([[0.3, 0.1, -0.2]], dtype=torch.float64))
    intrinsics_px = camera(fx=800.0, fy=800.0)
    seen = []
    for pixel in ([300.0, 200.0], [700.0, 350.0]):
        pixel_px = torch.tensor([pixel], dtype=torch.float64)
        rotation = rotation_towards_ray(pixel_px, intrinsics_px)
        # On that ray, at one distance from the camera.
        centre_mm = rotation @ torch.tensor([0.0, 0.0, -50000.0], dtype=torch.float64)
        camera_mm = head_mm @ (rotation @ in_crop).transpose(1, 2) + centre_mm[:, None]
        along = torch.nn.functional.normalize(centre_mm, dim=-1)
        # Directions as seen by an eye that looks along the ray.
        looked_at = camera_mm @ rotation
        seen.append(looked_at[..., :2] / -looked_at[..., 2:])
        assert (camera_mm @ along[0]).min() > 0
    torch.testing.assert_close(seen[0], seen[1])
