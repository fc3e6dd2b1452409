import numpy as np

from evaluation.skin_tone import TONE_GROUPS, typology_angle_degrees


def test_lighter_skin_has_the_larger_angle_and_each_angle_one_group() -> None:
    light, tan, dark = (np.tile(c, (50, 1)) / 255.0 for c in ((236, 200, 180), (190, 145, 110), (75, 48, 35)))
    angles = [typology_angle_degrees(colors) for colors in (light, tan, dark)]
    assert angles[0] > 41 > angles[1] > 10
    assert angles[2] < -30
    for angle in (*angles, -90.0, 90.0, 41.0, 10.0):
        assert sum(least <= angle < largest for _, least, largest in TONE_GROUPS) == 1


def test_highlights_and_brows_do_not_change_it() -> None:
    skin = np.tile((190, 145, 110), (100, 1)) / 255.0
    spoiled = skin.copy()
    spoiled[:20], spoiled[20:35] = 1.0, 0.05
    assert abs(typology_angle_degrees(spoiled) - typology_angle_degrees(skin)) < 5.0
