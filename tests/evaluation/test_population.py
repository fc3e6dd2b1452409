from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.population import CORRELATED, Answers, Population, ask, format_population, measure_population
from model.encoder.backbone import EncoderConfig
from model.face.morphable_model import MorphableModel
from model.observation import Observation
from model.reconstructor import Reconstructor
from tests.small_world import ARKIT_NAMES, BACKBONE, IMAGE_SIZE, toy_head, toy_reconstructor
from training.synthetic_geometry import geometry_weight

CENTER = np.array([0.5, 0.0, -0.5, 1.0, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(replace(toy_head(), identity_center=CENTER))


def column(name: str) -> int:
    return ARKIT_NAMES.index(name)


def answers(count: int = 40, seed: int = 0) -> Answers:
    """Independent normal identities, labels at random which the answers repeat, strangers all."""
    generator = np.random.default_rng(seed)
    labels = generator.random((count, 52)).astype(np.float32)
    return Answers(
        identity=generator.normal(size=(count, 6)).astype(np.float32),
        expression=labels.copy(),
        labels=labels,
        trusted=np.ones(count, bool),
        person=np.full(count, -1),
    )


def measured(given: Answers, model: MorphableModel) -> Population:
    return measure_population(given, model, geometry_weight(model))


def test_mean_and_spread_are_those_of_the_identities(model: MorphableModel) -> None:
    offset = np.array([3.0, 0.0, 4.0, 0.0, 0.0, 0.0], np.float32)
    deviation = np.array([0.1, 0.2, 0.5, 1.0, 2.0, 0.0], np.float32)
    signs = np.tile(np.array([[1.0], [-1.0]], np.float32), (20, 1))
    population = measured(replace(answers(), identity=offset + signs * deviation), model)
    assert population.photographs == 40
    assert population.mean_norm == pytest.approx(5.0, rel=1e-5)
    assert population.mean_distance == pytest.approx(float(np.linalg.norm(offset - CENTER)), rel=1e-5)
    np.testing.assert_allclose(population.spread, deviation, atol=1e-5)


def test_one_mean_person_for_all_has_no_spread_and_no_distance(model: MorphableModel) -> None:
    population = measured(replace(answers(), identity=np.tile(CENTER, (40, 1))), model)
    assert population.mean_distance == pytest.approx(0.0, abs=1e-6)
    assert population.spread.max() == 0.0


def test_active_blendshapes_are_counted_on_faces_at_rest_and_on_all(model: MorphableModel) -> None:
    given = answers(6)
    labels, expression = np.zeros((6, 52), np.float32), np.zeros((6, 52), np.float32)
    labels[3, column("jawOpen")] = 0.5
    labels[4, [column("mouthSmileLeft"), column("mouthSmileRight")]] = 0.9
    # Three at rest with 2, 4 and 0; a fourth that is not trusted; 0.1 itself is not active.
    expression[0, :2], expression[1, :4], expression[2, :9] = 0.3, 0.11, 0.1
    expression[3, :12], expression[4, :2], expression[5, :] = 0.5, 0.5, 1.0
    trusted = np.array([True, True, True, True, True, False])
    population = measured(replace(given, labels=labels, expression=expression, trusted=trusted), model)
    assert population.neutral_faces == 3
    assert population.active_on_neutral == pytest.approx(2.0)
    assert population.active_on_all == pytest.approx((2 + 4 + 0 + 12 + 2) / 5)


def test_the_labels_themselves_correlate_fully_and_their_opposite_inversely(model: MorphableModel) -> None:
    given = answers()
    assert measured(given, model).correlations == pytest.approx(dict.fromkeys(CORRELATED, 1.0))
    inverse = replace(given, expression=1.0 - given.labels)
    assert measured(inverse, model).correlations == pytest.approx(dict.fromkeys(CORRELATED, -1.0))


def test_labels_that_are_not_trusted_do_not_count(model: MorphableModel) -> None:
    given = answers()
    wrong = given.expression.copy()
    wrong[20:] = 1.0 - wrong[20:]
    half = replace(given, expression=wrong, trusted=np.arange(40) < 20)
    assert measured(half, model).correlations["jawOpen"] == pytest.approx(1.0)
    assert measured(replace(half, trusted=np.ones(40, bool)), model).correlations["jawOpen"] < 0.5
    nobody = measured(replace(given, trusted=np.zeros(40, bool)), model)
    assert np.isnan(list(nobody.correlations.values())).all()
    assert np.isnan([nobody.active_on_neutral, nobody.active_on_all]).all()


def test_an_expression_that_follows_the_identity_is_told(model: MorphableModel) -> None:
    given = answers(4000)
    independent = measured(given, model).identity_expression
    # Of N independent pairs the root mean square correlation is 1 / sqrt(N).
    assert independent == pytest.approx(4000**-0.5, rel=0.15)
    follows = replace(given, expression=np.repeat(0.1 * given.identity[:, :1] + 0.5, 52, axis=1))
    assert measured(follows, model).identity_expression == pytest.approx(6**-0.5, rel=0.05)
    still = replace(given, expression=np.zeros((4000, 52), np.float32))
    assert np.isnan(measured(still, model).identity_expression)


def smiling_and_resting(identity: np.ndarray) -> Answers:
    """Three people, each at rest and smiling; in this order."""
    labels = np.zeros((6, 52), np.float32)
    labels[3:, [column("mouthSmileLeft"), column("mouthSmileRight")]] = 0.8
    return Answers(identity.astype(np.float32), labels.copy(), labels, np.ones(6, bool), np.array([0, 1, 2, 0, 1, 2]))


def test_a_person_keeps_the_neutral_head_and_strangers_differ(model: MorphableModel) -> None:
    three = np.random.default_rng(0).normal(size=(3, 6))
    population = measured(smiling_and_resting(np.concatenate((three, three))), model)
    assert population.neutral_faces == population.pairs == 3
    assert population.same_person_mm == pytest.approx(0.0, abs=1e-4)
    assert population.strangers_mm > 0.3
    moved = measured(smiling_and_resting(np.concatenate((three, three + 0.5))), model)
    assert 0.05 < moved.same_person_mm < moved.strangers_mm


def test_who_is_unknown_makes_no_pair(model: MorphableModel) -> None:
    given = smiling_and_resting(np.random.default_rng(0).normal(size=(6, 6)))
    nobody = measured(replace(given, person=np.full(6, -1)), model)
    assert nobody.pairs == 0
    assert np.isnan([nobody.same_person_mm, nobody.strangers_mm]).all()
    strangers = measured(replace(given, person=np.arange(6)), model)
    assert strangers.pairs == 0
    assert np.isnan(strangers.same_person_mm)
    assert strangers.strangers_mm > 0.3


def test_everything_is_printed(model: MorphableModel) -> None:
    three = np.random.default_rng(0).normal(size=(3, 6))
    text = format_population(measured(smiling_and_resting(np.concatenate((three, three))), model))
    assert "one person (3 pairs)" in text
    assert "0.00 mm" in text
    assert all(f"labels: {stem}" in text for stem in CORRELATED)


def test_asking_encodes_each_photograph_and_sorts_the_blendshapes() -> None:
    names = tuple(reversed(ARKIT_NAMES))
    head = replace(toy_head(), expression_names=names, expression_basis=toy_head().expression_basis[::-1].copy())
    reconstructor = Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, head).eval()
    bias = torch.linspace(0.0, 1.0, 52)
    with torch.no_grad():
        reconstructor.parameter_head.expression.bias.copy_(bias)
    first, second = (Observation.fake(batch=2, size=IMAGE_SIZE, seed=seed) for seed in (0, 1))
    second = replace(second, blendshapes_weight=torch.tensor([1.0, 0.5]), person=torch.tensor([4, -1]))
    given = ask([first, second], reconstructor)
    assert given.identity.shape == (4, 6)
    assert given.trusted.tolist() == [True, True, True, False]
    assert given.person.tolist() == [-1, -1, 4, -1]
    np.testing.assert_array_equal(given.labels, torch.cat((first.blendshapes, second.blendshapes)).numpy())
    with torch.no_grad():
        own = reconstructor.encode(first.image_srgb, first.intrinsics_px).expression.numpy()
    np.testing.assert_allclose(given.expression[:2], own[:, ::-1], atol=1e-6)
    assert np.ptp(given.expression[0]) > 0.5


def test_nobody_and_other_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="no photographs"):
        ask([], toy_reconstructor())
    few = replace(toy_head(), expression_names=ARKIT_NAMES[:7], expression_basis=toy_head().expression_basis[:7])
    reconstructor = Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, few)
    with pytest.raises(ValueError, match="7 expressions"):
        ask([Observation.fake(size=IMAGE_SIZE)], reconstructor)
