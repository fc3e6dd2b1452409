import dataclasses
import itertools

import numpy as np
import pytest
import torch

from data.blendshapes import BLENDSHAPE_NAMES
from data.sample import collate, validate_sample
from data.synthetic import SyntheticConfig, SyntheticFace, SyntheticFaces
from data.synthetic.expressions import draw_expression
from data.synthetic.scene import draw_light, draw_pose
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.losses.landmarks import landmark_depth
from model.observation import Observation
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import ARKIT_NAMES, toy_head
from training.synthetic_heads import MorphableHeadArtist, scene_parameters

SIZE = 48
CLEAN = SyntheticConfig(size=SIZE, scale_jitter=1e-6, shift_jitter=1e-6)


@pytest.fixture(scope="module")
def artist() -> MorphableHeadArtist:
    return MorphableHeadArtist(MorphableModel(toy_head()), Renderer(build_rasterizer()))


@pytest.fixture(scope="module")
def faces(artist: MorphableHeadArtist) -> list[SyntheticFace]:
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE))
    return [source.face(index) for index in range(24)]


@pytest.mark.slow
def test_samples_keep_the_contract_and_become_an_observation(faces: list[SyntheticFace]) -> None:
    for face in faces:
        validate_sample(face.sample)
    observation = Observation.from_dict(collate([face.sample for face in faces]))
    assert observation.image_srgb.shape == (len(faces), 3, SIZE, SIZE)


@pytest.mark.slow
def test_the_truth_projects_onto_the_labels(faces: list[SyntheticFace]) -> None:
    model = MorphableModel(toy_head())
    for face in faces:
        parameters = scene_parameters(face.scene)
        intrinsics_px = torch.from_numpy(face.sample["intrinsics_px"])[None]
        camera_mm = parameters.to_camera(model.vertices_mm(parameters.identity, parameters.expression))
        predicted = project(model.landmarks(camera_mm), intrinsics_px)
        target = torch.from_numpy(face.sample["landmarks68_px"])[None]
        torch.testing.assert_close(predicted[..., :2], target[..., :2], atol=0.01, rtol=0.0)
        dense = project(model.landmarks(camera_mm, "mediapipe478"), intrinsics_px)[0, :, :2].numpy()
        np.testing.assert_allclose(dense, face.sample["landmarks478_px"], atol=0.01)
        depth = landmark_depth(predicted, target, intrinsics_px[:, 0, 0], torch.tensor([30.0]), torch.ones(1))
        assert depth < 1e-4


@pytest.mark.slow
def test_depth_labels_are_centred_and_the_nose_of_a_frontal_face_is_nearest(faces: list[SyntheticFace]) -> None:
    for face in faces:
        depth = face.sample["landmarks68_px"][:, 2]
        assert abs(depth.mean()) < 1e-3
        if np.abs(face.scene.yaw_pitch_roll_rad).max() < 0.4:
            assert depth[30] > depth[[0, 16]].max()


@pytest.mark.slow
def test_yaw_pitch_and_roll_are_seen_in_the_picture(artist: MorphableHeadArtist) -> None:
    scene = SyntheticFaces(artist, CLEAN).face(0).scene
    still = {"expression": np.zeros_like(scene.expression), "translation_mm": np.array([0, 0, -1500], np.float32)}
    camera = np.array([[1000, 0, 0], [0, 1000, 0], [0, 0, 1]], np.float32)

    def points(yaw: float, pitch: float, roll: float) -> np.ndarray:
        pose = np.radians([yaw, pitch, roll]).astype(np.float32)
        turned = dataclasses.replace(scene, yaw_pitch_roll_rad=pose, **still)
        return artist.landmarks_image(turned, camera, "ibug68")

    frontal = points(0, 0, 0)
    nose = frontal[30, :2] - frontal[27, :2]
    assert (points(40, 0, 0)[30] - points(40, 0, 0)[27])[0] > nose[0] + 1  # to his left: the picture's right
    assert points(0, 30, 0)[30, 1] > frontal[30, 1] + 5  # looks down: the nose sinks
    right_eye, left_eye = points(0, 0, 20)[[36, 45]]
    assert right_eye[0] < left_eye[0]
    assert left_eye[1] < right_eye[1] - 3  # counter-clockwise: the eye on the picture's right rises


@pytest.mark.slow
def test_crops_are_cut_like_those_of_photographs(artist: MorphableHeadArtist) -> None:
    source = SyntheticFaces(artist, CLEAN)
    for index in range(6):
        points_px = source.face(index).sample["landmarks68_px"][:, :2]
        lowest, highest = points_px.min(axis=0), points_px.max(axis=0)
        assert np.sqrt(np.prod(highest - lowest)) == pytest.approx(SIZE / 1.5, rel=1e-3)
        np.testing.assert_allclose(0.5 * (lowest + highest) / SIZE, [0.5, 0.56], atol=1e-3)


