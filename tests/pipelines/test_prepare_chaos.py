"""SIGKILL at random moments, on a real cluster of three nodes: of the driver, of an aligning actor, of a whole node.

One seed for each kind of kill, or as many as WG2_CHAOS_SEEDS says (`make chaos`: ten). A moment is a number of
committed units and a fraction of a second after it.
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from killing import NODE, NODES, raylet, wait_until
from ray.cluster_utils import Cluster
from recorded_prepare import recorded

from pipelines import prepare as job
from wg2.config import load
from wg2.dataset.discovery import Work
from wg2.dataset.ledger import open_dataset

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context"),
]

SEEDS = range(int(os.environ.get("WG2_CHAOS_SEEDS", "1")))
UNITS, WORKERS = 20, 3
FLAGS = ("--prepare.unit-utterances", "2", "--prepare.workers", str(WORKERS))


def flags(folder: Path) -> list[str]:
    return ["--dir", str(folder), *FLAGS]


@pytest.fixture(scope="module")
def whole(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled corpus, prepared without interruption on more nodes than one."""
    folder = tmp_path_factory.mktemp("whole")
    summary = job.run(load(flags(folder)))
    assert summary.units_made == UNITS
    assert 1 < len(summary.nodes) <= len(cluster.list_all_nodes())
    return folder


def rows(folder: Path) -> list[dict]:
    shards = open_dataset(f"{folder}/dataset").shards
    return [row for shard in shards for row in pq.ParquetFile(shard).read().to_pylist()]


def document(folder: Path) -> dict:
    """dataset.json without the names of attempts."""
    found = json.loads((folder / "dataset/dataset.json").read_text())
    return {**found, "units": [{**unit, "shard": ""} for unit in found["units"]]}


def committed(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (folder / "dataset/units").glob("*.json")}


def tries(attempts: Path) -> Counter[str]:
    return Counter(attempts.read_text().split())


def wait_for_the_moment(seed: int, folder: Path) -> None:
    dice = random.Random(seed)
    wanted = dice.randint(1, UNITS // 2)
    assert wait_until(lambda: len(committed(folder)) >= wanted, 120)
    time.sleep(dice.uniform(0, 0.2))


def descendants(pid: int) -> list[int]:
    try:
        children = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    except OSError:  # it has just ended
        return []
    return [process for child in children for process in (int(child), *descendants(int(child)))]


def aligning(cluster: Cluster) -> list[int]:
    """Processes of the actors that make units."""
    found = [pid for node in cluster.list_all_nodes() for pid in descendants(raylet(node).pid)]
    return [pid for pid in found if "MapBatches(" in title(pid)]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def kill_an_actor(seed: int, cluster: Cluster) -> None:
    os.kill(random.Random(seed).choice(sorted(aligning(cluster))), signal.SIGKILL)


def kill_a_node(seed: int, cluster: Cluster) -> None:
    """SIGKILL all processes of one that is not the driver's, and aligns."""
    busy = set(aligning(cluster))
    others = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
    trees = [(node, descendants(raylet(node).pid)) for node in others]
    node, tree = random.Random(seed).choice([(node, tree) for node, tree in trees if busy & {*tree}])
    for pid in (raylet(node).pid, *tree):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def run_through(kill: Callable[[], None], folder: Path, attempts: Path, seed: int) -> dict[str, bytes]:
    """A run that survives what is killed in it; what was committed before."""

    def assassin() -> dict[str, bytes]:
        wait_for_the_moment(seed, folder)
        done = committed(folder)
        kill()
        return done

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(job, "UnitWorker", recorded(attempts))
        done = pool.submit(assassin)
        summary = job.run(load(flags(folder)))
        assert (summary.units_done, summary.units_made) == (0, UNITS)
        return done.result()


def check(folder: Path, whole: Path, done: dict[str, bytes], attempts: Path) -> None:
    """Some units, not all, were `done` at the kill; they stayed, and all is as it would have been without it."""
    assert 0 < len(done) < UNITS, "the kill came too early or too late to show anything"
    assert {unit: data for unit, data in committed(folder).items() if unit in done} == done
    assert all(tries(attempts)[unit] == 1 for unit in done)
    assert UNITS <= tries(attempts).total() <= UNITS + WORKERS
    assert rows(folder) == rows(whole)
    assert document(folder) == document(whole)
    named = {Path(shard).name for shard in open_dataset(f"{folder}/dataset").shards}
    there = {path.name for path in (folder / "dataset/shards").iterdir()}
    assert named <= there
    assert len(there - named) < WORKERS, "more is left than attempts that outlived their pool"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_driver_goes_on_where_it_was(seed: int, cluster: Cluster, whole: Path, tmp_path: Path):
    folder, attempts = tmp_path / "run", tmp_path / "attempts"
    command = [sys.executable, str(Path(__file__).with_name("recorded_prepare.py")), *flags(folder)]
    environment = {**os.environ, "WG2_ATTEMPTS": str(attempts), "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True) as driver:
        wait_for_the_moment(seed, folder)
        driver.kill()
    assert wait_until(lambda: not aligning(cluster), 60), "its actors outlive the driver"
    done = committed(folder)
    assert not (folder / "dataset/dataset.json").exists()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "UnitWorker", recorded(attempts))
        summary = job.run(load(flags(folder)))
    assert (summary.units_done, summary.units_made) == (len(done), UNITS - len(done))
    check(folder, whole, done, attempts)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_actor_costs_no_more_than_the_units_in_flight(
    seed: int, cluster: Cluster, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    folder, attempts = tmp_path / "run", tmp_path / "attempts"
    done = run_through(lambda: kill_an_actor(seed, cluster), folder, attempts, seed)
    assert "prepare: a worker died" in capfd.readouterr().out
    check(folder, whole, done, attempts)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_node_costs_no_more_than_the_units_in_flight(
    seed: int, cluster: Cluster, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    folder, attempts = tmp_path / "run", tmp_path / "attempts"
    try:
        done = run_through(lambda: kill_a_node(seed, cluster), folder, attempts, seed)
    finally:
        for _ in range(NODES - len(cluster.list_all_nodes())):
            cluster.add_node(**NODE)
    assert "prepare: a worker died" in capfd.readouterr().out
    check(folder, whole, done, attempts)


def backwards(work: Work) -> Work:
    return dataclasses.replace(work, pending=dict(reversed(work.pending.items())))


def test_neither_nodes_nor_workers_nor_the_order_of_completion_change_the_data(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    attempts = tmp_path / "attempts"
    monkeypatch.setattr(job, "UnitWorker", recorded(attempts))
    discover = job.discover
    monkeypatch.setattr(job, "discover", lambda *arguments: backwards(discover(*arguments)))
    summary = job.run(load([*flags(tmp_path / "run"), "--prepare.workers", "1"]))
    assert len(summary.nodes) == 1
    assert list(tries(attempts)) == sorted(tries(attempts), reverse=True)
    assert document(tmp_path / "run") == document(whole)
    assert rows(tmp_path / "run") == rows(whole)
