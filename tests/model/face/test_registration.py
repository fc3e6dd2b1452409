"""Laying a head onto a surface: a known person, pose and size is found, and what the model cannot say is bent."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from model.face.registration import Anchors, RegistrationConfig, Target, anchors_of, register
from model.geometry.similarity import Similarity
from model.geometry.surface_distance import Surface
from tests.small_world import toy_head

TURN = Rotation.from_euler("xyz", [5.0, -12.0, 3.0], degrees=True).as_matrix()
PLACE = Similarity(1.02, TURN, np.array([4.0, 9.0, -30.0]))
IDENTITY = np.array([1.0, -0.8, 0.5, 0.0, 0.6, -0.4])
INNER = np.arange(17, 68)


def finer(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "finer 3"], Int[np.ndarray, "four 3"]]:
    """Each triangle in four: the same surface with other vertices."""
    edges = np.sort(np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])), axis=1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = (place + len(vertices)).reshape(3, -1)
    a, b, c = faces.T
    split = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return np.concatenate((vertices, vertices[unique].mean(1))), split


def person() -> Float[np.ndarray, "vertex 3"]:
    head = toy_head()
    return head.vertices_mm.astype(float) + np.tensordot(IDENTITY, head.identity_basis, 1)


def anchors(target_mm: Float[np.ndarray, "vertex 3"]) -> Anchors:
    head = toy_head()
    points = head.landmarks["ibug68"]
    places = np.einsum("pcx,pc->px", target_mm[head.faces[points.face[INNER]]], points.barycentric[INNER].astype(float))
    return anchors_of(head, INNER, places)


def test_a_known_person_pose_and_size_is_found() -> None:
    head, scan = toy_head(), PLACE.apply(person())
    config = RegistrationConfig(noise_mm=0.5, stiffness=(), expressions=False)
    found = register(head, Target(*finer(scan, head.faces)), anchors(scan), np.ones(len(scan), bool), config)
    away = np.linalg.norm(found.vertices_mm - scan, axis=1)
    assert away.mean() < 0.4
    assert abs(found.place.scale - PLACE.scale) < 0.01
    turned = Rotation.from_matrix(found.place.rotation @ PLACE.rotation.T).magnitude()
    assert np.degrees(turned) < 0.7
    assert np.abs(found.identity - IDENTITY).max() < 0.25
    assert not found.expression.any()


def test_what_the_model_cannot_say_is_bent_and_what_is_loose_goes_along() -> None:
    head = toy_head()
    scan = person()
    # A bump on the cheek that no component makes.
    outwards = scan / np.linalg.norm(scan, axis=1, keepdims=True)
    scan += 6.0 * np.exp(-np.square(scan - scan[120]).sum(1) / 600.0)[:, None] * outwards
    count = len(scan)
    # A shell inside that hangs on nothing, like an eyeball.
    inside = replace(
        head,
        vertices_mm=np.concatenate((head.vertices_mm, 0.1 * head.vertices_mm)),
        faces=np.concatenate((head.faces, head.faces + count)),
        uv_faces=np.concatenate((head.uv_faces, head.uv_faces)),
        identity_basis=np.concatenate((head.identity_basis, 0.0 * head.identity_basis), axis=1),
        expression_basis=np.concatenate((head.expression_basis, 0.0 * head.expression_basis), axis=1),
        albedo_mean=np.tile(head.albedo_mean, (2, 1)),
        albedo_basis=np.concatenate((head.albedo_basis, head.albedo_basis), axis=1),
        mirror=np.concatenate((head.mirror, head.mirror + count)).astype(np.int32),
        regions={},
    )
    outer = np.arange(2 * count) < count
    found = register(inside, Target(*finer(scan, head.faces)), anchors(scan), outer, RegistrationConfig())
    surface = Surface(scan, head.faces)
    before = surface.nearest(found.fitted_mm[outer]).distance_mm
    after = surface.nearest(found.vertices_mm[outer]).distance_mm
    assert after.mean() < 0.2 * before.mean()
    assert after.mean() < 0.1
    assert not found.pulled[~outer].any()
    shift = (found.vertices_mm - found.fitted_mm)[~outer]
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-6)


def test_a_hole_in_the_scan_is_bridged() -> None:
    head, scan = toy_head(), person()
    middle = scan[head.faces].mean(1)
    kept = head.faces[np.linalg.norm(middle - scan[150], axis=1) > 30.0]
    found = register(head, Target(scan, kept), anchors(scan), np.ones(len(scan), bool), RegistrationConfig())
    bridged = np.setdiff1d(np.arange(len(scan)), kept)
    assert len(bridged)
    assert np.linalg.norm(found.vertices_mm - scan, axis=1)[bridged].max() < 6.0


def test_too_few_landmarks_and_another_surface_are_refused() -> None:
    head, scan = toy_head(), person()
    everywhere = np.ones(len(scan), bool)
    few = anchors(scan)
    few = Anchors(few.corners[:2], few.weights[:2], few.target_mm[:2])
    with pytest.raises(ValueError, match="2 landmarks known"):
        register(head, Target(scan, head.faces), few, everywhere)
    with pytest.raises(ValueError, match="no vertex of the head finds the surface"):
        register(head, Target(scan + 5000.0, head.faces), anchors(scan), everywhere)
