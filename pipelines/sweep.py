"""Several configurations of a folder, trained one after another as one job: the rows of a table.

Each is a training of its own, with its folder and its MLflow run, shown under the sweep's run. What is finished is not
trained again. A row that fails is told at the end; the others go on.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.train_record import TrainSummary
from wg2 import storage
from wg2.config import Config, load
from wg2.errors import ConfigError, TrainingError, Wg2Error
from wg2.tracking import Run, git_commit

FLAG = "--sweep"

Train = Callable[[Config, str], TrainSummary]
"""Trains a configuration under an MLflow run."""


def wanted(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The folder behind `--sweep` ('' without it), and the other arguments."""
    rest = list(argv)
    if FLAG not in rest:
        return "", rest
    place = rest.index(FLAG)
    if place + 1 == len(rest):
        raise ConfigError(f"{FLAG}: got no folder; name one with a TOML file for each configuration")
    folder = rest.pop(place + 1)
    del rest[place]
    return folder, rest


def configurations(folder: Path, flags: Sequence[str]) -> dict[str, Config]:
    """The configurations of a folder by name; flags change all of them, `--dir` is the folder above theirs.

    Raises:
        ConfigError: there is none, or one cannot be read.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ConfigError(f"{folder}: no *.toml in it; name a folder with one for each configuration")
    found = {file.stem: load(["--config", str(file), *flags]) for file in files}
    if any(flag == "--dir" or flag.startswith("--dir=") for flag in flags):
        found = {name: replace(config, dir=storage.join(config.dir, name)) for name, config in found.items()}
    return {name: _tracked(config) for name, config in found.items()}


def _tracked(config: Config) -> Config:
    """All rows are in one MLflow: without a server in an SQLite file above their folders."""
    above = replace(config, dir=storage.absolute(config.dir).rpartition("/")[0])
    return replace(config, tracking=replace(config.tracking, uri=above.tracking_uri))


def run(folder: Path, configs: Mapping[str, Config], train: Train) -> dict[str, TrainSummary]:
    """Train all configurations.

    Args:
        folder: where they come from, for the record.
        configs: by name.
        train: the job of one.
    Returns:
        What came of each.
    Raises:
        TrainingError: some failed; each is named with its reason. The others are trained and recorded.
        TrackingError: MLflow refused.
    """
    parent = _parent(folder, configs)
    done, failed = dict[str, TrainSummary](), dict[str, str]()
    for number, (name, config) in enumerate(configs.items(), 1):
        print(f"sweep: {name}, {number} of {len(configs)}", flush=True)
        try:
            done[name] = train(config, parent.run_id)
        except Wg2Error as error:
            failed[name] = " ".join(str(error).split())
    parent.log_text(json.dumps({name: _row(summary) for name, summary in done.items()}, indent=1), "sweep.json")
    parent.finish("FAILED" if failed else "FINISHED")
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise TrainingError(
            f"{folder}: {len(failed)} of {len(configs)} failed; the same command trains them: {reasons}"
        )
    return done


def _parent(folder: Path, configs: Mapping[str, Config]) -> Run:
    """The MLflow run of the sweep: the same one for the same configurations in the same folders."""
    one = next(iter(configs.values()))
    places = sorted(storage.absolute(config.dir) for config in configs.values())
    key = hashlib.sha256("\n".join(["sweep", *places]).encode()).hexdigest()
    tags = {"mlflow.source.name": "pipelines/train.py", "mlflow.source.git.commit": git_commit()}
    params = {"sweep": str(folder), "configurations": ", ".join(configs)}
    return Run.start_or_resume(one.tracking.uri, one.tracking.experiment, key, params, tags)


def _row(summary: TrainSummary) -> dict[str, object]:
    """A line of the table."""
    named = ("steps", "val_first", "val_last", "run_id", "model", "version", "voice")
    return {name: getattr(summary, name) for name in named}
