"""How MLflow is reached: quietly, from this process only, its complaints in one line."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wg2 import storage
from wg2.errors import TrackingError

SQLITE = "sqlite:///"


@contextlib.contextmanager
def one_line(uri: str) -> Iterator[None]:
    """MLflow's and its store's complaints as one line."""
    quiet()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrackingError(f"MLflow at {uri}: {first}") from error


def quiet() -> None:
    """No telemetry, no search for git, no chatter about database tables: before MLflow is first imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def open_client(uri: str) -> Any:
    """MLflow's client of a server, or of an SQLite file whose folder is made when it is missing."""
    from mlflow import MlflowClient

    if uri.startswith(SQLITE):
        Path(absolute(uri).removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(absolute(uri), absolute(uri))


def absolute(uri: str) -> str:
    """`uri` with an SQLite file's path made absolute: workers run in other folders."""
    return SQLITE + storage.absolute(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else uri
