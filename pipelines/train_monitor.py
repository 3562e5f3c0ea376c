"""What the driver of a training does while the workers work: shows their progress, delivers to MLflow what is saved."""

import contextlib
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

import torch
from ray.exceptions import RayError
from ray.util.queue import Empty, Queue

from pipelines import runtime
from wg2 import checkpoint
from wg2.checkpoint import MetricRow, Mirror
from wg2.errors import StorageError, TrackingError
from wg2.tracking import Run
from wg2.tracking.training import deliver


class Monitor(threading.Thread):
    """Shows the progress that worker 0 reports, and delivers to MLflow what is saved."""

    def __init__(self, mirror: Mirror, steps: int, mailbox: Queue, tracked: "Future[Run]") -> None:
        """Begin with `with`.

        Args:
            mirror: of the training.
            steps: that it is to reach.
            mailbox: where workers put (rank, node id, how it computes), (row, whether it is saved) and (node's name,
                system metrics).
            tracked: the MLflow run, which may still be opening.
        """
        super().__init__(daemon=True)
        self.mirror, self.steps, self.mailbox, self.tracked = mirror, steps, mailbox, tracked
        self._nodes: dict[int, str] = {}
        self._system: dict[str, dict[str, float]] = {}
        self.ended, self.warned, self.step = threading.Event(), False, max(checkpoint.steps_done(mirror.folder), 0)

    def __enter__(self) -> "Monitor":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.join()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Node ids of the workers, by rank."""
        return tuple(self._nodes[rank] for rank in sorted(self._nodes))

    def run(self) -> None:
        """Read the mailbox until the training ended and it is empty."""
        with runtime.Progress("train", "steps", self.steps, self.step) as progress:
            self._follow(progress)
        with contextlib.suppress(TrackingError):  # the run may have opened later than a short training took
            self._keep_system_metrics()

    def _follow(self, progress: runtime.Progress) -> None:
        while True:
            try:
                self._read(self.mailbox.get(timeout=0.5), progress)
            except Empty:
                if self.ended.is_set():
                    return
            except RayError:
                return

    def _read(self, message: tuple[object, ...], progress: runtime.Progress) -> None:
        match message:
            case (int(rank), str(node), str(how)):
                self._nodes[rank] = node
                print(f"train: rank {rank} is on node {node}: {how}", flush=True)
            case (str(node), dict(values)):
                self._system[node] = {**values}
            case (MetricRow() as row, bool(saved)):
                progress.reach(row.step, row.note, now=saved)
                self.step = max(self.step, row.step)
                if saved:
                    self._deliver()

    def _deliver(self) -> None:
        """MLflow's troubles stop no training: its history is on the disk, and is delivered at the end or later."""
        if not self.tracked.done():
            return
        try:
            self._keep_system_metrics()
            self.mirror.fetch(lambda path: not path.endswith(".safetensors"))
            deliver(self.tracked.result(), self.mirror.folder)
        except (TrackingError, StorageError) as error:
            if not self.warned:
                print(f"train: {error}; training goes on, the metrics are kept and delivered later", flush=True)
            self.warned = True

    def _keep_system_metrics(self) -> None:
        """What the nodes said last, under the names that MLflow shows as system metrics."""
        named = {
            f"system/{node}/{name}": value for node, values in self._system.items() for name, value in values.items()
        }
        self._system = {}
        if named:
            self.tracked.result().log_metrics(named, self.step)


def node_metrics() -> dict[str, float]:
    """How busy this node is: load for each core, memory and GPU memory in use."""
    values = {"cpu_load_per_core": os.getloadavg()[0] / (os.cpu_count() or 1)}
    memory = _memory_kb()
    if {"MemTotal", "MemAvailable"} <= memory.keys():
        values["system_memory_usage_megabytes"] = (memory["MemTotal"] - memory["MemAvailable"]) / 1e3
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        values[f"gpu_{index}_memory_usage_megabytes"] = (total - free) / 1e6
    return values


def _memory_kb() -> dict[str, int]:
    """/proc/meminfo; nothing where there is none."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.partition(":")[0]: int(line.split()[1]) for line in lines}
