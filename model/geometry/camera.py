"""The camera. Every conversion between space and pixels is written here and nowhere else.

Convention
----------
* Camera space is right-handed, in millimetres; the camera sits at the origin, looks along -z, has +y up and
  +x to the right of the image. `depth_mm = -z` is positive in front of the camera.
* Image space has its origin at the top-left *corner*; x goes right, y goes down; the centre of the first
  pixel is (0.5, 0.5). `points_image` are (x_px, y_px, depth_mm).
* Intrinsics are `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]` in pixels, and
  `x_px = fx * X / -Z + cx`, `y_px = cy - fy * Y / -Z`.

Worked number: with fx = fy = 1000, cx = cy = 256, the point (100, 50, -1000) mm lies at (356, 206) px.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

DEFAULT_FOV_DEGREES = 30.0
"""Assumed over the longer side of a photograph whose focal length is unknown: that of a 67 mm lens on a full-frame
camera. Over the longer side, since a wide picture would else be taken for a wide-angle one: a face at the edge of one
of 3:1 would be turned by 28 degrees instead of 11.
"""

_NEAR_MM = 1.0


def default_intrinsics(height_px: int, width_px: int) -> Float[Tensor, "3 3"]:
    """Intrinsics of a whole photograph of unknown camera.

    Args:
        height_px: Height of the photograph.
        width_px: Width of the photograph.

    Returns:
        Square pixels, principal point at the image's centre, a field of view of 30 degrees over the longer side.
    """
    focal_px = focal_from_fov(float(max(height_px, width_px)), DEFAULT_FOV_DEGREES)
    return centered_intrinsics(height_px, width_px, focal_px)


def centered_intrinsics(height_px: int, width_px: int, focal_px: float) -> Float[Tensor, "3 3"]:
    """Intrinsics of a whole photograph: square pixels, principal point at its centre.

    Args:
        height_px: Height of the photograph.
        width_px: Width of the photograph.
        focal_px: Focal length.
    """
    return torch.tensor([[focal_px, 0.0, 0.5 * width_px], [0.0, focal_px, 0.5 * height_px], [0.0, 0.0, 1.0]])


def focal_from_fov(side_px: float, fov_degrees: float) -> float:
    """Focal length in px of a camera whose field of view over a side of the photograph is so wide."""
    return 0.5 * side_px / math.tan(math.radians(0.5 * fov_degrees))


def fov_from_focal(side_px: float, focal_px: float) -> float:
    """Field of view in degrees over a side of a photograph, the inverse of `focal_from_fov`."""
    return 2.0 * math.degrees(math.atan(0.5 * side_px / focal_px))


def crop_intrinsics(
    intrinsics_px: Float[Tensor, "*batch 3 3"], left_px: float, top_px: float, scale: float
) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics of a window of an image: a window is a translation and a scale, so it folds into K.

    Args:
        intrinsics_px: Intrinsics of the image.
        left_px: x of the window's left edge in the image.
        top_px: y of the window's top edge in the image.
        scale: Window pixels per image pixel (`crop_size / side_px`). `crop_intrinsics(K, -left*scale,
            -top*scale, 1/scale)` undoes it.

    Returns:
        Intrinsics in which the same camera ray meets the window's pixel.
    """
    window_from_image = intrinsics_px.new_tensor(
        [[scale, 0.0, -left_px * scale], [0.0, scale, -top_px * scale], [0.0, 0.0, 1.0]]
    )
    return window_from_image @ intrinsics_px


