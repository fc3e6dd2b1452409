from dataclasses import replace

import numpy as np
import pytest

from data.alignment import transform_points
from data.augment import FRONTAL_BOX_MM, AugmentConfig, PixelAugmentation, plain_view, random_view
from data.blendshapes import BLENDSHAPE_NAMES
from data.crops import landmarks68_of, landmarks478_of, make_sample
from data.landmarks import IBUG68_MIRROR
from tests.data.data_scenes import dot_picture, dot_position, face_points, smooth_picture, stored_face

SIZE = 128
NOTHING = AugmentConfig(
    rotation_degrees=0.0,
    scale=0.0,
    shift=0.0,
    mirror=0.0,
    principal_shift=0.0,
    color=0.0,
    grey=0.0,
    blur=0.0,
    noise=0.0,
    compression=0.0,
    occlusion=0.0,
    border=0.0,
)


@pytest.mark.parametrize("seed", range(12))
def test_points_stay_on_what_they_mark(seed: int) -> None:
    """A dot is painted on one landmark; wherever the view takes it, the label is there too, with the right index."""
    generator = np.random.default_rng(seed)
    index = int(generator.integers(68))
    points = face_points()
    stored = stored_face(patch_srgb=dot_picture(points[index, :2]))
    view = random_view(stored, SIZE, AugmentConfig(), generator)
    sample = make_sample(stored, view, SIZE)
    # In the mirror, what was point i is called by its partner's index.
    label = sample["landmarks68_px"][IBUG68_MIRROR[index] if view.mirrored else index, :2]
    found = dot_position(sample["image_srgb"].transpose(1, 2, 0) * 255)
    if (label > 8).all() and (label < SIZE - 8).all():
        np.testing.assert_allclose(found, label, atol=0.15)


def test_both_kinds_of_view_occur() -> None:
    generator = np.random.default_rng(0)
    views = [random_view(stored_face(), SIZE, AugmentConfig(), generator) for _ in range(40)]
    assert {view.mirrored for view in views} == {True, False}


@pytest.mark.parametrize("seed", range(6))
def test_the_camera_sees_the_same_ray_through_the_same_feature(seed: int) -> None:
    """Angles between features and the optical axis do not depend on turn, scale, shift or mirroring."""
    config = replace(AugmentConfig(), near_mm=900.0, far_mm=900.0)
    stored, generator = stored_face(), np.random.default_rng(seed)
    view = random_view(stored, SIZE, config, generator)
    focal = view.intrinsics_px[0, 0]
    distance_in_crop = np.linalg.norm(landmarks_px(stored, view)[:, :2] - view.intrinsics_px[:2, 2], axis=1)
    back = np.linalg.inv(np.vstack((view.to_crop, [0.0, 0.0, 1.0])))
    principal_in_patch = (back @ [*view.intrinsics_px[:2, 2], 1.0])[:2]
    distance_in_patch = np.linalg.norm(face_points()[:, :2] - principal_in_patch, axis=1)
    reference = plain_view(stored, SIZE)
    focal_in_patch = reference.intrinsics_px[0, 0] * (900.0 / 800.0) / reference.to_crop[0, 0]
    np.testing.assert_allclose(
        np.sort(distance_in_crop) / focal, np.sort(distance_in_patch) / focal_in_patch, rtol=1e-3, atol=1e-6
    )


def landmarks_px(stored, view) -> np.ndarray:  # noqa: ANN001
    points = landmarks68_of(stored, view)
    assert points is not None
    return points


def test_depth_grows_with_the_picture() -> None:
    stored = stored_face()
    view = plain_view(stored, 2 * SIZE)
    np.testing.assert_allclose(
        landmarks_px(stored, view)[:, 2], face_points()[:, 2] * 2 * SIZE / stored.window.side_px, rtol=1e-4, atol=1e-4
    )


def test_depth_keeps_zero_mean() -> None:
    stored = stored_face()
    view = random_view(stored, SIZE, AugmentConfig(), np.random.default_rng(3))
    assert abs(landmarks_px(stored, view)[:, 2].mean()) < 1e-3


def test_mask_moves_with_the_points() -> None:
    stored = stored_face()
    for seed in range(5):
        view = random_view(stored, SIZE, AugmentConfig(), np.random.default_rng(seed))
        sample = make_sample(stored, view, SIZE)
        nose = sample["landmarks68_px"][29, :2].astype(int)
        assert sample["skin_mask"][nose[1], nose[0]] == 1.0


def test_a_mirrored_view_swaps_the_sides_of_blendshapes() -> None:
    weights = np.zeros(52, np.float32)
    smile, blink, jaw, open_jaw = map(BLENDSHAPE_NAMES.index, ("mouthSmileLeft", "eyeBlinkRight", "jawLeft", "jawOpen"))
    weights[[smile, blink, jaw, open_jaw]] = 0.8, 0.6, 0.4, 0.2
    stored = stored_face(blendshapes=weights)
    plain = plain_view(stored, SIZE)
    for view in (plain, replace(plain, mirrored=True)):
        sample = make_sample(stored, view, SIZE)
        assert sample["blendshapes_weight"] == 0.75
        found = {BLENDSHAPE_NAMES[k]: float(sample["blendshapes"][k]) for k in sample["blendshapes"].nonzero()[0]}
        sides = ("Right", "Left", "Right") if view.mirrored else ("Left", "Right", "Left")
        names = (f"mouthSmile{sides[0]}", f"eyeBlink{sides[1]}", f"jaw{sides[2]}", "jawOpen")
        assert found == pytest.approx(dict(zip(names, (0.8, 0.6, 0.4, 0.2), strict=True)))
    absent = make_sample(stored_face(), plain, SIZE)
    assert absent["blendshapes_weight"] == 0.0
    assert not absent["blendshapes"].any()


