"""Kills at random steps, on a real cluster of three nodes: of a rank, of a whole node, of the driver.

One seed for each kind of kill, or as many as WG2_CHAOS_SEEDS says (`make chaos`: ten).
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import tiny_training
from killing import NODE, raylet
from ray.cluster_utils import Cluster
from recorded_train import WORKERS, lives, recorded, saved

from pipelines import train as job
from wg2 import checkpoint
from wg2.tracking.client import open_client

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEEDS = range(int(os.environ.get("WG2_CHAOS_SEEDS", "1")))
STEPS = tiny_training.TRAIN.steps


def prepared(folder: Path) -> Path:
    tiny_training.dataset(folder / "dataset")
    tiny_training.mlflow_store(folder)
    return folder


def train(folder: Path, victim: str = "", step: int = 0, **changes: int) -> job.TrainSummary:
    """The job in this process, with workers that note and kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "_worker", recorded(folder / "notes", victim, step))
        return job.run(tiny_training.config(folder, **{"workers": WORKERS, "max_failures": 1, **changes}))


@pytest.fixture(scope="module")
def whole(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A training without interruption."""
    folder = prepared(tmp_path_factory.mktemp("whole"))
    train(folder)
    assert lives(folder / "notes") == [(-1, list(range(1, STEPS + 1)))]
    return folder


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The history without what the clock says."""
    rows = checkpoint.saved_history(folder / "training")
    return [(row.step, {k: v for k, v in row.values.items() if not k.startswith("throughput/")}) for row in rows]


def check(folder: Path, whole: Path, step: int) -> None:
    """The second life began behind the newest state; everything is as it would have been without the first's end."""
    (fresh, before), (state, after) = lives(folder / "notes")
    assert fresh == -1
    assert before in (list(range(1, step)), list(range(1, step + 1))), "rank 0 may not have noted the step of the kill"
    assert state in newest_states(step)
    assert after == list(range(state + 1, STEPS + 1))
    assert measured(folder) == measured(whole)
    voices = [checkpoint.weights_digest(each / "training/best") for each in (folder, whole)]
    assert voices[0] == voices[1]
    client = open_client(f"sqlite:///{folder}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    for metric, steps in (("loss/noise", range(1, STEPS + 1)), ("val/noise", range(0, STEPS + 1, 4))):
        assert [entry.step for entry in client.get_metric_history(run.info.run_id, metric)] == list(steps)


def newest_states(step: int) -> tuple[int, int]:
    """The state that is saved last before the end of a step: while it is written the steps go on."""
    every = tiny_training.TRAIN.checkpoint_every
    return step - step % every - every, step - step % every


def moment(seed: int, victim: str) -> int:
    """When the first state is written for certain, and before the last."""
    return random.Random(f"{victim} {seed}").randint(2 * tiny_training.TRAIN.checkpoint_every, STEPS - 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_training_whose_rank_ends_goes_on_behind_its_last_state(seed: int, whole: Path, tmp_path: Path):
    step = moment(seed, "rank")
    summary = train(prepared(tmp_path), "rank", step)
    assert len(summary.nodes) == WORKERS
    check(tmp_path, whole, step)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_training_whose_node_ends_goes_on_on_the_others(seed: int, cluster: Cluster, whole: Path, tmp_path: Path):
    step = moment(seed, "node")
    try:
        summary = train(prepared(tmp_path), "node", step)
    finally:
        dead = [node for node in cluster.list_all_nodes() if raylet(node).poll() is not None]
        for node in dead:
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)
    assert len(dead) == 1
    assert dead[0].node_id not in summary.nodes
    check(tmp_path, whole, step)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_training_whose_driver_ends_goes_on_with_the_same_command(seed: int, whole: Path, tmp_path: Path):
    step, tests = moment(seed, "driver"), Path(__file__).parents[1]
    command = [sys.executable, str(Path(__file__).with_name("recorded_train.py")), str(prepared(tmp_path))]
    path = os.pathsep.join(map(str, (tests, tests.parent)))
    done = subprocess.run(
        [*command, str(tmp_path / "notes"), str(step)], env={**os.environ, "PYTHONPATH": path}, cwd="/",
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    summary = train(tmp_path)
    assert summary.resumed_at in newest_states(step)
    check(tmp_path, whole, step)


def test_a_node_that_will_go_has_the_state_saved_at_once(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.5")
    try:
        train(prepared(tmp_path), "notice", 5, steps=200, checkpoint_every=1000, validate_every=1000)
    finally:
        replace_drained(cluster)
    at_once, last = saved(tmp_path / "notes")
    assert 5 < at_once < last == 200
    assert [each[0] for each in lives(tmp_path / "notes")] == [-1], "nothing was begun again"


def replace_drained(cluster: Cluster) -> None:
    """Put new nodes in the place of those that take no more work."""
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}
    drained = alive & ray._private.state.state.get_draining_nodes().keys()
    for node in [node for node in cluster.list_all_nodes() if node.node_id in drained]:
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(**NODE)
