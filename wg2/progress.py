"""How far a long piece of work has come, for a person at a terminal or with a log."""

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

_STALL_S = 60.0
_SHOW_EVERY_S = 10.0
"""Lines in a log would else be too many; a bar moves with every message."""


class Progress:
    """One bar for a whole job; plain lines where there is no terminal. Says so when nothing happens for a minute.

    Args:
        label: name of the job.
        unit: what is counted.
        total: of all.
        done: of those that an earlier run did.
    """

    def __init__(self, label: str, unit: str, total: int, done: int = 0) -> None:
        self._label, self._unit, self._total = label, unit, total
        self._done, self._start, self._first = done, time.monotonic(), done
        self._last = self._start
        self._shown, self._note = -_SHOW_EVERY_S, ""
        self._bar = _bar(label, unit, total, done)
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._watch_for_stalls, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._watch.join()
        if self._bar is not None:
            self._bar.close()

    def reach(self, done: int, note: str, now: bool) -> None:
        """`done` are done in all; a log has a line of it every ten seconds, and `now` one in any case.

        Without a note the last one is shown again.
        """
        self._note = note or self._note
        if now or self._bar is not None or time.monotonic() - self._shown > _SHOW_EVERY_S:
            self.advance(max(done - self._done, 0), self._note)
            self._shown = time.monotonic()

    def advance(self, count: int, note: str) -> None:
        """`count` more are done; `note` is shown beside them."""
        self._done, self._last = self._done + count, time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(note)
            self._bar.update(count)
        else:
            facts = (f"{self._done} of {self._total} {self._unit}", note, self._eta())
            self._say(", ".join(filter(None, facts)))

    def _eta(self) -> str:
        elapsed = self._last - self._start
        rest = elapsed / max(self._done - self._first, 1) * (self._total - self._done)
        return f"{_interval(elapsed)} so far, {_interval(rest)} to go"

    def _say(self, line: str) -> None:
        print(f"{self._label}: {line}", file=sys.stderr, flush=True)

    def _beside_a_stall(self) -> str:
        """What to say of a machine that seems to do nothing."""
        return ""

    def _watch_for_stalls(self) -> None:
        while not self._closed.wait(5):
            silent = time.monotonic() - self._last
            if silent > _STALL_S:
                self._say(f"nothing finished for {silent:.0f} s{self._beside_a_stall()}")
                self._last += _STALL_S


def _bar(label: str, unit: str, total: int, done: int) -> Any:
    """A bar, where there is a terminal and tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return None
    return tqdm(total=total, initial=done, desc=label, unit=f" {unit}")


def _interval(seconds: float) -> str:
    """1:02:03, or 02:03 within an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
