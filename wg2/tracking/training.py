"""What MLflow is told of a training; FOLDER/tracking.json keeps it, so that who trains need not have MLflow."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wg2 import checkpoint, storage
from wg2.config import Config
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import TrackingError
from wg2.tracking.registry import register
from wg2.tracking.run import Run, flatten, git_commit

_FILE = "tracking.json"


@dataclass(frozen=True)
class TrackingFacts:
    """What makes the MLflow run of a training.

    Attributes:
        uri: the tracking server; '': not known yet.
        experiment: of the run.
        run_key: what makes this training one MLflow run: its folder, its settings and its data.
        params: the run's parameters, by flat name.
        tags: the run's.
        dataset: arguments of `Run.log_dataset`.
        config: the whole configuration.
        model: name of the voice in the registry.
        alias: of its version there.
        parent: MLflow run of the sweep that it is part of; '': none.
        finished: whether it came to its end.
    """

    uri: str
    experiment: str
    run_key: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: Mapping[str, Any]
    config: Mapping[str, Any]
    model: str
    alias: str
    parent: str = ""
    finished: bool = False


def tracking_facts(
    config: Config, info: DatasetInfo, uri: str, run_key: str, source: str, parent: str = ""
) -> TrackingFacts:
    """Of a training.

    Args:
        config: all of it.
        info: its data set.
        uri: the tracking server; '': not known yet.
        run_key: as in `TrackingFacts`.
        source: the program that trains.
        parent: MLflow run of the sweep that it is part of; '': none.
    """
    sections = {name: asdict(getattr(config, name)) for name in ("audio", "text", "model", "diffusion", "train")}
    tags = {
        "wg2.dataset": info.identity,
        "wg2.dataset.config_hash": info.config_hash,
        "wg2.dataset.utterances": str(info.num_utterances),
        "wg2.dataset.hours": f"{info.hours:.4f}",
        "mlflow.source.name": source,
        "mlflow.source.git.commit": git_commit(),
    }
    size = {"utterances": info.num_utterances, "hours": info.hours}
    dataset = {"name": Path(info.root).name, "identity": info.identity, "source": info.root, "profile": size}
    tracking = config.tracking
    return TrackingFacts(
        uri, tracking.experiment, run_key, flatten(sections), tags, dataset, asdict(config),
        tracking.model_name, tracking.alias, parent,
    )  # fmt: skip


def keep_facts(facts: TrackingFacts, folder: Path) -> None:
    """Write them into the folder of the training.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    storage.write_bytes(str(folder / _FILE), (json.dumps(asdict(facts), indent=1) + "\n").encode())


def kept_facts(folder: Path) -> TrackingFacts:
    """What `keep_facts` wrote.

    Raises:
        TrackingError: it is missing or damaged.
    """
    path = folder / _FILE
    if not path.exists():
        raise TrackingError(f"{path}: no such file; name the --dir of a training by `python -m wg2 train`")
    try:
        return TrackingFacts(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise TrackingError(
            f"{path}: damaged ({error}); run the training's command again, which rewrites it"
        ) from error


def open_run(facts: TrackingFacts) -> Run:
    """The MLflow run of a training; a new one where there is none.

    Raises:
        TrackingError: no server is named, or it cannot be reached or refuses.
    """
    if not facts.uri:
        raise TrackingError("no MLflow server is named: got '', wanted one with --tracking URI")
    run = Run.start_or_resume(facts.uri, facts.experiment, facts.run_key, facts.params, facts.tags, facts.parent)
    run.log_dataset(**facts.dataset)
    run.log_text(json.dumps(dict(facts.config), indent=1), "config.json")
    return run


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


def conclude(facts: TrackingFacts, run: Run, folder: Path) -> int:
    """Deliver all of a finished training, register its best voice and end the run. All of it may be done again.

    Returns:
        The voice's version in the registry.
    Raises:
        TrackingError: the server cannot be reached or refuses.
    """
    deliver(run, folder)
    run.log_artifact(folder / "history.jsonl")
    version = register(run, folder / "best", facts.model, facts.alias)
    run.finish()
    return version


def track(run: str, uri: str = "") -> str:
    """Tell MLflow of a training what it does not know yet; what came out, for a person.

    Args:
        run: the training's --dir.
        uri: the tracking server; '': the one that the training named.
    Raises:
        TrackingError: there is no such training, or the server cannot be reached or refuses.
    """
    with checkpoint.working_folder(storage.join(run, "training"), "track") as mirror:
        mirror.fetch()
        facts = kept_facts(mirror.folder)
        if uri:
            facts = replace(facts, uri=uri)
        mlflow_run, done = open_run(facts), checkpoint.steps_done(mirror.folder)
        if not facts.finished:
            deliver(mlflow_run, mirror.folder)
            return f"{run}: {max(done, 0)} steps are at {mlflow_run.uri}; to be registered when it has ended"
        version = conclude(facts, mlflow_run, mirror.folder)
    return f"{run}: {done} steps are at {mlflow_run.uri}; registered as {facts.model} version {version}"
