"""A run of `infer.py` by Ray: workers that keep the networks loaded, photographs in shards (`docs/scale.md`).

Each worker writes faces and records as a run of one process does. A shard that is tried again, since its worker was
killed, keeps what has a record of this run; so nothing is lost, done twice in vain or reported twice.
"""

import json
import os
import pickle
import uuid
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from common.ray_jobs import RayError, RayRequest, TaskWork, cluster
from inference.inputs import InputImage
from inference.options import CommandLineError, InferenceOptions
from inference.pipeline import failed
from inference.progress import ProgressDisplay
from inference.report import ImageEntry, entry_from_dict
from inference.resume import Fingerprint, finished_entry
from inference.work import Asked, PhotographWork, fingerprint_of, open_outlet, worker_count

_LOST = "the process that worked on it was ended again and again: it may need more memory than there is"


class RayRun:
    """A run on a cluster."""

    def __init__(self, options: InferenceOptions, request: RayRequest, inputs: Sequence[InputImage]) -> None:
        """Refuse what cannot be meant; no worker is started yet.

        Args:
            options: The command line.
            request: Which cluster.
            inputs: The photographs.

        Raises:
            CommandLineError: If the command line names what is not there.
        """
        Asked.of(options)
        self.outlet = open_outlet(options.output)
        self.fingerprint = fingerprint_of(options)
        self.display = ProgressDisplay(len(inputs))
        self.kept: dict[str, ImageEntry] = {}
        self._request, self._inputs = request, inputs
        self._options = replace(options, ray=None)

    def entries(self) -> Generator[ImageEntry, None, None]:
        """Do what is not kept; yields each photograph's entry when it is done and recorded.

        Raises:
            CommandLineError: If there is no cluster, or it is lost.
        """
        tasks = [pickle.dumps(item) for item in self._inputs]
        # The file of the other backend is for the CPU.
        device = "cpu" if self._options.backend == "onnx" else self._options.device
        gpus = {"auto": None, "cpu": False, "cuda": True}[device]
        make_work = partial(photograph_worker, self._options, self.fingerprint, uuid.uuid4().hex, Path.cwd())
        try:
            with cluster(self._request, local_cpus=worker_count(), gpus=gpus) as found:
                for number, answer in found.answers(tasks, make_work):
                    item = self._inputs[number]
                    if answer is None:
                        yield failed(item, _LOST)
                        continue
                    said = json.loads(answer)
                    # Named as the command line leads to it, wherever that was done.
                    entry = entry_from_dict(said["entry"] | {"image": failed(item, "").image})
                    if said["kept"]:
                        self.kept[entry.key] = entry
                        self.display.advance(len(entry.faces))
                    else:
                        yield entry
        except RayError as error:
            raise CommandLineError(str(error)) from error


def photograph_worker(
    options: InferenceOptions, fingerprint: Fingerprint, run: str, folder: Path, cpus: int
) -> TaskWork:
    """What a worker of a run does.

    Args:
        options: The command line.
        fingerprint: Of the run.
        run: Its name.
        folder: Where the command line's relative paths begin, the same on all machines.
        cpus: For how many the worker may have threads.

    Raises:
        OSError: If this machine does not have the folder.
        ValueError: If this machine would make other results than the one that the run was started on.
    """
    os.chdir(folder)
    work = PhotographWork(options, workers=cpus, run=run)
    if work.fingerprint != fingerprint:
        raise ValueError(f"{options.checkpoint}: differs between the machines of the cluster; bring it to all of them")

    def entries_of(tasks: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        items: dict[int, InputImage] = {number: pickle.loads(task) for number, task in tasks}
        earlier = {
            number: finished_entry(options.output, item, fingerprint, run=None if options.resume else run)
            for number, item in items.items()
        }
        answers = [(number, _answer(entry, kept=options.resume)) for number, entry in earlier.items() if entry]
        numbers = {item.key: number for number, item in items.items() if not earlier[number]}
        answers += [
            (numbers[entry.key], _answer(entry, kept=False))
            for entry in work.entries([items[number] for number in numbers.values()])
        ]
        return answers

    return entries_of


def _answer(entry: ImageEntry, *, kept: bool) -> bytes:
    return json.dumps({"kept": kept, "entry": asdict(entry)}).encode()