def test_a_turned_face_is_cropped_as_if_it_was_photographed_so() -> None:
    """The window follows the turned points: their box fills the same part of the crop."""
    config = replace(NOTHING, rotation_degrees=30.0)
    view = random_view(stored_face(), SIZE, config, np.random.default_rng(4))
    points = landmarks_px(stored_face(), view)[:, :2]
    assert np.sqrt((points.max(0) - points.min(0)).prod()) == pytest.approx(SIZE / 1.5, rel=1e-3)


def test_no_augmentation_is_the_plain_view() -> None:
    stored = stored_face()
    config = replace(NOTHING, near_mm=800.0, far_mm=800.0)
    view, plain = random_view(stored, SIZE, config, np.random.default_rng(0)), plain_view(stored, SIZE)
    np.testing.assert_allclose(view.to_crop, plain.to_crop, atol=1e-6)
    np.testing.assert_allclose(view.intrinsics_px, plain.intrinsics_px, rtol=1e-5)
    image, mask = smooth_picture(SIZE, SIZE), np.ones((SIZE, SIZE), np.float32)
    changed, changed_mask = PixelAugmentation(NOTHING)(image, mask)
    np.testing.assert_array_equal(changed, image)
    np.testing.assert_array_equal(changed_mask, mask)


def test_the_plain_camera_looks_from_800_mm() -> None:
    """A head of mean size, FRONTAL_BOX_MM from ear to ear and brow to chin, fills two thirds of the crop."""
    intrinsics = plain_view(stored_face(), SIZE).intrinsics_px
    assert FRONTAL_BOX_MM * intrinsics[0, 0] / 800.0 == pytest.approx(SIZE / 1.5, rel=1e-3)
    np.testing.assert_allclose(intrinsics[:2, 2], SIZE / 2, atol=1e-3)


def test_patches_are_taken_out_of_the_mask() -> None:
    pixels = PixelAugmentation(replace(NOTHING, occlusion=1.0))
    pixels.seed(np.random.default_rng(1))
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    for _ in range(5):
        changed, mask = pixels(image, np.ones((SIZE, SIZE), np.float32))
        covered = (changed != 90).any(-1)
        assert covered.any()
        assert (mask[covered] == 0.0).all()
        # Noise may by chance leave a pixel as it was.
        assert (mask[~covered] == 0.0).mean() < 0.01


def test_what_lies_beyond_the_photograph_is_no_skin() -> None:
    stored = stored_face(patch_srgb=smooth_picture(85, 160))
    view = plain_view(stored, SIZE)
    sample = make_sample(stored, view, SIZE)
    edge = int(transform_points(view.to_crop, np.array([0.0, 85.0]))[1])
    assert sample["skin_mask"][edge - 2].max() == 1.0
    assert sample["skin_mask"][edge + 2 :].max() == 0.0


def test_the_border_can_be_filled() -> None:
    stored = stored_face(patch_srgb=smooth_picture(85, 160))
    view = plain_view(stored, SIZE)
    filled = make_sample(stored, view, SIZE, border_srgb=np.array([255, 0, 51]))
    np.testing.assert_allclose(filled["image_srgb"][:, -1, 64], (1.0, 0.0, 0.2), atol=1e-6)
    repeated = make_sample(stored, view, SIZE)
    np.testing.assert_array_equal(repeated["image_srgb"][:, -1], repeated["image_srgb"][:, -4])


@pytest.mark.parametrize("grey", [True, False])
def test_a_grey_sample_is_grey_and_says_so(grey: bool) -> None:
    stored = stored_face(color=grey)
    change = PixelAugmentation(replace(AugmentConfig(), color=1.0))
    change.seed(np.random.default_rng(0))
    sample = make_sample(stored, plain_view(stored, SIZE), SIZE, grey=grey, change=change)
    assert not sample["color"]
    assert np.ptp(sample["image_srgb"], axis=0).max() == 0.0


def test_faces_without_landmarks_are_seen_too() -> None:
    stored = stored_face(labelled=False)
    view = random_view(stored, SIZE, AugmentConfig(), np.random.default_rng(0))
    sample = make_sample(stored, view, SIZE)
    assert landmarks68_of(stored, view) is landmarks478_of(stored, view) is None
    assert sample["landmarks68_weight"] == sample["landmarks478_weight"] == 0.0
    assert 0.1 < sample["skin_mask"].mean() < 0.4


def test_the_same_seed_gives_the_same_pixels() -> None:
    image, mask = smooth_picture(SIZE, SIZE), np.ones((SIZE, SIZE), np.float32)
    one, two = (PixelAugmentation(AugmentConfig()) for _ in range(2))
    first = []
    for seed in range(8):
        one.seed(np.random.default_rng(seed))
        two.seed(np.random.default_rng(seed))
        first.append(one(image, mask)[0])
        np.testing.assert_array_equal(first[-1], two(image, mask)[0])
        # Whatever came before.
        two(image, mask)
    assert len({picture.tobytes() for picture in first}) > 4


@pytest.mark.parametrize("option", [{"mirror": 1.5}, {"scale": -0.1}, {"near_mm": 900.0, "far_mm": 500.0}])
def test_impossible_options_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        AugmentConfig(**option)
