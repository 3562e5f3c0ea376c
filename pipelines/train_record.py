"""What a training leaves behind: its MLflow run, the registered voice, and train.json."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow
from wg2.config import Config
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import TrackingError
from wg2.tracking import MODEL_SCHEME, Run, git_commit, register, resolve_voice
from wg2.training import Sections


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


@dataclass(frozen=True)
class Job:
    """What the driver and the workers know.

    Attributes:
        config: of the training.
        info: its data set.
        folder: where the driver has it on a local disk.
        parent: MLflow run of the sweep that it is part of; '': none.
        lexicon: what is in the user's lexicon: only the driver is sure to have the file.
    """

    config: Config
    info: DatasetInfo
    folder: Path
    parent: str = ""
    lexicon: str = ""

    @property
    def sections(self) -> Sections:
        """What training obeys."""
        config = self.config
        return Sections(config.train, config.model, config.diffusion, config.text, self.lexicon)

    @property
    def ray_dir(self) -> str:
        """Where Ray keeps what it knows of the training: beside a mirror's pushes, not among them."""
        config = self.config
        return config.training_dir if storage.is_local(config.dir) else storage.join(config.dir, "ray")

    @property
    def run_key(self) -> str:
        """What makes this training one MLflow run: its folder, its settings and its data."""
        facts = {"folder": self.config.training_dir, "settings": self.sections.fixed(), "dataset": self.info.identity}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def tracked_run(job: Job) -> "Iterator[Future[Run]]":
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


def deliver(run: Run, folder: Path) -> None:
    """Hand what a training has saved to its MLflow run, as far as that does not have it.

    Args:
        run: the MLflow run.
        folder: of the training.
    Raises:
        TrackingError: the server cannot be reached or refuses.
    """
    run.deliver(checkpoint.saved_history(folder))
    run.deliver_samples(folder / "samples", checkpoint.steps_done(folder))


def _open_run(job: Job) -> Run:
    config, info = job.config, job.info
    sections = {name: asdict(getattr(config, name)) for name in ("audio", "text", "model", "diffusion", "train")}
    tags = {
        "wg2.dataset": info.identity,
        "wg2.dataset.config_hash": info.config_hash,
        "wg2.dataset.utterances": str(info.num_utterances),
        "wg2.dataset.hours": f"{info.hours:.4f}",
        "mlflow.source.name": "pipelines/train.py",
        "mlflow.source.git.commit": git_commit(),
    }
    run = Run.start_or_resume(config.tracking_uri, config.tracking.experiment, job.run_key, sections, tags, job.parent)
    size = {"utterances": info.num_utterances, "hours": info.hours}
    run.log_dataset(Path(info.root).name, info.identity, info.root, size)
    run.log_text(json.dumps(asdict(config), indent=1), "config.json")
    return run


def finish(job: Job, run: Run, before: int, nodes: tuple[str, ...]) -> TrainSummary:
    """Deliver, register, record. All of it may be done again.

    Args:
        job: the training.
        run: its MLflow run.
        before: step at which this job began.
        nodes: Ray nodes of the ranks; none when it did not train.
    """
    history = checkpoint.saved_history(job.folder)
    deliver(run, job.folder)
    run.log_artifact(job.folder / "history.jsonl")
    best, name = job.folder / "best", job.config.tracking.model_name
    version = register(run, best, name, job.config.tracking.alias)
    run.finish()
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


def recorded(job: Job, before: int) -> TrainSummary | None:
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


def _record(job: Job) -> dict[str, Any]:
    path = job.folder / "train.json"
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
