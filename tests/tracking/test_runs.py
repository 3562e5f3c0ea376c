"""One training is one MLflow run, and no metric is doubled."""

import shutil
from pathlib import Path

import pytest
import tiny_training

from wg2.checkpoint import MetricRow
from wg2.errors import TrackingError
from wg2.tracking import Run, git_commit
from wg2.tracking.client import open_client
from wg2.tracking.run import LOGGED_STEP, flatten

ROWS = [MetricRow(step, 1_000_000 + step, {"loss/noise": 1.0 / (step + 1), "val/noise_0.1": 0.5}) for step in range(6)]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return tiny_training.mlflow_store(tmp_path / "store")


def start(uri: str, key: str = "k", **params: object) -> Run:
    return Run.start_or_resume(uri, "exp", key, params, {"wg2.dataset": "abc"})


def logged(run: Run, metric: str = "loss/noise") -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in open_client(run.uri).get_metric_history(run.run_id, metric)]


def test_a_restart_continues_the_same_run(uri: str):
    first = start(uri, steps=3)
    first.log_metrics({"loss/noise": 2.0}, step=1)
    first.finish("KILLED")
    again = start(uri, steps=5)
    assert again == first
    run = open_client(uri).get_run(first.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"steps": "3"}  # MLflow's parameters are written once
    assert run.data.tags["wg2.dataset"] == "abc"
    assert start(uri, key="another").run_id != first.run_id


def test_delivering_again_doubles_nothing(uri: str):
    run = start(uri)
    run.deliver(ROWS[:3])
    run.deliver(ROWS[:3])
    run.deliver(ROWS)
    assert logged(run) == [(row.step, row.values["loss/noise"]) for row in ROWS]


def test_a_kill_between_metrics_and_tag_doubles_nothing(uri: str):
    run = start(uri)
    run.log_rows(ROWS[:4])  # the tag that says so was not written
    assert LOGGED_STEP not in open_client(uri).get_run(run.run_id).data.tags
    run.deliver(ROWS)
    assert [step for step, _ in logged(run)] == [0, 1, 2, 3, 4, 5]
    assert [step for step, _ in logged(run, "val/noise_0.1")] == [0, 1, 2, 3, 4, 5]


def test_values_that_are_not_finite_are_left_out(uri: str):
    run = start(uri)
    run.log_rows([MetricRow(1, 1, {"loss/noise": float("nan"), "grad_norm": float("inf"), "learning_rate": 0.1})])
    assert logged(run) == []
    assert logged(run, "learning_rate") == [(1, 0.1)]


def test_more_parameters_than_a_call_takes_and_very_long_ones_are_kept(uri: str):
    run = start(uri, section={f"p{n}": n for n in range(250)}, long="x" * 10_000)
    params = open_client(uri).get_run(run.run_id).data.params
    assert len(params) == 251
    assert params["section.p249"] == "249"
    assert len(params["long"]) == 6000


def test_the_data_set_is_said_once(uri: str):
    run = start(uri)
    for _ in range(2):
        run.log_dataset("lj", "f" * 64, "/data/lj", {"hours": 24.0})
    inputs = open_client(uri).get_run(run.run_id).inputs.dataset_inputs
    assert [(entry.dataset.name, entry.dataset.digest) for entry in inputs] == [("lj", "f" * 36)]


def test_artifacts_lie_beside_the_store_and_not_where_the_process_is(uri: str, tmp_path: Path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = start(uri)
    run.log_text("hello", "note.txt")
    (tmp_path / "file.txt").write_text("file")
    run.log_artifact(tmp_path / "file.txt", "folder")
    found = {str(path.relative_to(tmp_path / "store" / "mlartifacts" / run.run_id / "artifacts"))
             for path in (tmp_path / "store/mlartifacts").rglob("*.txt")}  # fmt: skip
    assert found == {"note.txt", "folder/file.txt"}
    assert not list(elsewhere.iterdir())


def test_a_relative_store_is_made_where_the_process_is(tmp_path: Path, monkeypatch):
    tiny_training.mlflow_store(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    run = start("sqlite:///store/mlflow.db")
    assert run.uri == f"sqlite:///{tmp_path}/store/mlflow.db"
    monkeypatch.chdir("/")
    run.log_metrics({"x": 1.0}, 0)


def test_a_missing_artifact_is_named(uri: str, tmp_path: Path):
    with pytest.raises(TrackingError, match=r"none.txt: no such file to keep"):
        start(uri).log_artifact(tmp_path / "none.txt")


def test_a_deleted_experiment_is_told_in_one_line(uri: str):
    run = start(uri)
    open_client(uri).delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match=r"the experiment exp was deleted; restore it, or name another"):
        start(uri)


def test_a_store_that_is_none_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(TrackingError, match=r"MLflow at sqlite:///.*mlflow.db: .*file is not a database") as caught:
        start(f"sqlite:///{tmp_path}/mlflow.db")
    assert "\n" not in str(caught.value)


def test_parameters_are_flat():
    assert flatten({"train": {"steps": 3, "lr": 0.1}, "x": (1, 2)}) == {
        "train.steps": "3", "train.lr": "0.1", "x": "(1, 2)",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_a_hash_or_nothing():
    commit = git_commit().rstrip("+")
    assert commit == "" or (len(commit) == 40 and set(commit) <= set("0123456789abcdef"))


def samples(folder: Path, *steps: int) -> Path:
    for step in steps:
        (folder / f"step-{step:08d}").mkdir(parents=True)
        (folder / f"step-{step:08d}" / "a.flac").write_bytes(b"sound")
    return folder


def kept(run: Run) -> list[str]:
    return sorted(file.path for file in open_client(run.uri).list_artifacts(run.run_id, "samples"))


def test_samples_are_kept_up_to_the_saved_step_and_the_rest_later(uri: str, tmp_path: Path):
    run, folder = start(uri), samples(tmp_path / "samples", 4, 8, 12)
    run.deliver_samples(folder, 8)
    assert kept(run) == ["samples/step-00000004", "samples/step-00000008"]
    shutil.rmtree(folder / "step-00000004")  # what was kept is not looked at again
    run.deliver_samples(folder, 12)
    assert len(kept(run)) == 3
    (file,) = open_client(uri).list_artifacts(run.run_id, "samples/step-00000012")
    assert file.path == "samples/step-00000012/a.flac"


def test_a_run_of_a_sweep_is_shown_under_it(uri: str):
    parent = start(uri, key="sweep")
    child = Run.start_or_resume(uri, "exp", "row", {}, {}, parent.run_id)
    assert open_client(uri).get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert "mlflow.parentRunId" not in open_client(uri).get_run(parent.run_id).data.tags
