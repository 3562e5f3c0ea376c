"""The job that trains a voice on a data set, resumably, tracked in MLflow, and registers the best one.

python pipelines/train.py --dir runs/lj --train.steps 200000
python pipelines/train.py --sweep configs/ablations --train.workers 8     all configurations of a folder in turn
ray job submit --working-dir . -- python pipelines/train.py --config configs/ljspeech.toml --train.workers 8
"""

import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines import runtime, sweep
from pipelines.train_monitor import Monitor, node_metrics
from pipelines.train_record import TrainSummary, finish, recorded, tracked_run
from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow, Mirror
from wg2.config import Config, TrainConfig, absolute, load
from wg2.errors import ConfigError, TrainingError
from wg2.tracking import Run
from wg2.training import TrainJob, check_memory, open_job, open_session, prepare

_SAY_EVERY_S = 1.0
"""How often worker 0 tells the driver where it is."""
_MEASURE_EVERY_S = 10.0
"""How often a node tells how busy it is."""


def run(config: Config, parent: str = "") -> TrainSummary:
    """Train to `train.steps` from wherever the last run came to, and register the best voice.

    Args:
        config: of the training.
        parent: MLflow run of the sweep that it is part of; '': none.
    Raises:
        ConfigError: settings that contradict each other, or a lexicon that cannot be read.
        DatasetError: no committed data set, or one that does not fit the model or the checkpoint.
        TrainingError: too many non-finite steps, other settings than the checkpoint's, or workers lost too often.
        TrackingError: MLflow refused; the metrics are kept and go with the next run of the same command.
    """
    config = absolute(config)
    with checkpoint.working_folder(config.training_dir, "driver", config.train.cache_dir) as mirror:
        mirror.fetch()
        return _run(open_job(config, mirror.folder, parent), mirror)


def _run(job: TrainJob, mirror: Mirror) -> TrainSummary:
    before, steps = prepare(job, mirror), job.config.train.steps
    if before >= steps and (summary := recorded(job, before)):
        return summary
    with tracked_run(job) as tracked:
        nodes = _train(job, mirror, tracked) if before < steps else ()
        mirror.fetch()
        summary = finish(job, tracked.result(), before, nodes)
        mirror.push()
    return summary


def _train(job: TrainJob, mirror: Mirror, tracked: "Future[Run]") -> tuple[str, ...]:
    """Run the workers; the Ray nodes that they were on, by rank."""
    runtime.connect()
    _check_machine(job.config.train)
    mailbox = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": _beside_the_driver()})
    trainer = _trainer(job, mailbox)
    with Monitor(mirror, job.config.train.steps, mailbox, tracked) as monitor:
        problem = _fit(trainer)
    mailbox.shutdown(force=True)
    if problem:
        raise TrainingError(problem)
    return monitor.nodes


def _beside_the_driver() -> NodeAffinitySchedulingStrategy:
    """Where no worker's node can take an actor with it: every restarted worker would meet its death again."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _check_machine(config: TrainConfig) -> None:
    """A private Ray never grows: workers that do not fit would be waited for until somebody looks.

    Raises:
        ConfigError: fewer CPUs or GPUs than workers, of which there may be `min_workers`.
    """
    kind = "GPU" if config.use_gpu else "CPU"
    found = runtime.resources(kind)
    if runtime.joins_cluster():
        return
    least = config.min_workers or config.workers
    if found < least:
        raise ConfigError(
            f"train.workers: {least} workers want a {kind} each, this machine's Ray has {found}; "
            "lower train.workers" + (", or give --train.use-gpu False" if config.use_gpu else "")
        )
    wanted, cpus = least * _cpus(config), runtime.resources("CPU")
    if cpus < wanted:
        raise ConfigError(
            f"train.loader_workers: {least} workers with {config.loader_workers} loading processes each want "
            f"{wanted} CPUs, this machine's Ray has {cpus}; lower train.loader_workers"
        )


def _trainer(job: TrainJob, mailbox: Queue) -> TorchTrainer:
    config, (files, place) = job.config.train, storage.filesystem(_ray_dir(job.config))
    return TorchTrainer(
        _worker,
        train_loop_config={"job": job, "mailbox": mailbox},
        torch_config=TorchConfig(backend="nccl" if config.use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=_workers(config),  # type: ignore[arg-type]  # mypy sees version 1's
            use_gpu=config.use_gpu,
            placement_strategy=_placement(config),
            resources_per_worker={"CPU": _cpus(config), **({"GPU": 1} if config.use_gpu else {})},
        ),
        run_config=ray.train.RunConfig(  # type: ignore[call-arg]  # mypy sees version 1's
            name="ray",
            storage_path=place,
            storage_filesystem=files,
            failure_config=ray.train.FailureConfig(max_failures=config.max_failures),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )


def _ray_dir(config: Config) -> str:
    """Where Ray keeps what it knows of the training: beside a mirror's pushes, not among them."""
    return config.training_dir if storage.is_local(config.dir) else storage.join(config.dir, "ray")