@pytest.mark.slow
def test_jitter_moves_the_crop_within_bounds(faces: list[SyntheticFace]) -> None:
    middles = np.array([np.ptp(f.sample["landmarks68_px"][:, :2], axis=0).prod() ** 0.5 / SIZE for f in faces])
    assert middles.std() > 0.01
    assert (np.abs(np.log(middles * 1.5)) < 0.31).all()


@pytest.mark.slow
def test_the_same_index_is_the_same_face_and_another_one_is_not(artist: MorphableHeadArtist) -> None:
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE, seed=3))
    for sample, index in zip(itertools.islice(source, 2), (0, 1), strict=True):
        np.testing.assert_array_equal(sample["image_srgb"], source.face(index).sample["image_srgb"])
    assert not np.array_equal(source.face(0).scene.identity, source.face(1).scene.identity)
    other_seed = SyntheticFaces(artist, SyntheticConfig(size=SIZE, seed=4)).face(0)
    assert not np.array_equal(source.face(0).scene.identity, other_seed.scene.identity)


@pytest.mark.slow
def test_persons_keep_their_face_and_their_number(artist: MorphableHeadArtist) -> None:
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE, pictures_per_person=2))
    first, second, third = (source.face(index) for index in range(3))
    np.testing.assert_array_equal(first.scene.identity, second.scene.identity)
    np.testing.assert_array_equal(first.scene.albedo, second.scene.albedo)
    assert not np.array_equal(first.scene.yaw_pitch_roll_rad, second.scene.yaw_pitch_roll_rad)
    assert not np.array_equal(first.scene.identity, third.scene.identity)
    assert [face.sample["person"] for face in (first, second, third)] == [0, 0, 1]


@pytest.mark.slow
def test_skin_is_marked_only_where_the_head_is_drawn(artist: MorphableHeadArtist, faces: list[SyntheticFace]) -> None:
    for face in faces:
        drawing = artist.draw(face.scene, face.sample["intrinsics_px"], SIZE)
        assert (drawing.coverage[drawing.skin > 0] > 0.4).all()
        assert (face.sample["skin_mask"] <= drawing.skin).all()
        assert drawing.image_linear.min() >= 0.0
    assert np.mean([face.sample["skin_mask"].mean() for face in faces]) > 0.1


@pytest.mark.slow
def test_hair_and_occluders_hide_some_skin_but_not_most_of_it(artist: MorphableHeadArtist) -> None:
    source = SyntheticFaces(artist, SyntheticConfig(size=SIZE))
    hidden: dict[bool, list[float]] = {True: [], False: []}
    for index in range(60):
        face = source.face(index)
        skin = artist.draw(face.scene, face.sample["intrinsics_px"], SIZE).skin
        hidden[face.scene.hair_linear is None].append(1.0 - face.sample["skin_mask"].sum() / max(skin.sum(), 1.0))
    bald, haired = np.array(hidden[True]), np.array(hidden[False])
    # Without hair most heads have nothing before them.
    assert 0.0 < (bald > 0.02).mean() < 0.7
    assert (haired > 0.02).mean() > (bald > 0.02).mean()
    assert np.median(haired) < 0.5


@pytest.mark.slow
def test_the_blendshapes_are_the_weights_it_was_drawn_with(faces: list[SyntheticFace]) -> None:
    for face in faces:
        by_name = dict(zip(ARKIT_NAMES, face.scene.expression.tolist(), strict=True))
        assert face.sample["blendshapes"].tolist() == [by_name[name] for name in BLENDSHAPE_NAMES]
        assert face.sample["blendshapes_weight"] == 1.0


