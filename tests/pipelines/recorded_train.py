"""The training job with workers that note each step and, after one of them, kill themselves, their node or the driver.

Or they announce that their node will go.

python recorded_train.py FOLDER NOTES STEP
"""

import contextlib
import os
import signal
import subprocess
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
ELSEWHERE = ("node", "notice")
"""Who strikes must not be on the driver's node."""


def recorded(notes: Path, victim: str = "", step: int = 0) -> Callable[[dict], object]:
    """A worker that notes where rank 0 begins and which steps it makes; `victim` is killed once, after `step`."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes know no tests
    driver, head = os.getpid(), ray.get_runtime_context().get_node_id() if victim in ELSEWHERE else ""

    def worker(settings):
        from pipelines import train  # the worker's own

        real = train.open_session

        def opened(sections, info, folder, report, rank, *rest):
            def noting(row, saved):
                if rank == 0:
                    note(notes, str(row.step))
                report(row, saved)
                if saved and rank == 0:
                    note(notes, f"saved {row.step}")
                if victim == "notice" and row.step > step:
                    time.sleep(0.05)  # long enough for Ray to see the notice
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
    """Whether this worker is to do it, and nobody has yet: a rank, or whoever is not on the driver's node."""
    if victim in ELSEWHERE:
        mine = ray.get_runtime_context().get_node_id() != head
    else:
        mine = rank == (0 if victim == "leader" else WORKERS - 1)
    if not victim or not mine:
        return False
    with contextlib.suppress(FileExistsError):
        notes.with_suffix(".struck").touch(exist_ok=False)
        return True
    return False


def strike(victim: str, driver: int) -> None:
    if victim == "notice":
        announce()
        return
    if victim in ("rank", "leader"):
        os._exit(9)
    if victim == "driver":
        os.kill(driver, signal.SIGKILL)
        time.sleep(120)  # until Ray ends its orphans: nothing is trained after the kill
    raylet = os.getppid()
    for pid in [raylet, *(pid for pid in children(raylet) if pid != os.getpid()), os.getpid()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def announce() -> None:
    """What a cloud does before it takes a machine away: in ten minutes this node goes."""
    here = ray.get_runtime_context()
    options = {"address": here.gcs_address, "node-id": here.get_node_id(), "reason": "DRAIN_NODE_REASON_PREEMPTION",
               "reason-message": "spot", "deadline-remaining-seconds": 600}  # fmt: skip
    flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    subprocess.run([sys.executable, "-m", "ray.scripts.scripts", "drain-node", *flags], check=True)


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def saved(notes: Path) -> list[int]:
    """The steps after which a state was saved."""
    return [int(line.removeprefix("saved ")) for line in notes.read_text().splitlines() if line.startswith("saved ")]


def lives(notes: Path) -> list[tuple[int, list[int]]]:
    """Of each start: the step of the newest state then, and the steps made."""
    found: list[tuple[int, list[int]]] = []
    for line in notes.read_text().splitlines():
        if line.startswith("saved "):
            continue
        if line.startswith("from "):
            found.append((int(line.removeprefix("from ")), []))
        else:
            found[-1][1].append(int(line))
    return found


if __name__ == "__main__":
    folder, notes, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    job._worker = recorded(notes, "driver", step)
    runtime.main(lambda: job.run(tiny_training.config(folder, workers=WORKERS)))
