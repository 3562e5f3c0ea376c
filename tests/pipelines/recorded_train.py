"""The training job with workers that note each step and, after one of them, kill themselves, their node or the driver.

python recorded_train.py FOLDER NOTES STEP
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ray
import tiny_training
from ray import cloudpickle

from pipelines import runtime
from pipelines import train as job
from wg2 import checkpoint

WORKERS = 2


def recorded(notes: Path, victim: str = "", step: int = 0) -> Callable[[dict], object]:
    """A worker that notes where rank 0 begins and which steps it makes; `victim` is killed once, after `step`."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes know no tests
    driver, head = os.getpid(), ray.get_runtime_context().get_node_id() if victim == "node" else ""

    def worker(settings):
        from pipelines import train  # the worker's own

        real = train.open_session

        def opened(sections, info, folder, report, rank, *rest):
            def noting(row, saved):
                if rank == 0:
                    note(notes, str(row.step))
                report(row, saved)
                if row.step == step and once(notes, victim, rank, head):
                    strike(victim, driver)

            if rank == 0:
                note(notes, f"from {checkpoint.steps_done(folder)}")
            return real(sections, info, folder, noting, rank, *rest)

        train.open_session = opened
        return train._worker(settings)

    return worker


def note(notes: Path, line: str) -> None:
    with notes.open("a") as stream:
        stream.write(line + "\n")


def once(notes: Path, victim: str, rank: int, head: str) -> bool:
    """Whether this worker is to do it, and nobody has yet: the last rank, or whoever is not on the driver's node."""
    mine = ray.get_runtime_context().get_node_id() != head if victim == "node" else rank == WORKERS - 1
    if not victim or not mine:
        return False
    with contextlib.suppress(FileExistsError):
        notes.with_suffix(".struck").touch(exist_ok=False)
        return True
    return False


def strike(victim: str, driver: int) -> None:
    if victim == "rank":
        os._exit(9)
    if victim == "driver":
        os.kill(driver, signal.SIGKILL)
        time.sleep(120)  # until Ray ends its orphans: nothing is trained after the kill
    raylet = os.getppid()
    for pid in [raylet, *(pid for pid in children(raylet) if pid != os.getpid()), os.getpid()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def lives(notes: Path) -> list[tuple[int, list[int]]]:
    """Of each start: the step of the newest state then, and the steps made."""
    found: list[tuple[int, list[int]]] = []
    for line in notes.read_text().splitlines():
        if line.startswith("from "):
            found.append((int(line.removeprefix("from ")), []))
        else:
            found[-1][1].append(int(line))
    return found


if __name__ == "__main__":
    folder, notes, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    job._worker = recorded(notes, "driver", step)
    runtime.main(lambda: job.run(tiny_training.config(folder, workers=WORKERS)))
