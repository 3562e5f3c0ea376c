"""What the tests of the jobs share."""

from collections.abc import Iterator

import pytest

from pipelines import runtime


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A private Ray on this machine, as a job starts it, for the tests of one file that run in this process."""
    runtime.connect()
    yield
    runtime.disconnect()
