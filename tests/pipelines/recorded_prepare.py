"""The job with a worker that notes each unit that it starts: `WG2_ATTEMPTS=FILE python recorded_prepare.py FLAGS`."""

import os
from pathlib import Path

from pipelines import prepare as job
from pipelines import runtime
from wg2.config import load
from wg2.dataset import units


def recorded(attempts: Path) -> type[job.UnitWorker]:
    """A worker that writes the name of its unit to a file before it makes it."""

    class Recorded(job.UnitWorker):
        def __call__(self, batch):
            with attempts.open("a") as stream:
                stream.write(units.unpack(bytes(batch["unit"][0])).name + "\n")
            return super().__call__(batch)

    return Recorded


if __name__ == "__main__":
    job.UnitWorker = recorded(Path(os.environ["WG2_ATTEMPTS"]))
    runtime.main(lambda: job.run(load()))
