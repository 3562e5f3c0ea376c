"""A run of MLflow: its parameters, metrics and files.

One training is one run, however often it is killed and started again: the run is found by its tag `wg2.run_key`.
Metrics carry the time at which they were measured, so a row that is delivered twice is stored once (the key of
MLflow's metric table is run, name, step, time and value).
"""

import json
import math
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wg2 import checkpoint
from wg2.checkpoint import MetricRow
from wg2.errors import TrackingError
from wg2.tracking.client import SQLITE, absolute, one_line, open_client

RUN_KEY = "wg2.run_key"
LOGGED_STEP = "wg2.logged_step"
SAMPLED_STEP = "wg2.sampled_step"
TAG_LENGTH = 5000
"""Characters of a tag that MLflow keeps."""

_PARENT = "mlflow.parentRunId"
_PARAMS_PER_CALL, _METRICS_PER_CALL, _PARAM_LENGTH = 100, 1000, 6000


@dataclass(frozen=True)
class Run:
    """One MLflow run.

    Attributes:
        uri: the tracking server.
        experiment_id: the run's experiment.
        run_id: the run.
    """

    uri: str
    experiment_id: str
    run_id: str

    @classmethod
    def start_or_resume(
        cls,
        uri: str,
        experiment: str,
        run_key: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str = "",
    ) -> "Run":
        """The run with the tag `wg2.run_key` = `run_key`; a new one when there is none.

        Args:
            uri: MLflow server or sqlite:///FILE (created when missing, artefacts beside it).
            experiment: name of the experiment.
            run_key: what makes this training one training.
            params: parameters by flat name; written once, at the run's creation.
            tags: written at each start.
            parent: the run under which MLflow shows this one; '': none.
        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(uri):
            client = open_client(uri)
            experiment_id = _experiment(client, uri, experiment)
            found = _search(client, experiment_id, run_key)
            run_id = found or _create(client, experiment_id, run_key, params)
            for name, value in {**tags, **({_PARENT: parent} if parent else {})}.items():
                client.set_tag(run_id, name, str(value)[:TAG_LENGTH])
            client.update_run(run_id, status="RUNNING")
        return cls(absolute(uri), experiment_id, run_id)

    def log_metrics(self, values: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Log the metrics of one step; non-finite values are left out."""
        self.log_rows([MetricRow(step, timestamp_ms or int(time.time() * 1000), values)])

    def log_rows(self, rows: Sequence[MetricRow]) -> None:
        """Log many steps; a row that is there already (same step, time and value) changes nothing.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            from mlflow.entities import Metric

            client = open_client(self.uri)
            metrics = [
                Metric(name, value, row.timestamp_ms, row.step)
                for row in rows
                for name, value in row.values.items()
                if math.isfinite(value)
            ]
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                client.log_batch(self.run_id, metrics=metrics[start : start + _METRICS_PER_CALL])

    def deliver(self, rows: Sequence[MetricRow]) -> None:
        """Log the rows that follow those delivered before; call it with the whole history as often as you like.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            client = open_client(self.uri)
            done = int(client.get_run(self.run_id).data.tags.get(LOGGED_STEP, -1))
            missing = [row for row in rows if row.step > done]
            if missing:
                self.log_rows(missing)
                client.set_tag(self.run_id, LOGGED_STEP, str(missing[-1].step))

    def deliver_samples(self, folder: Path, step: int) -> None:
        """Keep the samples of validations that follow those kept before; call it as often as you like.

        Args:
            folder: with one folder, step-00000050, for each validation.
            step: of the newest saved state: later samples will be made again.
        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            client = open_client(self.uri)
            done = int(client.get_run(self.run_id).data.tags.get(SAMPLED_STEP, -1))
            found = {checkpoint.step_of(each): each for each in folder.glob("step-*")}
            for number in sorted(number for number in found if done < number <= step):
                client.log_artifacts(self.run_id, str(found[number]), f"samples/{found[number].name}")
                client.set_tag(self.run_id, SAMPLED_STEP, str(number))

    def log_dataset(self, name: str, identity: str, source: str, profile: Mapping[str, Any]) -> None:
        """Say what the run was trained on; saying it again changes nothing.

        Args:
            name: of the data set.
            identity: SHA-256 of its contents; MLflow keeps 36 characters of it.
            source: its place.
            profile: its size, as JSON.
        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            from mlflow.entities import Dataset, DatasetInput

            client = open_client(self.uri)
            data = Dataset(name, identity[:36], "local", json.dumps({"uri": source}), profile=json.dumps(dict(profile)))
            known = client.get_run(self.run_id).inputs.dataset_inputs
            if data.digest not in {entry.dataset.digest for entry in known}:
                client.log_inputs(self.run_id, datasets=[DatasetInput(data)])

    def log_text(self, text: str, name: str) -> None:
        """Keep a text with the run, as the file `name`.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            open_client(self.uri).log_text(self.run_id, text, name)

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Keep a file with the run, below `folder`.

        Raises:
            TrackingError: the file is missing, or the server cannot be reached or refuses.
        """
        if not Path(path).is_file():
            raise TrackingError(f"{path}: no such file to keep with the run {self.run_id}")
        with one_line(self.uri):
            open_client(self.uri).log_artifact(self.run_id, str(path), folder or None)

    def log_artifacts(self, folder: str | Path, name: str) -> None:
        """Keep a folder with the run, as `name`.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            open_client(self.uri).log_artifacts(self.run_id, str(folder), name)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        with one_line(self.uri):
            open_client(self.uri).set_terminated(self.run_id, status)


def git_commit() -> str:
    """The commit of the checkout that runs, with '+' when files differ from it; '' outside one."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
        status = subprocess.run(["git", "status", "-s"], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "") if commit.returncode == 0 else ""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as flat parameters: {'train': {'steps': 3}} -> {'train.steps': '3'}."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_PARAM_LENGTH]
    return flat


def _experiment(client: Any, uri: str, name: str) -> str:
    """The experiment's id; a new one keeps its artefacts beside the SQLite file, or where the server says."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        if known.lifecycle_stage != "active":
            raise TrackingError(f"MLflow at {uri}: the experiment {name} was deleted; restore it, or name another")
        return str(known.experiment_id)
    location = None
    if uri.startswith(SQLITE):
        location = (Path(absolute(uri).removeprefix(SQLITE)).parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _search(client: Any, experiment_id: str, run_key: str) -> str | None:
    found = client.search_runs([experiment_id], f"tags.`{RUN_KEY}` = '{run_key}'", order_by=["start_time ASC"])
    return str(found[0].info.run_id) if found else None


def _create(client: Any, experiment_id: str, run_key: str, params: Mapping[str, Any]) -> str:
    from mlflow.entities import Param

    run_id = str(client.create_run(experiment_id, tags={RUN_KEY: run_key}).info.run_id)
    items = [Param(name, value) for name, value in flatten(params).items()]
    for start in range(0, len(items), _PARAMS_PER_CALL):
        client.log_batch(run_id, params=items[start : start + _PARAMS_PER_CALL])
    return run_id
