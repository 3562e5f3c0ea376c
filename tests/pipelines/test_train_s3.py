"""A training whose folder is on S3: its machines have nothing that is not there too."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training
from recorded_train import lives, recorded
from s3_server import bucket, moto

from pipelines import runtime
from pipelines import train as job
from wg2 import checkpoint, storage
from wg2.checkpoint import MetricRow
from wg2.config import Config
from wg2.dataset.ledger import open_dataset
from wg2.tracking import resolve_voice
from wg2.tracking.client import open_client
from wg2.training import open_session

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PLACE = "s3://voices/tiny"


@pytest.fixture(autouse=True, scope="module")
def ray_that_knows_s3() -> Iterator[None]:
    """Ray's processes have the environment that it was started in."""
    with moto() as address, bucket(f"http://{address}", "voices"):
        runtime.connect()
        yield
        runtime.disconnect()


def config(folder: Path) -> Config:
    local = tiny_training.config(folder, max_failures=1, samples=1, cache_dir=str(folder))
    return replace(local, dir=PLACE, dataset=local.dataset_dir,
                   tracking=replace(local.tracking, uri=local.tracking_uri))  # fmt: skip


def train(config: Config, notes: Path, victim: str = "", step: int = 0) -> job.TrainSummary:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "_worker", recorded(notes, victim, step))
        return job.run(config)


def nothing(row: MetricRow, saved: bool) -> None:
    """Report to nobody."""


def on_a_disk(folder: Path, dataset: Path) -> Path:
    """A training without interruption, S3 or Ray."""
    open_session(tiny_training.sections(samples=1), open_dataset(str(dataset)), folder, nothing).run()
    return folder


def measured(rows: Sequence[MetricRow]) -> list[tuple[int, dict[str, float]]]:
    """The history without what the clock says."""
    return [(row.step, {k: v for k, v in row.values.items() if not k.startswith("throughput/")}) for row in rows]


def test_a_training_on_s3_whose_leader_is_lost_ends_as_one_on_a_disk(tmp_path: Path):
    tiny_training.dataset(tmp_path / "dataset")
    uri = tiny_training.mlflow_store(tmp_path)
    wanted = on_a_disk(tmp_path / "whole", tmp_path / "dataset")
    summary = train(config(tmp_path), tmp_path / "notes", "leader", 7)
    (_, before), (state, after) = lives(tmp_path / "notes")
    assert before in ([*range(1, 7)], [*range(1, 8)])
    assert state in (4, 6)
    assert after == list(range(state + 1, 13))
    assert measured(summary.history) == measured(checkpoint.saved_history(wanted))
    voice = resolve_voice(summary.voice, uri)
    assert checkpoint.weights_digest(voice) == checkpoint.weights_digest(wanted / "best")
    samples = open_client(uri).list_artifacts(summary.run_id, "samples")
    assert [Path(file.path).name for file in samples] == [f"step-{step:08d}" for step in (4, 8, 12)]
    assert not list(tmp_path.glob("wg2-*")), "what lay on the machine's own disk is gone"
    again = job.run(config(tmp_path))
    assert again == replace(summary, resumed_at=12, history=summary.history)
    _keeps_only_what_is_named(f"{PLACE}/training")


def _keeps_only_what_is_named(uri: str) -> None:
    """No push has left anything behind that a later one replaced."""
    named = json.loads(storage.read_bytes(f"{uri}/current.json"))
    assert {*storage.walk(uri)} == {*named.values(), "current.json"}
    assert len([path for path in named if path.endswith("state.safetensors")]) == tiny_training.TRAIN.keep_checkpoints
