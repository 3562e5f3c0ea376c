"""MLflow: runs, metrics and the model registry. The only place that imports it.

One training is one run, however often it is killed and started again: the run is found by its tag `wg2.run_key`.
Metrics carry the time at which they were measured, so a row that is delivered twice is stored once (the key of
MLflow's metric table is run, name, step, time and value).

MLflow takes seconds to import, so it is imported where it is used.
"""

import atexit
import contextlib
import json
import logging
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow
from wg2.errors import TrackingError

RUN_KEY = "wg2.run_key"
LOGGED_STEP = "wg2.logged_step"
SAMPLED_STEP = "wg2.sampled_step"
WEIGHTS = "wg2.weights_sha256"
MODEL_SCHEME = "models:/"

_SQLITE = "sqlite:///"
_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
_PARENT = "mlflow.parentRunId"
_SERVED_MODEL = Path(__file__).with_name("served_model.py")
_PARAMS_PER_CALL, _METRICS_PER_CALL, _PARAM_LENGTH, _TAG_LENGTH = 100, 1000, 6000, 5000


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
        with _one_line(uri):
            client = _client(uri)
            experiment_id = _experiment(client, uri, experiment)
            found = _search(client, experiment_id, run_key)
            run_id = found or _create(client, experiment_id, run_key, params)
            for name, value in {**tags, **({_PARENT: parent} if parent else {})}.items():
                client.set_tag(run_id, name, str(value)[:_TAG_LENGTH])
            client.update_run(run_id, status="RUNNING")
        return cls(_absolute(uri), experiment_id, run_id)

    def log_metrics(self, values: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Log the metrics of one step; non-finite values are left out."""
        self.log_rows([MetricRow(step, timestamp_ms or int(time.time() * 1000), values)])

    def log_rows(self, rows: Sequence[MetricRow]) -> None:
        """Log many steps; a row that is there already (same step, time and value) changes nothing.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            from mlflow.entities import Metric

            client = _client(self.uri)
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
        with _one_line(self.uri):
            client = _client(self.uri)
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
        with _one_line(self.uri):
            client = _client(self.uri)
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
        with _one_line(self.uri):
            from mlflow.entities import Dataset, DatasetInput

            client = _client(self.uri)
            data = Dataset(name, identity[:36], "local", json.dumps({"uri": source}), profile=json.dumps(dict(profile)))
            known = client.get_run(self.run_id).inputs.dataset_inputs
            if data.digest not in {entry.dataset.digest for entry in known}:
                client.log_inputs(self.run_id, datasets=[DatasetInput(data)])

    def log_text(self, text: str, name: str) -> None:
        """Keep a text with the run, as the file `name`.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            _client(self.uri).log_text(self.run_id, text, name)

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Keep a file with the run, below `folder`.

        Raises:
            TrackingError: the file is missing, or the server cannot be reached or refuses.
        """
        if not Path(path).is_file():
            raise TrackingError(f"{path}: no such file to keep with the run {self.run_id}")
        with _one_line(self.uri):
            _client(self.uri).log_artifact(self.run_id, str(path), folder or None)

    def log_artifacts(self, folder: str | Path, name: str) -> None:
        """Keep a folder with the run, as `name`.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            _client(self.uri).log_artifacts(self.run_id, str(folder), name)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        with _one_line(self.uri):
            _client(self.uri).set_terminated(self.run_id, status)

    def register(self, voice_folder: str | Path, name: str, alias: str = "champion") -> int:
        """Register a voice as a version of the model `name` and let `alias` point at it.

        The same weights of the same run are registered once: the version that they have is returned.

        Args:
            voice_folder: what `checkpoint.save_voice` wrote.
            name: of the model in the registry.
            alias: the name by which others ask for this version.
        Raises:
            CheckpointError: there is no voice in the folder.
            TrackingError: the server cannot be reached or refuses.
        """
        digest = checkpoint.weights_digest(voice_folder)
        with _one_line(self.uri):
            client = _client(self.uri)
            version = _find_version(client, name, self.run_id, digest)
            if version is None:
                version = self._log_model(Path(voice_folder), name, digest)
            if _aliased(client, name, alias) != version:
                client.set_registered_model_alias(name, alias, version)
        return int(version)

    def _log_model(self, voice_folder: Path, name: str, digest: str) -> str:
        """Log the voice as a pyfunc (models from code, safetensors inside) and return its new version."""
        import mlflow

        info = checkpoint.check_voice(voice_folder)
        client = _client(self.uri)
        with _active_run(self):
            logged = mlflow.pyfunc.log_model(
                name="voice",
                python_model=str(_SERVED_MODEL),
                artifacts={"voice": str(voice_folder)},
                signature=_signature(),
                input_example={"text": ["Two birds sat on a wire."]},
                pip_requirements=_requirements(),
                metadata={"dataset": info.dataset, "step": info.step, "sampling_rate": info.sampling_rate},
            )
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            # Within the block: the registry looks the model up at the global address, not at the client's.
            tags = {WEIGHTS: digest}
            made = client.create_model_version(name, logged.model_uri, self.run_id, tags, model_id=logged.model_id)
        return str(made.version)


def resolve_voice(voice: str, uri: str) -> Path:
    """The local folder of a voice.

    Args:
        voice: a folder, models:/NAME@ALIAS or models:/NAME/VERSION.
        uri: the registry.
    Raises:
        TrackingError: no such folder, model, alias or version.
    """
    if not voice.startswith(MODEL_SCHEME):
        if (Path(voice) / "voice.json").exists():
            return Path(voice).absolute()
        raise TrackingError(f"{voice}: no voice.json in it; name a voice folder or {MODEL_SCHEME}NAME@ALIAS")
    _refuse_missing(voice, uri)
    with _one_line(uri):
        client = _client(uri)
        found = _version(client, voice, uri)
        source = str(client.get_model_version_download_uri(found.name, found.version))
        return _voice_in(_download(source, uri), voice)


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


# ---------------------------------------------------------------------------------------------------------- helpers


@contextlib.contextmanager
def _one_line(uri: str) -> Iterator[None]:
    """MLflow's and its store's complaints as one line."""
    _quiet()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrackingError(f"MLflow at {uri}: {first}") from error


def _quiet() -> None:
    """No telemetry, no search for git, no chatter about database tables: before MLflow is first imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    if uri.startswith(_SQLITE):
        Path(_absolute(uri).removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(_absolute(uri), _absolute(uri))


def _refuse_missing(voice: str, uri: str) -> None:
    """Who looks for a voice must not leave an empty registry behind."""
    path = Path(_absolute(uri).removeprefix(_SQLITE))
    if uri.startswith(_SQLITE) and not path.exists():
        raise TrackingError(f"{voice}: no registry at {path}; run pipelines/train.py first, or give another server")


def _absolute(uri: str) -> str:
    """`uri` with an SQLite file's path made absolute: workers run in other folders."""
    return _SQLITE + storage.absolute(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else uri


def _experiment(client: Any, uri: str, name: str) -> str:
    """The experiment's id; a new one keeps its artefacts beside the SQLite file, or where the server says."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        if known.lifecycle_stage != "active":
            raise TrackingError(f"MLflow at {uri}: the experiment {name} was deleted; restore it, or name another")
        return str(known.experiment_id)
    location = None
    if uri.startswith(_SQLITE):
        location = (Path(_absolute(uri).removeprefix(_SQLITE)).parent / "mlartifacts").as_uri()
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


def _find_version(client: Any, name: str, run_id: str, digest: str) -> str | None:
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return next((str(version.version) for version in versions if version.tags.get(WEIGHTS) == digest), None)


def _aliased(client: Any, name: str, alias: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None


@contextlib.contextmanager
def _active_run(run: Run) -> Iterator[None]:
    """Make `run` the one that MLflow's module-level functions mean, and leave no trace of it.

    MLflow's own setters cannot restore a default, and write the environment, which subprocesses inherit.
    """
    import mlflow
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    before = os.environ.get(_TRACKING_VARIABLE)
    try:
        with _use_tracking_uri(run.uri), mlflow.start_run(run_id=run.run_id, log_system_metrics=False):
            yield
    finally:
        if before is not None:
            os.environ[_TRACKING_VARIABLE] = before


def _signature() -> Any:
    """Text in; a WAV file, its rate and its length out; how to speak as parameters."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("string", "text")]),
        outputs=Schema([ColSpec("binary", "audio"), ColSpec("long", "sampling_rate"), ColSpec("long", "num_samples")]),
        params=ParamSchema([
            ParamSpec("steps", "long", 50), ParamSpec("seed", "long", 0), ParamSpec("pace", "double", 1.0),
            ParamSpec("sampler", "string", "ddpm"),
        ]),
    )  # fmt: skip


def _requirements() -> list[str]:
    """What serving needs, named here: MLflow's own search would import everything and ask the network."""
    return [f"{name}=={metadata.version(name)}" for name in ("wg2", "torch", "mlflow")]


def _version(client: Any, voice: str, uri: str) -> Any:
    """MLflow's record of the version that models:/NAME@ALIAS or models:/NAME/VERSION means now."""
    from mlflow.exceptions import MlflowException

    name, _, alias = voice.removeprefix(MODEL_SCHEME).partition("@")
    try:
        if alias:
            return client.get_model_version_by_alias(name, alias)
        name, _, number = name.partition("/")
        return client.get_model_version(name, number)
    except MlflowException as error:
        raise TrackingError(f"{voice}: not in the registry at {uri}: {error.message}; run train first") from error


def _download(source: str, uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    if source.startswith("file://"):
        return Path(source.removeprefix("file://"))
    folder = tempfile.mkdtemp(prefix="wg2-voice-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(download_artifacts(source, dst_path=folder, tracking_uri=_absolute(uri)))


def _voice_in(model: Path, voice: str) -> Path:
    """The voice folder in a logged model."""
    found = next(iter(sorted(model.glob("artifacts/*/voice.json"))), None)
    if found is None:
        raise TrackingError(f"{voice}: no voice.json in {model}; it was not registered by wg2")
    return found.parent
