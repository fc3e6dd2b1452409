"""Making the shards of a plan: here, in several processes, or on a cluster."""

import json
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from common.atomic import atomic_path
from common.errors import describe
from common.places import Place, read_part
from common.ray_jobs import RayRequest, TaskWork, cluster
from data.image_io import UnreadableImageError, decode_photograph
from data.patches import detected_samples, labelled_sample
from data.plan import PrepareConfig, ShardPlan
from data.readers import SourcePhotograph
from data.shards import encode_sample, write_shard

Skipped = dict[str, str]
"""One photograph that gave no sample: `name`, `reason`, `message`."""


def make_shard(plan: ShardPlan) -> None:
    """Write one shard and its receipt."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    skipped: list[Skipped] = []
    for number, photograph in enumerate(plan.photographs):
        if photograph.doubt:
            skipped.append({"name": photograph.name, "reason": "doubtful", "message": photograph.doubt})
            continue
        try:
            faces = _encode(photograph, plan.config)
        except UnreadableImageError as error:
            skipped.append({"name": photograph.name, "reason": error.kind, "message": str(error)})
            continue
        except (OSError, ValueError) as error:
            skipped.append({"name": photograph.name, "reason": "unreadable", "message": str(error)})
            continue
        if not faces:
            skipped.append({"name": photograph.name, "reason": "no_face", "message": "no face was found"})
        samples.extend((f"{plan.path.stem}-{number:06d}-{face}", members) for face, members in enumerate(faces))
    write_shard(plan.path, samples)
    receipt = {
        "fingerprint": plan.fingerprint,
        "photographs": len(plan.photographs),
        "samples": len(samples),
        "skipped": skipped,
    }
    write_json(plan.receipt_path, receipt)


def is_finished(plan: ShardPlan) -> bool:
    """Whether a shard was made by the same plan, wholly."""
    try:
        receipt = json.loads(read_part(plan.receipt_path))
        return plan.path.is_file() and receipt["fingerprint"] == plan.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _encode(photograph: SourcePhotograph, config: PrepareConfig) -> list[dict[str, bytes]]:
    """The members of the samples of a photograph; none where no face is found."""
    if photograph.labels is not None:
        sample, jpeg = labelled_sample(photograph, photograph.labels, config)
        return [encode_sample(sample, jpeg)]
    image_srgb = decode_photograph(photograph.read_bytes(), photograph.name)
    found = sorted(_detector().detect(image_srgb), key=lambda detection: -detection.area_px)
    kept = found[:1] if config.largest_face else found
    return [encode_sample(sample) for sample in detected_samples(photograph, image_srgb, kept, config)]


_SURE_SCORE = 0.75
"""Least score of a face to learn from: what is no face costs more there than a face that is missed."""


@cache
def _detector() -> Any:
    """The detector of this process: photographs with labels do not need it, and it takes seconds to load."""
    import torch

    from data.detector import FaceDetector

    torch.set_num_threads(1)
    return FaceDetector(min_score=_SURE_SCORE)


def make_all(plans: list[ShardPlan], workers: int) -> Iterator[ShardPlan]:
    """Make shards, in several processes; yields each when it is finished."""
    if workers == 1:
        for plan in plans:
            make_shard(plan)
            yield plan
        return
    # Forking a process with threads (OpenCV's, the progress bar's) can leave locks that nobody opens.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker) as pool:
        waiting = iter(plans)
        running: dict[Future[None], ShardPlan] = {}
        try:
            while True:
                # Few at a time: a plan carries its labels, and all of them at once would fill the pipes.
                for plan in waiting:
                    running[pool.submit(make_shard, plan)] = plan
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    plan = running.pop(future)
                    future.result()
                    yield plan
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def make_all_by_ray(plans: list[ShardPlan], request: RayRequest) -> Iterator[ShardPlan]:
    """Make shards on a cluster; yields each when it is finished.

    Raises:
        ValueError: After all others, if some could not be made.
    """
    failed: dict[str, str] = {}
    tasks = [pickle.dumps(plan) for plan in plans]
    with cluster(request, local_cpus=os.cpu_count() or 1, gpus=False) as found:
        for number, told in found.answers(tasks, partial(_shard_worker, Path.cwd())):
            if told is None:
                failed[plans[number].path.name] = "the process that made it was ended again and again"
            elif told:
                failed[plans[number].path.name] = told.decode()
            else:
                yield plans[number]
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(failed.items()))
        raise ValueError(f"{len(failed)} shards are missing, start again to make them: {reasons}")


def _shard_worker(folder: Path, cpus: int) -> TaskWork:
    """What a worker of a cluster does; answers are empty, or say why a shard could not be made."""
    os.chdir(folder)
    cv2.setNumThreads(cpus)

    def make(tasks: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        answers = []
        for number, task in tasks:
            plan: ShardPlan = pickle.loads(task)
            try:
                # The worker before may have been killed after its shard was finished.
                if not is_finished(plan):
                    make_shard(plan)
            except Exception as error:
                answers.append((number, describe(error).encode()))
            else:
                answers.append((number, b""))
        return answers

    return make


def _start_worker() -> None:
    """Each process keeps to one core, since there are several."""
    cv2.setNumThreads(1)


def write_json(path: Place, content: dict[str, Any]) -> None:
    """Write a JSON file, atomically."""
    with atomic_path(path) as temporary:
        # Names of files may be any bytes: escaped, they are still text.
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