@pytest.mark.slow
def test_most_heads_wear_a_photographed_skin_where_there_are_any() -> None:
    model = MorphableModel(toy_head())
    skins = torch.zeros(3, len(model.mean_mm), 3, dtype=torch.uint8)
    skins[1], skins[2] = 120, 240
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer()), None, skins)
    assert artist.skin_count == 3
    source = SyntheticFaces(artist, SyntheticConfig(size=16, pictures_per_person=2))
    worn = [source.face(index).scene.skin for index in range(80)]
    assert set(worn) == {-1, 0, 1, 2}
    assert 0.7 < np.mean([skin >= 0 for skin in worn]) < 0.97
    assert worn[::2] == worn[1::2]
    scene = dataclasses.replace(source.face(0).scene, hair_linear=None)
    intrinsics_px = source.face(0).sample["intrinsics_px"]
    pictures = [artist.draw(dataclasses.replace(scene, skin=skin), intrinsics_px, 16) for skin in range(3)]
    # Colours are stored as square roots; the darkest is not quite black.
    light, dim = pictures[2].image_linear.sum(), pictures[1].image_linear.sum()
    assert light / dim == pytest.approx((240 / 120) ** 2, rel=1e-3)
    assert 0.0 < pictures[0].image_linear.sum() < 0.1 * dim
    without = MorphableHeadArtist(model, Renderer(build_rasterizer()))
    assert without.skin_count == 0
    assert {SyntheticFaces(without, CLEAN).face(index).scene.skin for index in range(4)} == {-1}


@pytest.mark.slow
def test_grey_pictures_are_grey_and_say_so(faces: list[SyntheticFace]) -> None:
    assert {face.sample["color"] for face in faces} == {True, False}
    for face in faces:
        spread = np.ptp(face.sample["image_srgb"], axis=0).max()
        assert (spread < 1e-6) != face.sample["color"]


def test_poses_reach_the_profile_and_stay_within_their_limits() -> None:
    generator = np.random.default_rng(0)
    degrees = np.degrees([draw_pose(generator) for _ in range(2000)])
    assert (np.abs(degrees) <= [90.01, 40.01, 45.01]).all()
    share_beyond_60 = (np.abs(degrees[:, 0]) > 60).mean()
    assert 0.1 < share_beyond_60 < 0.3
    assert (np.abs(degrees).max(axis=0) > [85, 30, 25]).all()


def test_light_is_near_white_positive_and_neither_dark_nor_blinding() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        ambient, lamps = draw_light(generator)
        assert 1 <= len(lamps) <= 3
        for colour in (ambient, *(lamp.strength for lamp in lamps)):
            assert colour.min() > 0
            assert colour.max() / colour.min() < 2.2
        for lamp in lamps:
            assert np.linalg.norm(lamp.direction) == pytest.approx(1.0, abs=1e-5)
        front = ambient.mean() + sum(max(0.0, lamp.direction[2]) * lamp.strength.mean() for lamp in lamps)
        assert 0.12 < front < 3.0


def expressions(count: int = 500) -> list[dict[str, float]]:
    generator = np.random.default_rng(0)
    return [dict(zip(ARKIT_NAMES, draw_expression(generator, ARKIT_NAMES).tolist(), strict=True)) for _ in range(count)]


@pytest.mark.slow
def test_expressions_are_weights_few_at_a_time_and_use_every_shape() -> None:
    drawn = np.array([list(expression.values()) for expression in expressions(1500)])
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0
    assert np.median((drawn > 0.15).sum(axis=1)) < 16
    unused = [name for name, used in zip(ARKIT_NAMES, drawn.max(axis=0) > 0.3, strict=True) if not used]
    assert not unused


@pytest.mark.slow
def test_expressions_make_no_face_that_none_can_make() -> None:
    for weights in expressions():
        assert weights["mouthClose"] <= weights["jawOpen"]
        assert min(weights["jawLeft"], weights["jawRight"]) == 0
        assert min(weights["mouthSmileLeft"], weights["mouthFrownLeft"]) == 0
        assert weights["tongueOut"] == 0 or weights["jawOpen"] > 0.2
        assert weights["cheekPuff"] <= 0.1 or weights["jawOpen"] == 0
        for side in ("Left", "Right"):
            assert weights[f"eyeBlink{side}"] < 0.7 or weights[f"eyeWide{side}"] == 0
        # Both eyes look to the same side.
        assert weights["eyeLookOutLeft"] == weights["eyeLookInRight"]
        assert min(weights["eyeLookOutLeft"], weights["eyeLookOutRight"]) == 0


@pytest.mark.slow
def test_both_sides_of_a_face_move_alike() -> None:
    drawn = expressions(800)
    for stem in ("mouthSmile", "browDown", "eyeBlink", "cheekSquint"):
        left, right = (np.array([weights[f"{stem}{side}"] for weights in drawn]) for side in ("Left", "Right"))
        assert np.corrcoef(left, right)[0, 1] > 0.6, stem


def test_a_head_without_arkit_names_can_be_drawn_too() -> None:
    weights = draw_expression(np.random.default_rng(1), ("happy", "sadLeft", "sadRight"))
    assert weights.shape == (3,)


@pytest.mark.parametrize("wrong", [{"size": 4}, {"pictures_per_person": 0}])
def test_senseless_configs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SyntheticConfig(**wrong)
