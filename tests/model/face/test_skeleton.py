"""The joints of the released head: where they are, and that skin follows them smoothly and evenly on both sides."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.face.skeleton import (
    HEAD,
    JAW,
    JAW_OPEN_DEGREES,
    JOINT_NAMES,
    LEFT_EYE,
    NECK,
    PARENTS,
    RIGHT_EYE,
    Skeleton,
    along_neck,
    eyeball_centre,
)
from tests.released_face import MISSING, REASON, released_face, released_model
from tests.small_world import toy_reconstructor

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    return Skeleton.of(released_model())


def shape_mm(name: str) -> np.ndarray:
    model = released_model()
    return model.expression_basis.unflatten(-1, (-1, 3))[model.expression_names.index(name)].numpy().astype(float)


def test_each_vertex_follows_four_joints_at_most_and_wholly(skeleton: Skeleton) -> None:
    np.testing.assert_allclose(skeleton.weights.sum(1), 1.0, atol=1e-5)
    assert skeleton.weights.min() >= 0.0
    assert (skeleton.weights > 0).sum(1).max() <= 4
    assert [PARENTS[joint] < joint for joint in range(len(JOINT_NAMES))] == [True] * len(JOINT_NAMES)


def test_left_and_right_follow_alike(skeleton: Skeleton) -> None:
    model = released_model()
    swapped = [*range(LEFT_EYE), RIGHT_EYE, LEFT_EYE]
    np.testing.assert_allclose(skeleton.weights[model.mirror.numpy()][:, swapped], skeleton.weights, atol=0.02)
    np.testing.assert_allclose(skeleton.mean_joints_mm[swapped] * (-1, 1, 1), skeleton.mean_joints_mm, atol=1e-3)


def test_weights_are_smooth_over_the_skin(skeleton: Skeleton) -> None:
    model = released_model()
    faces = model.faces.numpy().astype(int)
    skin = model.region("skin").numpy()[faces].all(1)
    edges = np.concatenate([faces[skin][:, [0, 1]], faces[skin][:, [1, 2]]])
    ends = model.mean_mm.numpy()[edges]
    steps = np.abs(skeleton.weights[edges[:, 0]] - skeleton.weights[edges[:, 1]]).max(1)
    length_mm = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    # Lips part between upper and lower over a millimetre or two; elsewhere a weight changes over centimetres.
    away = np.linalg.norm(ends[:, 0] - (0.0, -66.0, 25.0), axis=1) > 40.0
    assert (steps[away] / np.maximum(length_mm[away], 1.0)).max() < 0.12


def test_the_jaws_joint_is_the_hinge_of_the_lower_teeth(skeleton: Skeleton) -> None:
    model = released_model()
    opening, points = shape_mm("jawOpen"), model.mean_mm.numpy().astype(float)
    lower = model.region("teeth").numpy() & (opening[:, 1] < -5.0)
    assert lower.any()
    assert skeleton.weights[lower, JAW].min() > 0.95
    upper = model.region("teeth").numpy() & ~lower
    assert skeleton.weights[upper, JAW].max() < 0.01
    hinge = skeleton.mean_joints_mm[JAW]
    turned = Rotation.from_euler("x", JAW_OPEN_DEGREES, degrees=True).apply(points[lower] - hinge) + hinge
    assert np.abs(turned - points[lower] - opening[lower]).max() < 1.0


def test_the_skull_is_the_heads_and_the_eyeballs_are_their_own(skeleton: Skeleton) -> None:
    model = released_model()
    weights = skeleton.weights
    assert weights[model.region("ears").numpy(), HEAD].min() > 0.8
    assert weights[model.region("nose").numpy(), HEAD].min() > 0.85
    for joint, name in ((LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye")):
        assert set(np.flatnonzero(weights[:, joint])) == set(np.flatnonzero(model.region(name).numpy()))


def test_the_shoulders_stay_and_the_throat_turns() -> None:
    places = np.array([[110.0, -170.0, -105.0], [0.0, -225.0, -40.0], [0.0, -145.0, -32.0], [0.0, -115.0, 20.0]])
    chest, neck, head = along_neck(places).T
    np.testing.assert_allclose(chest[:2], 1.0, atol=0.05)
    assert neck[2] > 0.4
    assert head[3] == pytest.approx(1.0)


def test_joints_go_where_a_persons_eyes_are(skeleton: Skeleton) -> None:
    rest_mm = released_face(seed=4).vertices_neutral_mm
    joints = skeleton.joints_mm(rest_mm.astype(float))
    for joint, name in ((LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye")):
        centre = eyeball_centre(rest_mm[released_model().region(name).numpy()].astype(float))
        assert np.linalg.norm(joints[joint] - centre) < 1e-3
    np.testing.assert_allclose(skeleton.joints_mm(released_model().mean_mm.numpy()), skeleton.mean_joints_mm, atol=1e-4)
    assert np.linalg.norm(joints[NECK] - skeleton.mean_joints_mm[NECK]) > 0.1


def test_a_head_without_teeth_has_joints_too() -> None:
    model = toy_reconstructor().morphable_model
    skeleton = Skeleton.of(model)
    np.testing.assert_allclose(skeleton.weights.sum(1), 1.0, atol=1e-5)
