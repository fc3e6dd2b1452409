import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from model.face.hierarchy import HierarchyLevel
from tests.small_run import make_place
from tests.small_world import toy_head
from tools.bench_train import Ratio, batch_for, measure, training_step, without_start
from tools.training_cost import loader_rate, merged, step_rates
from training.config import Experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    place = make_place(tmp_path_factory.mktemp("bench"))
    path = place / "tiny.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "output": str(place / "run")}))
    return without_start(path)


def test_the_ratio_is_throughput_of_training_over_the_bare_backbones() -> None:
    assert Ratio(100.0, 200.0, [0.4, 0.5, 0.9]).median == 0.5


@pytest.mark.slow
def test_both_steps_are_timed_in_turns(experiment: Experiment) -> None:
    ratio = measure(experiment, batch_for(experiment, 2), rounds=2)
    assert len(ratio.ratios) == 2
    # Training does all that the bare step does, and more.
    assert ratio.training_ms > ratio.bare_ms > 0.0
    assert ratio.median < 1.0


def test_a_step_trains(experiment: Experiment) -> None:
    batch = batch_for(experiment, 2)
    assert len(batch["name"]) == 2  # pyright: ignore[reportArgumentType]
    step = training_step(experiment, batch)
    step()


def test_noise_serves_where_there_are_no_shards(experiment: Experiment, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(experiment.train, shards=tmp_path)
    batch = batch_for(dataclasses.replace(experiment, train=nowhere), 3)
    assert batch["image_srgb"].shape == (3, 3, experiment.image_size, experiment.image_size)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
def test_rates_are_counted_per_image(experiment: Experiment) -> None:
    assert all(rate > 0.0 for rate in step_rates([(experiment, 1), (experiment, 2)], rounds=1))
    assert loader_rate(experiment, 0, seconds=0.2) > 0.0


def test_a_merged_head_is_a_head_with_fewer_vertices() -> None:
    head = toy_head()
    count = len(head.vertices_mm)
    kept = np.arange(0, count, 2)
    distance = np.linalg.norm(head.vertices_mm[:, None] - head.vertices_mm[None, kept], axis=-1)
    parents = distance.argsort(axis=1)[:, :3].astype(np.int32)
    weights = np.tile(np.array([0.6, 0.3, 0.1], np.float32), (count, 1))
    coarse = merged(head, HierarchyLevel(kept, np.zeros((0, 2), np.int32), parents, weights))
    assert len(coarse.vertices_mm) == len(kept)
    assert 0 < len(coarse.faces) < len(head.faces)
    assert coarse.faces.max() < len(kept)
    moved = np.linalg.norm(
        coarse.vertices_mm[coarse.faces[coarse.landmarks["ibug68"].face]].mean(1)
        - head.vertices_mm[head.faces[head.landmarks["ibug68"].face]].mean(1),
        axis=-1,
    )
    assert np.median(moved) < 40.0
