"""The training job: its record, killed drivers, lost workers, and what it refuses."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training

from pipelines import train as job
from wg2 import checkpoint
from wg2.config import Config
from wg2.errors import ConfigError, DatasetError, TrackingError, TrainingError
from wg2.tracking import resolve_voice
from wg2.tracking.client import open_client
from wg2.tracking.training import track
from wg2.training import command

pytestmark = pytest.mark.ray


def prepared(folder: Path, **changes: object) -> Config:
    """The configuration of a folder that has a data set and an empty MLflow store."""
    tiny_training.dataset(folder / "dataset")
    tiny_training.mlflow_store(folder)
    return tiny_training.config(folder, **changes)


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The history without what the clock says."""
    rows = checkpoint.saved_history(folder / "training")
    return [(row.step, {k: v for k, v in row.values.items() if not k.startswith("throughput/")}) for row in rows]


def steps_in_mlflow(folder: Path, metric: str = "loss/noise") -> list[int]:
    """Steps of a metric in the one run that there is."""
    client = open_client(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    return [entry.step for entry in client.get_metric_history(run.info.run_id, metric)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> job.TrainSummary:  # noqa: ARG001
    """A training by one worker, without interruption."""
    return job.run(prepared(tmp_path_factory.mktemp("whole"), samples=1))


def folder_of(summary: job.TrainSummary) -> Path:
    return Path(summary.voice).parents[1]


def test_the_summary_is_true(whole: job.TrainSummary):
    losses = dict(measured(folder_of(whole)))
    assert (whole.steps, whole.resumed_at) == (12, 0)
    assert (whole.val_first, whole.val_last) == (losses[0]["val/noise"], losses[12]["val/noise"])
    assert [row.step for row in whole.history] == list(range(13))
    assert len(whole.nodes) == 1
    uri = f"sqlite:///{folder_of(whole)}/mlflow.db"
    champion = resolve_voice("models:/tiny@champion", uri)
    assert checkpoint.weights_digest(champion) == checkpoint.weights_digest(whole.voice)
    run = open_client(uri).get_run(whole.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["wg2.dataset"] == checkpoint.load_voice_files(whole.voice)[0].dataset
    assert run.data.params["train.batch_size"] == "4"
    assert run.data.metrics["val/noise"] == whole.val_last
    assert run.data.metrics["system/node-0/system_memory_usage_megabytes"] > 0
    steps = [file.path for file in open_client(uri).list_artifacts(whole.run_id, "samples")]
    assert steps == [f"samples/step-{step:08d}" for step in (4, 8, 12)]
    assert len(open_client(uri).list_artifacts(whole.run_id, steps[0])) == 4
    record = json.loads((folder_of(whole) / "training/train.json").read_text())
    assert record["nodes"] == list(whole.nodes)
    assert steps_in_mlflow(folder_of(whole)) == list(range(1, 13))
    assert steps_in_mlflow(folder_of(whole), "val/noise") == [0, 4, 8, 12]


def test_a_second_run_does_nothing_and_says_so(whole: job.TrainSummary, capsys: pytest.CaptureFixture[str]):
    folder = folder_of(whole)
    before = contents(folder)
    again = job.run(tiny_training.config(folder))
    assert again == replace(whole, resumed_at=12)
    assert "12 of 12 steps are done already" in capsys.readouterr().out
    assert contents(folder) == before


def test_the_job_finishes_what_the_command_trained_as_the_same_run(tmp_path: Path):
    """No step is left to make, so Ray is not started."""
    config = prepared(tmp_path, steps=4)
    assert command.train(config) == 0
    track(str(tmp_path))
    summary = job.run(config)
    assert (summary.steps, summary.resumed_at, summary.version) == (4, 4, 1)
    assert steps_in_mlflow(tmp_path) == [1, 2, 3, 4]  # of the one run that there is


def test_a_lost_registry_is_made_again_from_what_is_on_the_disk(whole: job.TrainSummary):
    folder = folder_of(whole)
    kept = (folder / "mlflow.db").read_bytes()
    try:
        tiny_training.mlflow_store(folder)
        again = job.run(tiny_training.config(folder))
        assert again.run_id != whole.run_id
        assert again.nodes == whole.nodes
        assert resolve_voice("models:/tiny@champion", f"sqlite:///{folder}/mlflow.db")
        assert steps_in_mlflow(folder) == list(range(1, 13))
    finally:
        (folder / "mlflow.db").write_bytes(kept)
        job.run(tiny_training.config(folder))


DRIVER = """
import sys
from pathlib import Path
import tiny_training
from pipelines import runtime, train
runtime.main(lambda: train.run(tiny_training.config(Path(sys.argv[1]), **eval(sys.argv[2]))))
"""


def drive(folder: Path, **changes: object) -> subprocess.Popen[str]:
    """The job in a process (and a session) of its own."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    tests = Path(__file__).parents[1]
    own |= {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(folder), repr(changes)], env=own, cwd="/", text=True,
                            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


@pytest.mark.usefixtures("local_ray")
def test_a_training_that_blows_up_ends_in_one_line_and_is_marked_failed(tmp_path: Path):
    config = prepared(tmp_path, learning_rate=1e30, warmup_steps=0, clip_norm=1e30, max_skipped_steps=3, steps=60)
    with pytest.raises(TrainingError, match=r"not finite, 3 steps in a row"):
        job.run(config)
    client = open_client(config.tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FAILED"


class TestRefusals:
    """Before Ray starts, and without a trace."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Config:
        tiny_training.dataset(tmp_path / "dataset")
        return tiny_training.config(tmp_path)

    def refused(self, config: Config, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            job.run(config)
        assert not Path(config.training_dir).exists()
        assert not (Path(config.dir) / "mlflow.db").exists()

    def test_no_data_set(self, config: Config):
        self.refused(replace(config, dataset=f"{config.dir}/none"), DatasetError, "no committed data set")

    def test_another_sampling_rate(self, config: Config):
        other = replace(config, audio=replace(config.audio, sampling_rate=22_050))
        self.refused(other, DatasetError, "got 8000 Hz, the configuration wants 22050 Hz")

    def test_another_hop(self, config: Config):
        self.refused(replace(config, model=Config().model), DatasetError, r"got 8, .* makes 300")

    def test_a_batch_that_cannot_be_shared(self, config: Config):
        other = replace(config, train=replace(config.train, workers=5))
        self.refused(other, ConfigError, "got 4 windows for 5 workers")

    def test_fewer_workers_than_one_or_more_than_all(self, config: Config):
        with pytest.raises(ConfigError, match=r"train.min_workers: got 3"):
            replace(config.train, workers=2, min_workers=3)

    def test_as_a_process_it_is_one_line_and_exit_code_1(self, config: Config):
        driver = drive(Path(config.dir), batch_size=1, workers=2)
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 1, out + err
        assert err.splitlines() == ["error: train.batch_size: got 1 windows for 2 workers, wanted one for each"]


def nobody_listens() -> str:
    """A server's address at which there is none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("server", ["no database", "nobody listens"])
def test_an_mlflow_that_is_none_does_not_lose_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # by default MLflow tries for minutes
    config = prepared(tmp_path, steps=4)
    store = (tmp_path / "mlflow.db").read_bytes()
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 99)
    uri = nobody_listens() if server == "nobody listens" else config.tracking_uri
    with pytest.raises(TrackingError, match=f"MLflow at {uri}"):
        job.run(replace(config, tracking=replace(config.tracking, uri=uri)))
    assert checkpoint.steps_done(tmp_path / "training") == 4
    (tmp_path / "mlflow.db").write_bytes(store)
    assert job.run(config).resumed_at == 4
    assert steps_in_mlflow(tmp_path) == [1, 2, 3, 4]
