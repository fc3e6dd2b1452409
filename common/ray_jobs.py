"""Many tasks on many machines by Ray Data: workers that keep loaded what they need, and no task lost with a worker.

Ray is an optional package (`pip install 'likeness[ray]'`), and only this file imports it.

A task is bytes, and so is its answer, so that it is the caller who says how both are written. Tasks go out in shards; a
shard is answered as a whole. If its worker dies, the shard is tried again by another one. What still has no answer then
is given out task by task, so that a task that kills its worker costs no other its answer.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from common.errors import describe
from common.paths import REPOSITORY

if TYPE_CHECKING:
    import pyarrow as pa
    from jsonargparse import ArgumentParser

LOCAL = "local"
"""The address of a cluster that is started on this machine for one job."""

TaskWork = Callable[[Sequence[tuple[int, bytes]]], Sequence[tuple[int, bytes]]]
"""What a worker does: numbers and tasks of a shard come in, numbers and answers go out."""

_MOST_IN_A_SHARD = 64
_SHARDS_FOR_EACH_WORKER = 8
_TRIES = 2
"""Of a shard, and then of each task that has no answer."""
_SECONDS_TO_ANSWER = 10.0
_OBJECT_STORE_BYTES = 200_000_000
"""For a local cluster: tasks and answers are small, and Ray would take a third of the memory."""


class RayError(ValueError):
    """A job that cannot be run; the message is one line."""


@dataclass(frozen=True)
class RayRequest:
    """Where Ray runs a job.

    Attributes:
        address: `LOCAL`, `auto` for the cluster that runs on this machine, or the address of one.
        workers: Processes that keep loaded what they need; None for one for each GPU, or for each CPU where there is
            none.
    """

    address: str = LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--ray-workers is {self.workers}: expected at least 1")


def add_ray_options(parser: "ArgumentParser", mark: str) -> None:
    """Add `--ray` and `--ray-workers` to a command line whose words are parted by `mark`."""
    parser.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help="do it on a cluster of Ray's: docs/scale.md; without an address one is started on this machine",
    )
    parser.add_argument(
        f"--ray{mark}workers", type=int, help="processes of the cluster; by default one for each GPU, or each CPU"
    )


def ray_request(address: str | None, workers: int | None) -> RayRequest | None:
    """What these options ask for; None for a run without Ray.

    Raises:
        ValueError: If they cannot be meant.
    """
    if address is None and workers is not None:
        raise ValueError("--ray-workers needs --ray")
    return None if address is None else RayRequest(address, workers)


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers.

    Attributes:
        workers: Processes that a job gets.
        cpus: CPUs of each.
        gpus: GPUs of each, 1 or 0.
    """

    workers: int
    cpus: int
    gpus: int

    def answers(
        self, tasks: Sequence[bytes], make_work: Callable[[int], TaskWork]
    ) -> Iterator[tuple[int, bytes | None]]:
        """Have tasks done.

        Args:
            tasks: What is to be done.
            make_work: Called once in each worker with its CPUs, and pickled to get there.

        Yields:
            Number and answer of each task, once each, in any order; None for one whose workers died again and again.

        Raises:
            RayError: If no worker can begin, or the cluster is lost.
        """
        share = -(-len(tasks) // (_SHARDS_FOR_EACH_WORKER * self.workers))
        waiting = dict(enumerate(tasks))
        for size in (min(share, _MOST_IN_A_SHARD), 1):
            # A list, since what was answered is taken out meanwhile.
            for number, answer in self._job(list(waiting.items()), make_work, size):
                if waiting.pop(number, None) is not None:
                    yield number, answer
            if not waiting:
                return
        yield from ((number, None) for number in waiting)

    def _job(
        self, tasks: Sequence[tuple[int, bytes]], make_work: Callable[[int], TaskWork], size: int
    ) -> Iterator[tuple[int, bytes]]:
        """One job of Ray Data over shards of this size; nothing comes of a shard whose tries are used up."""
        import pyarrow as pa
        import ray.data
        from ray.exceptions import RayError as ErrorOfRay
        from ray.util.annotations import RayDeprecationWarning

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A shard that is given up must not end the job.
        context.max_errored_blocks = -1
        tables = [_table(tasks[start : start + size]) for start in range(0, len(tasks), size)]
        with warnings.catch_warnings():
            # Ray 2.64 will take the number of tries in another way; the optional extra is bound to versions before.
            warnings.simplefilter("ignore", RayDeprecationWarning)
            answered = ray.data.from_arrow(tables).map_batches(
                _Worker,
                fn_constructor_args=(make_work, self.cpus),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=self.cpus,
                num_gpus=self.gpus,
                compute=ray.data.ActorPoolStrategy(
                    size=min(self.workers, len(tables)),
                    # Ray sends tasks ahead: one that waits behind a task that kills its worker would lose a try each
                    # time. Those that were given up once are sent one by one.
                    max_tasks_in_flight_per_actor=1 if size == 1 else None,
                ),
                max_restarts=-1,
                max_task_retries=_TRIES - 1,
            )
        try:
            for batch in answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                assert isinstance(batch, pa.Table)
                yield from _rows(batch)
        except ErrorOfRay as error:
            raise RayError(f"--ray: the job ended early: {describe(error)}") from error


class _Worker:
    """The actor of Ray Data."""

    def __init__(self, make_work: Callable[[int], TaskWork], cpus: int) -> None:
        self._work = make_work(cpus)

    def __call__(self, shard: "pa.Table") -> "pa.Table":
        return _table(self._work(_rows(shard)))


def _rows(table: "pa.Table") -> list[tuple[int, bytes]]:
    return list(zip(table["number"].to_pylist(), table["content"].to_pylist(), strict=True))


def _table(rows: Sequence[tuple[int, bytes]]) -> "pa.Table":
    import pyarrow as pa

    # Typed: NumPy's bytes would lose zeros at their end.
    numbers, contents = ([row[part] for row in rows] for part in (0, 1))
    return pa.table({"number": pa.array(numbers, pa.int64()), "content": pa.array(contents, pa.binary())})


def refuse_without_ray() -> None:
    """Refuse a job of Ray where it is not installed.

    Raises:
        RayError: Saying what to install.
    """
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise RayError("--ray needs the package ray: pip install 'ray[data]'")


@contextmanager
def cluster(request: RayRequest, *, local_cpus: int, gpus: bool | None) -> Iterator[Cluster]:
    """Connect to a cluster, or start one; it is left, or ended, afterwards.

    Args:
        request: Which one, and how many workers.
        local_cpus: CPUs of a cluster that is started here.
        gpus: Whether each worker is to have a GPU; None for where there are any.

    Raises:
        RayError: If it cannot be had.
    """
    refuse_without_ray()
    _refuse_silence(request.address)
    import ray

    # Workers of a cluster that is already there do not know where this program's modules lie.
    environment = {"env_vars": {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}}
    own: dict[str, Any] = {"address": request.address}
    if request.address == LOCAL:
        count = max(local_cpus, request.workers or 1)
        own |= {"num_cpus": count, "object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # Of this process: its warning that a worker cannot restart once its arguments are gone alarms without need, since
    # they are gone when the job is.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(**own, runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False)
    # Ray raises several kinds, from all over gRPC.
    except Exception as error:
        raise RayError(f"--ray {request.address}: no cluster can be had: {describe(error)}") from error
    try:
        yield shares([node["Resources"] for node in ray.nodes() if node["Alive"]], request, gpus)
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Refuse an address where nobody answers: Ray itself would wait for a minute.

    Raises:
        RayError: Saying why.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
        except (OSError, OverflowError) as error:
            raise RayError(f"--ray {address}: no cluster can be had: {describe(error)}") from error


def shares(machines: Sequence[Mapping[str, float]], request: RayRequest, gpus: bool | None) -> Cluster:
    """What the workers have of a cluster: as many CPUs as let all of them find room on its machines.

    Args:
        machines: What each has, in Ray's words.
        request: How many workers are asked for.
        gpus: Whether each is to have a GPU; None for where there are any.

    Raises:
        RayError: If there are not enough GPUs.
    """
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    cards = sum(int(machine.get("GPU", 0)) for machine in machines)
    if gpus and not cards:
        raise RayError(f"--ray {request.address}: no machine of the cluster has a GPU; leave out --device cuda")
    with_gpu = cards > 0 and gpus is not False
    workers = request.workers or max(1, cards if with_gpu else sum(cpus))
    if with_gpu and workers > cards:
        raise RayError(f"--ray-workers is {workers}: the cluster has {cards} GPUs")
    fitting = [share for share in range(1, max(cpus, default=1) + 1) if sum(n // share for n in cpus) >= workers]
    if not fitting:
        raise RayError(f"--ray-workers is {workers}: the cluster has {sum(cpus)} CPUs")
    return Cluster(workers, fitting[-1], int(with_gpu))
