"""A training that begins with fewer workers than it would like, because there is no room for more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_training

from pipelines import runtime
from pipelines import train as job
from wg2.dataset.ledger import open_dataset
from wg2.training import open_session

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(autouse=True, scope="module")
def ray_with_two_cpus() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        runtime.connect()
        yield
        runtime.disconnect()


def test_it_begins_with_as_many_as_there_is_room_for_and_comes_to_the_same(tmp_path: Path):
    info = tiny_training.dataset(tmp_path / "dataset")
    tiny_training.mlflow_store(tmp_path)
    summary = job.run(tiny_training.config(tmp_path, workers=3, min_workers=1))
    assert len(summary.nodes) == 2
    alone = open_session(tiny_training.sections(), open_dataset(info.root), tmp_path / "alone", lambda *_: None)
    alone.run()
    assert summary.val_last == pytest.approx(alone.trainer.validate(alone.held_out())["val/noise"], rel=1e-3)
