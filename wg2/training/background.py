"""Writing while the training goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

Job = Callable[[], object]


class Background:
    """A thread that does jobs one after the other; what is wrong with one is raised by the next `submit` or `wait`."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "wg2-writing")
        self._pending: Future[None] | None = None

    def submit(self, *jobs: Job) -> None:
        """Do these next. What was submitted before is waited for: no more than one lot of copies is ever in memory."""
        self.wait()
        self._pending = self._thread.submit(_do, jobs)

    def wait(self) -> None:
        """Wait until all is done.

        Raises:
            Wg2Error: what a job raised.
        """
        pending, self._pending = self._pending, None
        if pending:
            pending.result()


def _do(jobs: tuple[Job, ...]) -> None:
    for job in jobs:
        job()
