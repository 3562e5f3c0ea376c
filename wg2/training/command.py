"""`python -m wg2 train`: a training in this process, on one GPU or on the CPU, with neither Ray nor MLflow.

Session, states and samples are those of the job on Ray: each resumes what the other began. What MLflow is to know is
kept, and `python -m wg2 track` delivers it.
"""

import signal
import sys
from dataclasses import dataclass, field, replace
from types import FrameType

import torch

from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow, Mirror
from wg2.config import Config, absolute
from wg2.errors import ConfigError
from wg2.progress import Progress
from wg2.tracking.training import keep_facts, tracking_facts
from wg2.training.checks import check_memory
from wg2.training.job import TrainJob, open_job, prepare
from wg2.training.session import open_session


class Stopped(Exception):  # noqa: N818  # no error: it was asked for
    """The state is saved, and the training ends here."""


@dataclass
class StopSignal:
    """SIGTERM or Ctrl-C: the first one ends the training when its state is saved, the second one at once.

    Attributes:
        number: of the first one; 0: none came.
    """

    number: int = 0
    _before: dict[int, object] = field(default_factory=dict)

    def __enter__(self) -> "StopSignal":
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.number = number
        self.__exit__()
        print("train: stops after this step; again, and it stops at once, without saving", file=sys.stderr, flush=True)


def train(config: Config) -> int:
    """Train to `train.steps` from wherever the last run came to.

    Returns:
        The exit code: 0, or 128 and the number of the signal that ended it.
    Raises:
        ConfigError: settings that contradict each other, or no such GPU.
        DatasetError: no committed data set, or one that does not fit the model or the checkpoint.
        TrainingError: too many non-finite steps, or other settings than the checkpoint's.
    """
    config = absolute(config)
    with checkpoint.working_folder(config.training_dir, "train", config.train.cache_dir) as mirror:
        mirror.fetch()
        job = open_job(config, mirror.folder)
        before = prepare(job, mirror)
        uri = config.tracking.uri or (config.tracking_uri if storage.is_local(config.dir) else "")
        facts = tracking_facts(config, job.info, uri, job.run_key, "wg2 train")
        keep_facts(facts, job.folder)
        number = _run(job, mirror, before) if before < config.train.steps else 0
        keep_facts(replace(facts, finished=not number), job.folder)
        mirror.push()
        _tell(job, number)
    return 128 + number if number else 0


def _run(job: TrainJob, mirror: Mirror, before: int) -> int:
    """Make the steps; the signal that ended them, 0 for none."""
    config, device = job.config.train, _device(job.config.train.use_gpu)
    memory = check_memory(job.sections, job.info, device)
    with StopSignal() as stop, Progress("train", "steps", config.steps, before) as progress:

        def report(row: MetricRow, saved: bool) -> None:
            progress.reach(row.step, row.note, now=saved)
            if stop.number and saved and row.step < config.steps:
                raise Stopped

        session = open_session(
            job.sections, job.info, job.folder, report, device=device, leaving=lambda: stop.number > 0,
            saved=mirror.push,
        )  # fmt: skip
        session.ask_every = 1
        print("; ".join(filter(None, (f"train: {device}: {session.trainer.compute}", memory))), flush=True)
        try:
            session.run()
        except Stopped:
            return stop.number
    return 0


def _device(use_gpu: bool) -> torch.device:
    if use_gpu and not torch.cuda.is_available():
        raise ConfigError(
            "train.use_gpu: torch sees no GPU here; give --train.use-gpu False, or install torch for CUDA"
        )
    return torch.device("cuda" if use_gpu else "cpu")


def _tell(job: TrainJob, number: int) -> None:
    """What became of it, and what is next."""
    done = checkpoint.steps_done(job.folder)
    if number:
        print(f"train: {signal.Signals(number).name}: saved at step {done}; the same command goes on from here")
        return
    losses = [row.values["val/noise"] for row in checkpoint.saved_history(job.folder) if "val/noise" in row.values]
    where = storage.join(job.config.training_dir, "best")
    print(f"train: {done} steps, val/noise {losses[0]:.3f} -> {losses[-1]:.3f}; the best voice is {where}")
    print(f"train: python -m wg2 track {job.config.dir} tells MLflow, and registers the voice", flush=True)
