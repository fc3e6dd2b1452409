from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.export.atlas import Atlas, build_atlas
from model.refine.raytrace.raytraced_face import RaytracedFace, RaytracedState
from model.refine.raytrace.shape import fit_shape
from model.refine.raytrace.shape_normals import tangent_frames, with_normal_map
from model.render.lighting import shade
from tests.model.refine.raytrace.test_shape import (
    ALBEDO,
    FREE,
    LIGHT,
    explained,
    face,
    head,
    raytraced,
    refitted,
    slope,
    state,
)

SIDE = 64
TILT = 0.15
BENDING = replace(FREE, steps=60, normal_map=True, tilt_sd=1.0, texture_rate=0.0)


@cache
def atlas() -> Atlas:
    return build_atlas(head(), 16)


def along(axis: int) -> torch.Tensor:
    """Where u (0) or v (1) grows at the samples, from the triangles that they lie in."""
    surface, geometry = state().surface, state().surface.geometry
    corners = geometry.vertices_mm[geometry.faces.long()[surface.face_index]]
    uv = geometry.uv[geometry.uv_faces.long()[surface.face_index]]
    # Edges = d uv @ (dp/du, dp/dv).
    edges, steps = corners[:, 1:] - corners[:, :1], uv[:, 1:] - uv[:, :1]
    found = torch.linalg.inv(steps.double()).float() @ edges
    direction = found[:, axis] - (found[:, axis] * surface.points.normal).sum(-1, keepdim=True) * surface.points.normal
    return normalize(direction, dim=-1)


def tilted(axis: int, tilt: float) -> RaytracedState:
    """A smooth head in a photograph that shows it with bent normals."""
    smooth = state(bumpy=False)
    bent = normalize(smooth.surface.points.normal + tilt * along(axis), dim=-1)
    observed = ALBEDO * shade(bent[None], LIGHT[None])[0]
    return replace(smooth, problem=replace(smooth.problem, observed_linear=observed))


def known(of: RaytracedState, share: float = 1.0) -> RaytracedFace:
    found = raytraced(of)
    assert found.appearance is not None
    flat = np.zeros((SIDE, SIDE, 3), np.float32)
    flat[..., 2] = 1.0
    appearance = replace(
        found.appearance,
        normal=flat,
        specular_f0=flat[..., 0],
        roughness=flat[..., 0],
        known=np.full((SIDE, SIDE), share, np.float32),
        diffuse_linear=np.full((SIDE, SIDE, 3), 0.5, np.float32),
    )
    return replace(found, appearance=appearance)


def seen_texels() -> tuple[np.ndarray, np.ndarray]:
    uv = state().surface.uv.numpy()
    return ((1.0 - uv[:, 1]) * SIDE).astype(int), (uv[:, 0] * SIDE).astype(int)


def test_frames_follow_the_texture():
    frames = tangent_frames(state().surface, atlas())
    for axis in (0, 1):
        assert float((frames[:, axis] * along(axis)).sum(-1).mean()) > 0.97
    assert float((frames * state().surface.points.normal[:, None]).sum(-1).abs().mean()) < 0.05


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_normals_bend_as_the_photograph_shows(axis: int, sign: float):
    bent = tilted(axis, sign * TILT)
    found = with_normal_map(known(bent), slope(), atlas(), BENDING, {}).appearance
    assert found is not None
    np.testing.assert_allclose(np.linalg.norm(found.normal, axis=-1), 1.0, atol=1e-5)
    # One light tells one component of a normal: how far the bend goes towards the light.
    frames, slopes = tangent_frames(state().surface, atlas()), slope().mean(1)
    row, column = seen_texels()
    texels = torch.from_numpy(found.normal[row, column])
    change = torch.einsum("pk,pka,pa->p", texels[:, :2] / texels[:, 2:], frames, slopes)
    expected = sign * TILT * (along(axis) * slopes).sum(-1)
    assert float(torch.corrcoef(torch.stack((change, expected)))[0, 1]) > 0.85
    assert float((change * expected).sum() / expected.square().sum()) == pytest.approx(1.0, abs=0.3)


def test_what_bends_the_normals_is_taken_from_the_albedo():
    bent = tilted(1, TILT)
    found = with_normal_map(known(bent), slope(), atlas(), BENDING, {}).appearance
    assert found is not None
    row, column = seen_texels()
    left = torch.from_numpy(np.log(found.diffuse_linear[row, column, 0] / 0.5))
    brighter = (bent.problem.observed_linear / bent.radiance()).mean(1).log()
    assert float(torch.corrcoef(torch.stack((left, brighter)))[0, 1]) < -0.9


def test_a_photograph_that_is_explained_leaves_normals_flat():
    start = known(state(bumpy=False))
    found = with_normal_map(start, slope(), atlas(), BENDING, {}).appearance
    assert found is not None
    assert start.appearance is not None
    np.testing.assert_allclose(found.normal, start.appearance.normal, atol=0.02)
    np.testing.assert_allclose(found.diffuse_linear, start.appearance.diffuse_linear, atol=0.01)


def test_nothing_is_said_where_nothing_is_known():
    start = known(tilted(0, TILT), share=0.0)
    found = with_normal_map(start, slope(), atlas(), BENDING, {}).appearance
    assert found is not None
    assert start.appearance is not None
    np.testing.assert_array_equal(found.normal, start.appearance.normal)
    np.testing.assert_array_equal(found.diffuse_linear, start.appearance.diffuse_linear)


@pytest.mark.parametrize("asked", [True, False])
def test_a_kept_shape_has_a_normal_map_where_one_is_asked(asked: bool):
    found = known(explained())
    _, record = fit_shape(
        head(), raytraced(state()), replace(BENDING, normal_map=asked), lambda moved: (found, refit_record())
    )
    assert record.accepted
    assert ("normals.distance" in record.history) == asked


def refit_record():
    return refitted(explained())[0](face())[1]
