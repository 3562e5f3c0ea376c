"""The four jobs, as they are submitted; how much of their work is committed, and a hash of what they leave behind."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wg2 import bundled, checkpoint, storage
from wg2.config import Config, load
from wg2.dataset.ledger import open_dataset

BUCKET = "s3://wg2-speech"
SETTINGS = "tests/system/tiny.toml"
SENTENCES = (
    "Two birds sat on a wire.", "The lamp was lit.", "Rain fell on the harbor.", "Nobody heard the bell.",
    "Bring the map and the compass.", "She laughed out loud.", "The road was long.", "We slept well.",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One passage through the four stages.

    Attributes:
        name: of it; of its experiment and its model too.
        folder: on the disk that all machines share.
        tracking: the MLflow server.
    """

    name: str
    folder: Path
    tracking: str

    @property
    def flags(self) -> list[str]:
        """Of every job."""
        return ["--config", SETTINGS, "--dir", str(self.folder), "--dataset", f"{BUCKET}/work/{self.name}/dataset",
                "--tracking.uri", self.tracking, "--tracking.experiment", self.name,
                "--tracking.model-name", self.name]  # fmt: skip

    @property
    def config(self) -> Config:
        """What the jobs make of the flags."""
        return load(self.flags)


@dataclass(frozen=True)
class Stage:
    """One job.

    Attributes:
        name: of its program too.
        actor: in the class names of the actors that do its work.
        whole: pieces of work.
        committed: how many of them are committed.
        results: what it leaves behind, by name; times and places left out.
    """

    name: str
    actor: str
    whole: Callable[[Config], int]
    committed: Callable[[Config], int]
    results: Callable[[Config], Iterable[tuple[str, bytes]]]

    def command(self, run: Run) -> list[str]:
        """What is submitted."""
        return ["python", f"pipelines/{self.name}.py", *run.flags]

    def digests(self, run: Run) -> dict[str, str]:
        """SHA-256 of each of the results, by name."""
        found = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(self.results(run.config))}
        assert found, f"{self.name}: nothing in {run.folder}"
        return found


def upload_inputs() -> None:
    """The corpus, the sentences and the book, on the S3 server."""
    for path in (path for path in bundled.CORPUS.rglob("*") if path.is_file()):
        storage.write_bytes(f"{BUCKET}/corpora/bundled/{path.relative_to(bundled.CORPUS)}", path.read_bytes())
    storage.write_bytes(f"{BUCKET}/texts/sentences.txt", "\n".join(SENTENCES).encode())
    halves = (" ".join(SENTENCES[:4]), " ".join(SENTENCES[4:]))
    storage.write_bytes(f"{BUCKET}/books/book.txt", "\n\n".join(("The Harbor", *halves)).encode())


# -------------------------------------------------------------------------------------------------------- the data set


def _units(config: Config) -> int:
    return len(storage.list_files(f"{config.dataset_dir}/units", ".json"))


def _rows(config: Config) -> Iterable[tuple[str, bytes]]:
    for uri in open_dataset(config.dataset_dir).shards:
        files, path = storage.filesystem(uri)
        yield from ((row["utt_id"], repr(row).encode()) for row in pq.read_table(path, filesystem=files).to_pylist())


# ------------------------------------------------------------------------------------------------------------ training


def _steps(config: Config) -> int:
    return max(checkpoint.steps_done(Path(config.training_dir)), 0)


def _training(config: Config) -> Iterable[tuple[str, bytes]]:
    """The best voice's weights, and each figure that MLflow has but those of speed and of the machines."""
    yield "weights", Path(config.training_dir, "best", "model.safetensors").read_bytes()
    yield from ((name, json.dumps(values).encode()) for name, values in _metrics(config).items())


def _metrics(config: Config) -> dict[str, list[tuple[int, float]]]:
    from mlflow import MlflowClient

    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    names = [name for name in run.data.metrics if not name.startswith(("throughput/", "system/"))]
    history = {name: client.get_metric_history(run.info.run_id, name) for name in names}
    return {name: [(row.step, row.value) for row in sorted(rows, key=_by_step)] for name, rows in history.items()}


def _by_step(row: Any) -> tuple[int, int]:
    return row.step, row.timestamp


# -------------------------------------------------------------------------------------------------------------- speech


def _wavs(config: Config) -> list[Path]:
    return sorted(Path(config.synthesis_dir).glob("*/*.wav"))


def _speech(config: Config) -> Iterable[tuple[str, bytes]]:
    return ((str(path.relative_to(config.synthesis_dir)), path.read_bytes()) for path in _wavs(config))


def _blocks(config: Config) -> int:
    return len(list(Path(config.books_dir).glob("book/blocks/*/*.json")))


def _book(config: Config) -> Iterable[tuple[str, bytes]]:
    """What a listener gets; the note about it without the voice's name, which is the run's."""
    folder = Path(config.books_dir, "book")
    yield from (
        (path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file() and path.suffix != ".json"
    )
    note = json.loads((folder / "book.json").read_text())
    yield "book.json", json.dumps({**note, "voice": ""}).encode()


STAGES = (
    Stage("prepare", "UnitWorker", lambda config: config.corpus.limit, _units, _rows),
    Stage("train", "RayTrainWorker", lambda config: config.train.steps, _steps, _training),
    Stage("synthesize", "SpeakingWorker", lambda config: len(SENTENCES) * len(config.synthesize.steps),
          lambda config: len(_wavs(config)), _speech),
    Stage("audiobook", "BookWorker", lambda _: len(SENTENCES) + 1, _blocks, _book),  # and the heading
)  # fmt: skip
