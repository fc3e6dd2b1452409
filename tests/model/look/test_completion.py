import numpy as np

from model.look.completion import continue_difference, continue_inwards, continue_mirrored, graph_laplacian, spread


def strip(length: int) -> np.ndarray:
    """Triangles of a 2 x length band of vertices; vertex k and k + length lie opposite."""
    quads = [(k, k + 1, k + length + 1, k + length) for k in range(length - 1)]
    return np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)


def test_what_is_known_is_kept_and_fades_smoothly_towards_the_far_value() -> None:
    length = 400
    column = np.tile(np.arange(length), 2)
    weight = (column < 20).astype(np.float32)
    known = np.full((2 * length, 1), 0.5, np.float32)
    extended = continue_difference(known, weight, graph_laplacian(strip(length), 2 * length), np.zeros_like(known))[
        :length, 0
    ]
    np.testing.assert_allclose(extended[:15], 0.5, atol=0.01)
    steps = np.diff(extended[15:])
    assert (steps <= 1e-6).all()
    assert np.abs(steps).max() < 0.02
    assert extended[-1] < 0.05


def test_values_without_weight_do_not_matter_and_nothing_overshoots() -> None:
    length = 60
    random = np.random.default_rng(0)
    weight = (random.random(2 * length) < 0.3).astype(np.float32)
    known = random.uniform(-1.0, 1.0, (2 * length, 3)).astype(np.float32)
    far = np.zeros_like(known)
    extended = continue_difference(known, weight, graph_laplacian(strip(length), 2 * length), far)
    spoiled = np.where(weight[:, None] > 0, known, 100.0).astype(np.float32)
    np.testing.assert_allclose(
        continue_difference(spoiled, weight, graph_laplacian(strip(length), 2 * length), far), extended, atol=1e-5
    )
    assert np.abs(extended).max() <= 1.0


def test_a_part_that_nothing_is_known_of_takes_the_far_value() -> None:
    band = strip(10)
    faces = np.concatenate([band, band + 20])
    weight = np.zeros(40, np.float32)
    weight[:20] = 1.0
    far = np.full((40, 1), -0.25, np.float32)
    extended = continue_difference(np.ones((40, 1), np.float32), weight, graph_laplacian(faces, 40), far)
    np.testing.assert_allclose(extended[20:], -0.25, atol=1e-5)


def test_a_spread_mask_stays_a_mask_and_reaches_a_few_rings() -> None:
    length = 40
    mask = np.zeros(2 * length, np.float32)
    mask[[20, 20 + length]] = 1.0
    soft = spread(mask, graph_laplacian(strip(length), 2 * length))[:length]
    assert 0.0 <= soft.min() <= soft.max() < 1.0
    assert soft[20] == soft.max()
    assert soft[22] > 0.0
    assert soft[30] == 0.0


def test_what_is_hidden_continues_its_rim_evenly_and_ignores_what_is_no_part_of_it() -> None:
    length = 21
    laplacian = graph_laplacian(strip(length), 2 * length)
    column = np.tile(np.arange(length), 2)
    values = np.where(column < 8, 0.2, 0.8)[:, None].astype(np.float32)
    hidden = (column > 5) & (column < 15)
    spoiled = np.where(hidden[:, None], 9.0, values).astype(np.float32)
    among = column < 19
    spoiled[~among] = -9.0
    found = continue_inwards(spoiled, hidden, among, laplacian)
    np.testing.assert_array_equal(found[~hidden], spoiled[~hidden])
    inner = found[:length, 0][6:15]
    assert (np.diff(inner) > 0.0).all()
    np.testing.assert_allclose(np.diff(inner), 0.06, atol=0.03)
    assert (inner.min() > 0.2) & (inner.max() < 0.8)


def test_the_hidden_half_takes_over_how_the_seen_one_varies_and_not_its_level() -> None:
    length = 80
    laplacian = graph_laplacian(strip(length), 2 * length)
    column = np.tile(np.arange(length), 2)
    mirror = np.concatenate([np.arange(length)[::-1], np.arange(length)[::-1] + length])
    course = np.abs(column - 0.5 * (length - 1)) * 0.02
    # The seen half is brighter by a slope across the middle, as light that was not taken out whole would make it.
    known = (course + 0.2 * (column > length // 2 + 5))[:, None].astype(np.float32)
    weight = (column >= length // 2).astype(np.float32)
    found = continue_mirrored(known, weight, mirror, laplacian, np.zeros(1, np.float32))[:length, 0]
    plain = continue_difference(known, weight, laplacian, np.zeros(1, np.float32))[:length, 0]
    across = np.abs(np.diff(found))[length // 2 - 3 : length // 2 + 3]
    assert across.max() < 0.05
    hidden = slice(5, length // 2 - 8)
    assert np.polyfit(np.arange(length)[hidden], found[hidden], 1)[0] < -0.01
    assert abs(np.polyfit(np.arange(length)[hidden], plain[hidden], 1)[0]) < 0.01
