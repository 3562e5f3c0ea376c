"""The history of a training: one line for each logged step."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from wg2 import storage
from wg2.checkpoint.states import latest_state, step_of
from wg2.errors import CheckpointError

_SHOWN = {"loss/noise": "loss", "loss/spectral": "loss", "val/noise": "val", "throughput/audio_s_per_s": "audio s/s"}


@dataclass(frozen=True)
class MetricRow:
    """What was measured at one step.

    Attributes:
        step: optimisation steps done.
        timestamp_ms: when, in ms since 1970. It is part of the row: the same row has the same time for ever.
        values: the metrics by name.
    """

    step: int
    timestamp_ms: int
    values: Mapping[str, float]

    @property
    def note(self) -> str:
        """What a person follows of it: losses and speed."""
        return ", ".join(f"{short} {self.values[name]:.3g}" for name, short in _SHOWN.items() if name in self.values)


def append_history(path: str | Path, rows: Sequence[MetricRow]) -> None:
    """Add rows to a history file and flush it to the disk.

    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(row), sort_keys=True) + "\n" for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write: {error}") from error


def read_history(path: str | Path) -> list[MetricRow]:
    """The rows of a history file; none when there is no file. A line that a kill cut off ends the history."""
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
    rows: list[MetricRow] = []
    for line in lines:
        try:
            rows.append(MetricRow(**json.loads(line)))
        except ValueError:
            break
    return rows


def steps_done(training: Path) -> int:
    """Steps behind the newest state of the training in that folder; -1 when there is none."""
    state = latest_state(training / "checkpoints")
    return step_of(state) if state else -1


def saved_history(training: Path) -> list[MetricRow]:
    """What was measured up to the newest state of the training in that folder: the rest will be measured again."""
    done = steps_done(training)
    return [row for row in read_history(training / "history.jsonl") if row.step <= done]


def cut_history(path: str | Path, step: int) -> None:
    """Forget what was measured after `step`: a training that resumes there will measure it again.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    kept = [row for row in read_history(path) if row.step <= step]
    lines = "".join(json.dumps(asdict(row), sort_keys=True) + "\n" for row in kept)
    if Path(path).exists() and Path(path).read_text(encoding="utf-8") != lines:
        storage.write_bytes(str(path), lines.encode())
