"""Tasks on a cluster of this machine, whose workers are killed."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from common.ray_jobs import LOCAL, Cluster, RayError, RayRequest, cluster, ray_request, shares

Rows = list[tuple[int, bytes]]


def test_options_that_cannot_be_meant_are_refused() -> None:
    assert ray_request(None, None) is None
    assert ray_request("10.0.0.1:6379", 3) == RayRequest("10.0.0.1:6379", 3)
    with pytest.raises(ValueError, match="--ray-workers needs --ray"):
        ray_request(None, 2)
    with pytest.raises(ValueError, match="--ray-workers is 0"):
        ray_request(LOCAL, 0)


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.ray_jobs.find_spec", lambda name: None)
    with (
        pytest.raises(RayError, match=r"pip install 'ray\[data\]'"),
        cluster(RayRequest(), local_cpus=1, gpus=None),
    ):
        pass


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"),
    [
        # One for each GPU where there are any, else one for each CPU.
        (None, None, Cluster(2, 16, 1)),
        (None, False, Cluster(48, 1, 0)),
        (3, False, Cluster(3, 16, 0)),
        # Five of nine CPUs would be more than the machines have room for.
        (5, False, Cluster(5, 8, 0)),
        # None has more than its machine.
        (1, False, Cluster(1, 16, 0)),
    ],
)
def test_workers_find_room_on_the_machines(workers: int | None, gpus: bool | None, expected: Cluster) -> None:
    machines = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0}, {"CPU": 16.0, "memory": 1e9}]
    assert shares(machines, RayRequest("auto", workers), gpus) == expected


@pytest.mark.parametrize(
    ("workers", "gpus", "told"), [(3, None, "has 2 GPUs"), (50, False, "has 48 CPUs"), (None, True, "no machine")]
)
def test_workers_that_find_no_room_are_refused(workers: int | None, gpus: bool | None, told: str) -> None:
    cards = {} if told == "no machine" else {"GPU": 2.0}
    with pytest.raises(RayError, match=told):
        shares([{"CPU": 48.0, **cards}], RayRequest("auto", workers), gpus)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="the optional package ray is not installed")
    with cluster(RayRequest(LOCAL, workers=2), local_cpus=2, gpus=None) as found:
        yield found


def mirrored(folder: Path, cpus: int) -> Callable[[Sequence[tuple[int, bytes]]], Rows]:
    """Turns bytes round, and notes who was made and who was asked; dies of `always`, and of the first `once`."""
    (folder / f"made-{os.getpid()}").touch()

    def work(tasks: Sequence[tuple[int, bytes]]) -> Rows:
        answers = []
        for number, task in tasks:
            first = not (folder / f"begun-{number}").exists()
            (folder / f"begun-{number}").touch()
            if task == b"always" or (task == b"once" and first):
                os.kill(os.getpid(), signal.SIGKILL)
            answers.append((number, task[::-1]))
        return answers

    return work


@pytest.mark.slow
def test_a_killed_worker_loses_and_doubles_nothing(tmp_path: Path, two_workers: Cluster) -> None:
    tasks = [f"{number:03d}".encode() + bytes(2) for number in range(40)]
    tasks[7] = b"once"
    tasks[30] = b"always"
    answers = list(two_workers.answers(tasks, partial(mirrored, tmp_path)))
    numbers = [number for number, _ in answers]
    assert sorted(numbers) == list(range(40))
    expected = {number: task[::-1] for number, task in enumerate(tasks)} | {30: None}
    assert dict(answers) == expected
    assert len(list(tmp_path.glob("made-*"))) > 2


@pytest.mark.slow
def test_workers_are_made_once_for_many_shards(tmp_path: Path, two_workers: Cluster) -> None:
    answers = dict(two_workers.answers([b"ab"] * 40, partial(mirrored, tmp_path)))
    assert set(answers.values()) == {b"ba"}
    # The second may come when all is done.
    assert len(list(tmp_path.glob("made-*"))) <= 2


def unable(cpus: int) -> Callable[[Sequence[tuple[int, bytes]]], Rows]:
    raise OSError("no such checkpoint")


@pytest.mark.slow
def test_workers_that_cannot_begin_end_the_job_with_the_reason(two_workers: Cluster) -> None:
    with pytest.raises(RayError, match="no such checkpoint"):
        list(two_workers.answers([b"a"], unable))


def test_a_cluster_that_is_not_there_is_refused() -> None:
    pytest.importorskip("ray", reason="the optional package ray is not installed")
    with (
        pytest.raises(RayError, match=r"--ray 127\.0\.0\.1:1: no cluster can be had"),
        cluster(RayRequest("127.0.0.1:1"), local_cpus=1, gpus=None),
    ):
        pass
