"""A folder of configurations as one job: what it reads, what it records, and what it does not do twice."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training

from pipelines import sweep
from pipelines import train as job
from wg2.config import Config
from wg2.errors import ConfigError, TrainingError
from wg2.tracking.client import open_client

ABLATIONS = Path(__file__).parents[2] / "configs" / "ablations"


def test_the_flag_may_stand_anywhere():
    assert sweep.wanted(["--train.steps", "3"]) == ("", ["--train.steps", "3"])
    assert sweep.wanted(["--sweep", "rows", "--train.steps", "3"]) == ("rows", ["--train.steps", "3"])
    assert sweep.wanted(["--train.steps", "3", "--sweep", "rows"]) == ("rows", ["--train.steps", "3"])
    with pytest.raises(ConfigError, match="--sweep: got no folder"):
        sweep.wanted(["--sweep"])


def test_every_ablation_is_a_row_in_one_mlflow():
    found = sweep.configurations(ABLATIONS, ["--train.steps", "3"])
    assert list(found) == sorted(path.stem for path in ABLATIONS.glob("*.toml"))
    assert {config.train.steps for config in found.values()} == {3}
    assert {config.dir for config in found.values()} == {f"runs/ablations/{name}" for name in found}
    assert {config.tracking_uri for config in found.values()} == {f"sqlite:///{Path.cwd()}/runs/ablations/mlflow.db"}


def test_another_place_and_another_server_are_for_all_rows(tmp_path: Path):
    found = sweep.configurations(ABLATIONS, ["--dir", str(tmp_path), "--tracking.uri", "http://127.0.0.1:5000"])
    assert {config.dir for config in found.values()} == {f"{tmp_path}/{name}" for name in found}
    assert {config.tracking_uri for config in found.values()} == {"http://127.0.0.1:5000"}


def test_a_folder_without_configurations_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no \*.toml in it"):
        sweep.configurations(tmp_path, [])


def rows(folder: Path, **steps: int) -> dict[str, Config]:
    """Tiny trainings by name, on one data set and in one MLflow."""
    tracking = replace(tiny_training.config(folder).tracking, uri=f"sqlite:///{folder}/mlflow.db")
    return {
        name: replace(
            tiny_training.config(folder / name, steps=count), dataset=str(folder / "dataset"), tracking=tracking
        )
        for name, count in steps.items()
    }


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_sweep_is_one_run_with_a_child_for_each_row_and_goes_on_where_it_failed(tmp_path: Path):
    tiny_training.dataset(tmp_path / "dataset")
    tiny_training.mlflow_store(tmp_path)
    configs = rows(tmp_path, one=2, two=2)
    broken = replace(configs["two"], train=replace(configs["two"].train, batch_size=1, workers=2))
    with pytest.raises(TrainingError, match=r"1 of 2 failed; .* two: train.batch_size: got 1 windows for 2 workers"):
        sweep.run(tmp_path, {**configs, "two": broken}, job.run)
    done = sweep.run(tmp_path, configs, job.run)
    assert {name: (row.resumed_at, row.steps) for name, row in done.items()} == {"one": (2, 2), "two": (0, 2)}

    client = open_client(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_id for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert children == {row.run_id for row in done.values()}
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["sweep.json"]
