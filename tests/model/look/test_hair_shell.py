import numpy as np
import pytest

from model.look.hair_grid import ROWS, grid_place, hair_grid, outer_radius
from model.look.hair_mesh import hair_mesh
from model.look.hair_shell import build_shell
from model.look.hair_texture import draw_hair
from tests.model.look.hair_scenes import SIDE_PX, hair_area, head_area, head_model, mask_of, mean_face, template
from tools.hair_outline import outline_fit, pierced_mm, seen_classes


def test_a_points_place_in_the_grid_leads_back_to_it() -> None:
    grid = hair_grid()
    radius_mm = np.random.default_rng(0).uniform(60.0, 140.0, grid.direction.shape[:2])
    place = grid_place(grid.points_mm(radius_mm))
    rows, columns = np.mgrid[:ROWS, : radius_mm.shape[1]] + 0.5
    np.testing.assert_allclose(place, np.stack((columns, rows, radius_mm), axis=-1), atol=1e-6)


def test_a_sphere_is_as_far_out_on_every_ray_of_the_dome() -> None:
    import trimesh

    from model.look.hair_grid import CENTER_MM, DOME_ROWS

    sphere = trimesh.creation.icosphere(subdivisions=5, radius=90.0)
    radius = outer_radius(np.asarray(sphere.vertices) + CENTER_MM, np.asarray(sphere.faces))
    np.testing.assert_allclose(radius[:DOME_ROWS], 90.0, atol=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("yaw_degrees", "long"), [(0.0, False), (0.0, True), (50.0, False)])
def test_the_outline_is_the_masks_and_nothing_comes_through(yaw_degrees: float, long: bool) -> None:
    result = mean_face(yaw_degrees)
    hair = hair_area(result, long=long)
    mask = mask_of(hair, head_area(result))
    shell = build_shell(result, mask, template(), head_model())
    assert shell is not None
    photograph = np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8)
    mesh = hair_mesh(shell, draw_hair(shell, result, photograph, mask, 256))
    assert mesh is not None
    drawn = seen_classes(result, mesh, mask)
    fit = outline_fit(result, mesh, mask, drawn, head_model())
    assert fit.head_iou > 0.93
    assert fit.outline_percent < 2.0
    assert pierced_mm(result, mesh, head_model()) < 0.0
    # Behind, where nothing was seen, there is hair as well.
    crown = grid_place(mesh.vertices_mm.astype(float))
    assert (np.abs(crown[:, 0] - 0.5) < 1.0).any()


def test_a_bald_head_gets_no_shell() -> None:
    result = mean_face()
    head = head_area(result)
    assert build_shell(result, mask_of(np.zeros_like(head), head), template(), head_model()) is None