def _workers(config: TrainConfig) -> int | tuple[int, int]:
    """As Ray wants to be told: all, or from few to all."""
    return (config.min_workers, config.workers) if config.min_workers else config.workers


def _cpus(config: TrainConfig) -> int:
    """Of a worker: itself, and what feeds its GPU. Without one they share what there is: nobody waits for the other."""
    return 1 + config.loader_workers if config.use_gpu else 1


def _placement(config: TrainConfig) -> str:
    """GPUs of one node talk fastest; CPU workers would only fight for the cores of one."""
    return "PACK" if config.use_gpu else "SPREAD"


def _fit(trainer: TorchTrainer) -> str:
    """What the workers agreed to stop for; '' when they are done."""
    try:
        result: Any = trainer.fit()
    except ray.train.TrainingFailedError as error:
        known = runtime.user_error(error)
        raise known or TrainingError(f"the workers failed; rerun to resume: {_last_line(error)}") from error
    return str(result.return_value or "")


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


def _worker(settings: dict[str, Any]) -> Any:
    """One rank. What all ranks meet alike is returned as text, so that Ray does not try it again."""
    job: TrainJob = settings["job"]
    mailbox: Queue = settings["mailbox"]
    logging.getLogger().setLevel(logging.WARNING)  # Ray prints each report
    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    node = f"node-{context.get_node_rank()}" if context.get_local_rank() == 0 else ""
    report = _Reporter(mailbox, leads=rank == 0, node=node)
    memory = check_memory(job.sections, job.info, get_device())
    with checkpoint.working_folder(job.config.training_dir, f"rank-{rank}", job.config.train.cache_dir) as mirror:
        if rank == 0:
            mirror.fetch()
        facts = job.sections, job.info, mirror.folder
        session = open_session(
            *facts, report, rank, size, get_device(), _leaving, mirror.push, context.get_local_world_size()
        )
        line = "; ".join(filter(None, (str(session.trainer.compute), memory)))
        mailbox.put((rank, ray.get_runtime_context().get_node_id(), line))
        try:
            session.run()
        except TrainingError as error:
            return str(error)
    return ""


def _leaving() -> bool:
    """Whether Ray knows that one of the nodes will be taken away (a spot instance's notice, a drained node)."""
    return ray.train.get_preemption_info() is not None


class _Reporter:
    """Tells the driver where worker 0 is and how busy this node is, and Ray what is saved."""

    def __init__(self, mailbox: Queue, leads: bool, node: str) -> None:
        self._mailbox, self._leads, self._node, self._said, self._measured = mailbox, leads, node, 0.0, 0.0

    def __call__(self, row: MetricRow, saved: bool) -> None:
        if self._node and time.monotonic() - self._measured > _MEASURE_EVERY_S:
            self._mailbox.put((self._node, node_metrics()))
            self._measured = time.monotonic()
        if self._leads and (saved or time.monotonic() - self._said > _SAY_EVERY_S):
            self._mailbox.put((row, saved))
            self._said = time.monotonic()
        if saved:
            # Without Ray's checkpoint: ours is on the disk, and a second index of it could only contradict.
            ray.train.report({"step": row.step, **row.values})


def main(argv: Sequence[str]) -> None:
    """Train one configuration, or with `--sweep FOLDER` all of a folder."""
    folder, flags = sweep.wanted(argv)
    if folder:
        sweep.run(Path(folder), sweep.configurations(Path(folder), flags), run)
    else:
        run(load(flags))


if __name__ == "__main__":
    runtime.main(lambda: main(sys.argv[1:]))
