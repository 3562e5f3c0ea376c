"""What a training leaves behind: its MLflow run, the registered voice, and train.json."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow
from wg2.errors import TrackingError
from wg2.tracking import MODEL_SCHEME, Run, resolve_voice
from wg2.tracking.training import TrackingFacts, conclude, deliver, open_run, tracking_facts
from wg2.training.job import TrainJob


@dataclass(frozen=True)
class TrainSummary:
    """What the job did.

    Attributes:
        steps: optimisation steps behind the training.
        resumed_at: step at which this job began; equal to `steps` when there was nothing to do.
        val_first: `val/noise` of the initial weights.
        val_last: `val/noise` after the last step.
        run_id: the MLflow run.
        voice: folder of the best voice; its name in the registry, where the training is on S3.
        model: its name in the registry.
        version: its version there.
        nodes: Ray nodes of the ranks, in their order.
        history: what was measured; also in DIR/training/history.jsonl.
    """

    steps: int
    resumed_at: int
    val_first: float
    val_last: float
    run_id: str
    voice: str
    model: str
    version: int
    nodes: tuple[str, ...]
    history: tuple[MetricRow, ...] = ()


@contextlib.contextmanager
def tracked_run(job: TrainJob) -> "Iterator[Future[Run]]":
    """Open the MLflow run beside the start of Ray: a new SQLite file takes ten seconds. A failure is told to it too."""
    with ThreadPoolExecutor(1) as pool:
        tracked = pool.submit(_open_run, job)
        try:
            yield tracked
        except BaseException:
            with contextlib.suppress(TrackingError):
                run = tracked.result()
                deliver(run, job.folder)
                run.finish("FAILED")
            raise


def _open_run(job: TrainJob) -> Run:
    return open_run(_facts(job))


def _facts(job: TrainJob) -> TrackingFacts:
    config = job.config
    return tracking_facts(config, job.info, config.tracking_uri, job.run_key, "pipelines/train.py", job.parent)


def finish(job: TrainJob, run: Run, before: int, nodes: tuple[str, ...]) -> TrainSummary:
    """Deliver, register, record. All of it may be done again.

    Args:
        job: the training.
        run: its MLflow run.
        before: step at which this job began.
        nodes: Ray nodes of the ranks; none when it did not train.
    """
    history = checkpoint.saved_history(job.folder)
    version = conclude(_facts(job), run, job.folder)
    best, name = job.folder / "best", job.config.tracking.model_name
    losses = [row.values["val/noise"] for row in history if "val/noise" in row.values]
    steps, nodes = checkpoint.steps_done(job.folder), nodes or tuple(_record(job).get("nodes", ()))
    voice = str(best) if storage.is_local(job.config.dir) else f"{MODEL_SCHEME}{name}/{version}"
    summary = TrainSummary(steps, before, losses[0], losses[-1], run.run_id, voice, name, version, nodes)
    record = {key: value for key, value in asdict(summary).items() if key != "history"} | {"run_key": job.run_key}
    storage.write_bytes(str(job.folder / "train.json"), json.dumps(record, indent=1).encode())
    print(
        f"train: {steps} steps, val/noise {losses[0]:.3f} -> {losses[-1]:.3f}; registered as {name} version {version}"
    )
    return replace(summary, history=tuple(history))


def recorded(job: TrainJob, before: int) -> TrainSummary | None:
    """What an earlier job recorded, if it came to its end and the registry still has its version.

    Args:
        job: the training.
        before: steps that are done.
    """
    record = _record(job)
    if (record.pop("run_key", ""), record.get("steps")) != (job.run_key, before):
        return None
    try:
        resolve_voice(f"{MODEL_SCHEME}{record['model']}/{record['version']}", job.config.tracking_uri)
    except TrackingError:
        return None
    record |= {"resumed_at": before, "nodes": tuple(record["nodes"])}
    return TrainSummary(**record, history=tuple(checkpoint.saved_history(job.folder)))


def _record(job: TrainJob) -> dict[str, Any]:
    path = job.folder / "train.json"
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