def project(
    points_camera_mm: Float[Tensor, "batch point 3"],
    intrinsics_px: Float[Tensor, "batch 3 3"],
    nearest_mm: float = _NEAR_MM,
) -> Float[Tensor, "batch point 3"]:
    """Project camera-space points.

    Args:
        points_camera_mm: Points in camera space.
        intrinsics_px: Camera matrices.
        nearest_mm: Points nearer than this are projected as if they were so far away, so that no division by zero can
            occur.

    Returns:
        (x_px, y_px, depth_mm) of each point.
    """
    depth_mm = -points_camera_mm[..., 2]
    inverse_depth = depth_mm.clamp(min=nearest_mm).reciprocal()
    fx, fy = intrinsics_px[:, 0, 0, None], intrinsics_px[:, 1, 1, None]
    cx, cy = intrinsics_px[:, 0, 2, None], intrinsics_px[:, 1, 2, None]
    x_px = fx * points_camera_mm[..., 0] * inverse_depth + cx
    y_px = cy - fy * points_camera_mm[..., 1] * inverse_depth
    return torch.stack((x_px, y_px, depth_mm), dim=-1)


def projection_slope(
    points_camera_mm: Float[Tensor, "batch point 3"],
    intrinsics_px: Float[Tensor, "batch 3 3"],
    nearest_mm: float = _NEAR_MM,
) -> Float[Tensor, "batch point 2 3"]:
    """How (x_px, y_px) of `project` move with X, Y and Z of points in camera space, in px per mm.

    Args:
        points_camera_mm: Points in camera space.
        intrinsics_px: Camera matrices.
        nearest_mm: As for `project`.
    """
    x, y, z = points_camera_mm.unbind(-1)
    inverse_depth = (-z).clamp(min=nearest_mm).reciprocal()
    fx, fy = intrinsics_px[:, 0, 0, None] * inverse_depth, intrinsics_px[:, 1, 1, None] * inverse_depth
    zero = torch.zeros_like(x)
    by_x = torch.stack((fx, zero, fx * x * inverse_depth), dim=-1)
    by_y = torch.stack((zero, -fy, -fy * y * inverse_depth), dim=-1)
    return torch.stack((by_x, by_y), dim=-2)


def unproject(
    points_image: Float[Tensor, "batch point 3"], intrinsics_px: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch point 3"]:
    """Inverse of `project`: (x_px, y_px, depth_mm) back to camera space in mm."""
    x_px, y_px, depth_mm = points_image.unbind(-1)
    fx, fy = intrinsics_px[:, 0, 0, None], intrinsics_px[:, 1, 1, None]
    cx, cy = intrinsics_px[:, 0, 2, None], intrinsics_px[:, 1, 2, None]
    return torch.stack(((x_px - cx) / fx * depth_mm, (cy - y_px) / fy * depth_mm, -depth_mm), dim=-1)


def rotation_towards_ray(
    points_px: Float[Tensor, "batch 2"], intrinsics_px: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch 3 3"]:
    """The smallest rotation that carries the optical axis (0, 0, -1) onto the ray through a pixel.

    A head at the border of a wide photograph is seen from its side although it faces the same way as one in the
    middle. A network that sees only a crop answers with the rotation relative to the ray; this turns
    that answer into camera space (Kundu et al., "3D-RCNN", CVPR 2018, section 3.2: allocentric to egocentric).

    Args:
        points_px: Where the ray meets the image.
        intrinsics_px: Camera matrices.

    Returns:
        Rotations, the identity where the pixel is the principal point.
    """
    ones = torch.ones_like(points_px[:, :1, None])
    ray = unproject(torch.cat((points_px[:, None], ones.transpose(1, 2)), dim=-1), intrinsics_px)[:, 0]
    ray = torch.nn.functional.normalize(ray, dim=-1)
    # Rodrigues for the rotation from a=(0,0,-1) to b: v = a x b, R = I + [v] + [v]^2 / (1 + a.b).
    v_x, v_y, cosine = ray[:, 1], -ray[:, 0], -ray[:, 2]
    zero = torch.zeros_like(v_x)
    skew = torch.stack((zero, zero, v_y, zero, zero, -v_x, -v_y, v_x, zero), dim=-1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=ray.dtype, device=ray.device)
    return identity + skew + skew @ skew / (1.0 + cosine)[:, None, None]
