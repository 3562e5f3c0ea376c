"""What all tests share: where the recordings are."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from wg2 import bundled

settings.register_profile("ci", derandomize=True)  # a change is judged by the same examples every time
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes, one runs the tests that start Ray, one by one and first; the other the rest by files."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, named by WG2_REAL_DATA."""
    folder = os.environ.get("WG2_REAL_DATA")
    if not folder:
        pytest.skip("WG2_REAL_DATA is not set: it names the folder of real recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def bundled_corpus() -> Path:
    """The corpus that comes with wg2, in LJSpeech layout."""
    return bundled.CORPUS
