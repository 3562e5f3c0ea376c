"""What is done to a running job, and when: after some of its work is committed, and before all of it is."""

import random
import subprocess
import time
from collections.abc import Set
from dataclasses import dataclass

from network import wait_until
from nodes import Cluster
from stages import Run, Stage

CUT_S = 20.0
"""For how long a machine is cut off."""
_PATIENCE_S = 240.0


class EndedTooEarlyError(Exception):
    """The job ended before anything was done to it."""


@dataclass(frozen=True)
class Fault:
    """What was done.

    Attributes:
        what: in words.
        node: id of the node that it was done to.
        committed: pieces of work that were committed when it was done.
        whole: all of them.
    """

    what: str
    node: str
    committed: int
    whole: int


@dataclass(frozen=True)
class Victim:
    """A running job.

    Attributes:
        stage: what it is.
        run: whose.
        submission: its id.
        client: ends when it ends.
    """

    stage: Stage
    run: Run
    submission: str
    client: "subprocess.Popen[bytes]"

    def running(self) -> bool:
        """Whether it still is."""
        return self.client.poll() is None


def kill(cluster: Cluster, job: Victim, after: int, spared: Set[str]) -> Fault:
    """SIGKILL all of a worker node that works for the job; the cluster starts another in its place."""
    node, name = _moment(cluster, job, after, spared)
    cluster.kill(name)
    return _note(job, "worker node killed", node)


def cut(cluster: Cluster, job: Victim, after: int, spared: Set[str]) -> Fault:
    """Pull the cable of a worker that works for the job, and plug it in again."""
    node, name = _moment(cluster, job, after, spared)
    cluster.machines[name].pull()
    try:
        fault = _note(job, f"network cut for {CUT_S:.0f} s", node)
        time.sleep(CUT_S)
    finally:
        cluster.machines[name].plug()
    return fault


def _note(job: Victim, what: str, node: str) -> Fault:
    """What was done, right after it.

    Raises:
        AssertionError: the job had all its work done already.
    """
    committed, whole = job.stage.committed(job.run.config), job.stage.whole(job.run.config)
    assert 0 < committed < whole, f"{job.stage.name}: {committed} of {whole} were committed at its fault: no test of it"
    return Fault(what, node, committed, whole)


def _moment(cluster: Cluster, job: Victim, after: int, spared: Set[str]) -> tuple[str, str]:
    """Id and name of a node that works for the job, once `after` pieces of work are committed.

    Args:
        cluster: that it runs on.
        job: the job.
        after: pieces of work.
        spared: nodes that had a fault already; Ray notices only after a while that they are gone.

    Raises:
        EndedTooEarlyError: the job came to its end before.
        TimeoutError: the work does not get on.
    """
    config, busy = job.run.config, dict[str, str]()

    def some_is_done() -> bool:
        return not job.running() or job.stage.committed(config) >= after

    def somebody_works() -> bool:
        busy.update(_busy(cluster, job, spared))
        return bool(busy) or not job.running()

    wait_until(f"{after} pieces of {job.stage.name}", some_is_done, _PATIENCE_S)
    wait_until(f"a worker of {job.stage.name}", somebody_works, _PATIENCE_S)
    if not job.running():
        raise EndedTooEarlyError(f"{job.stage.name} ended before its fault")
    return random.Random(job.submission).choice(sorted(busy.items()))


def _busy(cluster: Cluster, job: Victim, spared: Set[str]) -> dict[str, str]:
    """Worker nodes that work for the job: their names, by id."""
    nodes = {actor["node_id"] for actor in cluster.actors(job.submission, job.stage.actor) if actor["state"] == "ALIVE"}
    return {node: name for node, name in cluster.workers().items() if node in nodes - spared}
