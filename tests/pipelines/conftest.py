"""What the tests of the jobs share."""

import tempfile
from collections.abc import Iterator

import pytest
from killing import NODE, NODES
from ray.cluster_utils import Cluster

from pipelines import runtime


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A private Ray on this machine, as a job starts it, for the tests of one file that run in this process."""
    runtime.connect()
    yield
    runtime.disconnect()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes, to which jobs connect as to any cluster."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="wg2-", dir="/tmp") as folder:
        patch.setenv("RAY_TMPDIR", folder)
        running = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        for _ in range(NODES - 1):
            running.add_node(**NODE)
        patch.setenv("RAY_ADDRESS", running.address)
        runtime.connect()
        yield running
        runtime.disconnect()
        running.shutdown()
