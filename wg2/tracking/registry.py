"""The model registry: voices as versions of a model, and the aliases by which others ask for them."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from wg2 import __version__, bundled, checkpoint
from wg2.config import BUNDLED
from wg2.errors import TrackingError
from wg2.tracking.client import SQLITE, absolute, one_line, open_client
from wg2.tracking.run import TAG_LENGTH, Run

WEIGHTS = "wg2.weights_sha256"
MODEL_SCHEME = "models:/"

_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
_SERVED_MODEL = Path(__file__).with_name("served_model.py")


@dataclass(frozen=True)
class Version:
    """A version in the registry.

    Attributes:
        uri: the registry.
        name: of the model.
        number: of the version.
        run_id: of the run that made it.
    """

    uri: str
    name: str
    number: int
    run_id: str

    @property
    def address(self) -> str:
        """models:/NAME/VERSION."""
        return f"{MODEL_SCHEME}{self.name}/{self.number}"

    def log_text(self, text: str, path: str) -> None:
        """Keep a text with the run that made the version; one of the same path is replaced.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            open_client(self.uri).log_text(self.run_id, text, path)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Write tags at the version; those of the same name are replaced.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            for name, value in tags.items():
                open_client(self.uri).set_model_version_tag(self.name, str(self.number), name, value[:TAG_LENGTH])

    def holder(self, alias: str) -> "Version | None":
        """The version of the same model that an alias points at; None where no one has it.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            client = open_client(self.uri)
            number = client.get_registered_model(self.name).aliases.get(alias)
            if number is None:
                return None
            return Version(self.uri, self.name, int(number), str(client.get_model_version(self.name, number).run_id))

    def take(self, alias: str) -> None:
        """Let an alias point at this version.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with one_line(self.uri):
            open_client(self.uri).set_registered_model_alias(self.name, alias, str(self.number))


def default_voice(model: str, uri: str) -> str:
    """Who speaks where no voice is named: the champion of `model`; before the first training, the bundled voice."""
    path = Path(absolute(uri).removeprefix(SQLITE))
    return BUNDLED if uri.startswith(SQLITE) and not path.exists() else f"{MODEL_SCHEME}{model}@champion"


def find_version(voice: str, uri: str) -> Version:
    """The version that models:/NAME@ALIAS or models:/NAME/VERSION means now.

    Raises:
        TrackingError: no such model, alias or version, or the server cannot be reached.
    """
    _refuse_missing(voice, uri)
    with one_line(uri):
        found = _version(open_client(uri), voice, uri)
    return Version(uri, found.name, int(found.version), str(found.run_id))


def resolve_voice(voice: str, uri: str) -> Path:
    """The local folder of a voice.

    Args:
        voice: a folder, models:/NAME@ALIAS or models:/NAME/VERSION, or 'bundled' for the one that comes with wg2.
        uri: the registry.
    Raises:
        TrackingError: no such folder, model, alias or version.
    """
    if voice == BUNDLED:
        return bundled.VOICE
    if not voice.startswith(MODEL_SCHEME):
        if (Path(voice) / "voice.json").exists():
            return Path(voice).absolute()
        raise TrackingError(f"{voice}: no voice.json in it; name a voice folder or {MODEL_SCHEME}NAME@ALIAS")
    _refuse_missing(voice, uri)
    with one_line(uri):
        client = open_client(uri)
        found = _version(client, voice, uri)
        source = str(client.get_model_version_download_uri(found.name, found.version))
        return _voice_in(_download(source, uri), voice)


def register(run: Run, voice_folder: str | Path, name: str, alias: str = "champion") -> int:
    """Register a voice as a version of the model `name` and let `alias` point at it.

    The same weights of the same run are registered once: the version that they have is returned.

    Args:
        run: of the training that made it.
        voice_folder: what `checkpoint.save_voice` wrote.
        name: of the model in the registry.
        alias: the name by which others ask for this version.
    Raises:
        CheckpointError: there is no voice in the folder.
        TrackingError: the server cannot be reached or refuses.
    """
    digest = checkpoint.weights_digest(voice_folder)
    with one_line(run.uri):
        client = open_client(run.uri)
        version = _find_version(client, name, run.run_id, digest)
        if version is None:
            version = _log_model(run, Path(voice_folder), name, digest)
        if _aliased(client, name, alias) != version:
            client.set_registered_model_alias(name, alias, version)
    return int(version)


def _log_model(run: Run, voice_folder: Path, name: str, digest: str) -> str:
    """Log the voice as a pyfunc (models from code, safetensors inside) and return its new version."""
    import mlflow

    info = checkpoint.check_voice(voice_folder)
    client = open_client(run.uri)
    with _active_run(run):
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
        made = client.create_model_version(name, logged.model_uri, run.run_id, tags, model_id=logged.model_id)
    return str(made.version)


def _refuse_missing(voice: str, uri: str) -> None:
    """Who looks for a voice must not leave an empty registry behind."""
    path = Path(absolute(uri).removeprefix(SQLITE))
    if uri.startswith(SQLITE) and not path.exists():
        raise TrackingError(f"{voice}: no registry at {path}; run pipelines/train.py first, or give another server")


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
    return [f"wg2=={__version__}", *(f"{name}=={metadata.version(name)}" for name in ("torch", "mlflow"))]


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
    return Path(download_artifacts(source, dst_path=folder, tracking_uri=absolute(uri)))


def _voice_in(model: Path, voice: str) -> Path:
    """The voice folder in a logged model."""
    found = next(iter(sorted(model.glob("artifacts/*/voice.json"))), None)
    if found is None:
        raise TrackingError(f"{voice}: no voice.json in {model}; it was not registered by wg2")
    return found.parent
