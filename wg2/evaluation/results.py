"""What a synthesis job has spoken: one Parquet row a file, keyed so that nothing is spoken twice.

    DIR/synthesis/STEPS/ID.wav        the audio (STEPS-SAMPLER where that is not ddpm; -bf16 and -true where it is so)
    DIR/synthesis/results.parquet     a row for each of them (`RESULT_SCHEMA`)
    DIR/synthesis/rejects.parquet     what could not be spoken, and why

The key of a row is the SHA-256 of text, voice, steps, sampler, seed, pace, precision and given durations: a file is
taken as it is when its row has the wanted key. Before a file is replaced its row is removed, so a row never describes
another row's audio.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import pyarrow as pa

from wg2 import storage
from wg2.config import Durations
from wg2.dataset.schema import REJECT_SCHEMA
from wg2.evaluation.tables import read_rows, write_rows

_WORD = pa.struct([("word", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())])

RESULT_SCHEMA = pa.schema([
    ("key", pa.string()),
    ("utt_id", pa.string()),
    ("text", pa.string()),
    ("steps", pa.int32()),
    ("sampler", pa.string()),
    ("bf16", pa.bool_()),
    ("seed", pa.int64()),
    ("pace", pa.float64()),
    ("voice", pa.string()),
    ("wav", pa.string()),
    ("sampling_rate", pa.int32()),
    ("num_samples", pa.int64()),
    ("num_frames", pa.int64()),
    ("audio_s", pa.float64()),
    ("wall_s", pa.float64()),
    ("rtf", pa.float64()),
    ("peak_mib", pa.float64()),
    ("phones", pa.list_(pa.string())),
    ("durations", pa.list_(pa.int32())),
    ("words", pa.list_(_WORD)),
    ("node_id", pa.string()),
])  # fmt: skip
"""One file: `wav` is relative to the folder, `num_frames` is sum(durations), `rtf` is wall_s / audio_s,
`peak_mib` the most memory that its actor had while it was spoken, with the voice and all libraries, MiB (null where the
system does not tell)."""

_REJECTS = REJECT_SCHEMA.append(pa.field("key", pa.string())).append(pa.field("wav", pa.string()))
_REMEDY = "delete it, and its sentences are spoken again"
_FINAL = ("TextError",)  # trying again gives the same; anything else (memory, a lost disk) may not


@dataclass(frozen=True)
class Task:
    """A sentence to speak at one step count.

    Attributes:
        utt_id: names the file.
        text: what to say.
        steps: of denoising.
        seed: of the noise.
        pace: 2.0 is twice as fast.
        voice: digest of the voice: of its weights, its facts and its stored schedules.
        sampler: the rule of a step.
        bf16: whether the decoder computes in bfloat16.
        phones: tokens to speak instead of the text's own, with `durations`.
        durations: frames of each, those of the recording (copy-synthesis); empty: the voice's own choice.
    """

    utt_id: str
    text: str
    steps: int
    seed: int
    pace: float
    voice: str
    sampler: str = "ddpm"
    bf16: bool = False
    phones: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()

    def __str__(self) -> str:
        """What a message calls it."""
        return f"{self.utt_id} at {self.steps} steps"

    @property
    def key(self) -> str:
        """The same key, the same audio."""
        values: list[Any] = [self.text, self.voice, self.steps, self.sampler, self.seed, self.pace, self.bf16]
        if self.durations:
            values += [self.phones, self.durations]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Where the file is, below the folder of the results."""
        manner = [self.sampler] * (self.sampler != "ddpm") + ["bf16"] * self.bf16 + ["true"] * bool(self.durations)
        return "-".join((str(self.steps), *manner))

    @property
    def wav(self) -> str:
        """Path of the file below the folder of the results."""
        return f"{self.folder}/{self.utt_id}.wav"

    def as_row(self) -> dict[str, Any]:
        """The columns that are known before it is spoken."""
        return {**asdict(self), "key": self.key, "wav": self.wav}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Task":
        """The task of a file, from its row: phones and durations are part of it only if they were given."""
        names = ("utt_id", "text", "steps", "seed", "pace", "voice", "sampler", "bf16")
        tokens = (tuple(row["phones"]), tuple(row["durations"])) if durations_of(row) == "true" else ()
        return cls(*(row[name] for name in names), *tokens)


class Results:
    """The rows of a folder, in memory; `save` writes them.

    Args:
        folder: folder or s3:// prefix.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._rows = read_rows(storage.join(folder, "results.parquet"), _REMEDY)
        self._rejects = read_rows(storage.join(folder, "rejects.parquet"), _REMEDY)

    def pending(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that are neither spoken nor refused for good."""
        names = {task.folder for task in tasks}
        present = {wav for name in names for wav in self._present(name)}
        done = {(row["key"], row["wav"]) for row in self._rows if row["wav"] in present}
        done |= {(row["key"], row["wav"]) for row in self._rejects if row["error_class"] in _FINAL}
        return [task for task in tasks if (task.key, task.wav) not in done]

    def forget(self, tasks: Iterable[Task]) -> None:
        """Remove the rows of files that are about to be written."""
        wavs = {task.wav for task in tasks}
        self._rows = [row for row in self._rows if row["wav"] not in wavs]
        self._rejects = [row for row in self._rejects if row["wav"] not in wavs]

    def add(self, row: dict[str, Any]) -> None:
        """Keep the row of a spoken task, or of a refused one (it has an `error_class`)."""
        (self._rejects if "error_class" in row else self._rows).append(row)

    def save(self) -> None:
        """Write both files, each whole or not at all."""
        _write(storage.join(self.folder, "results.parquet"), self._rows, RESULT_SCHEMA)
        if self._rejects or storage.exists(storage.join(self.folder, "rejects.parquet")):
            _write(storage.join(self.folder, "rejects.parquet"), self._rejects, _REJECTS)

    def rows(self, tasks: Iterable[Task]) -> list[dict[str, Any]]:
        """The spoken rows of some tasks, in the tasks' order."""
        by_key = {(row["key"], row["wav"]): row for row in self._rows}
        return [by_key[task.key, task.wav] for task in tasks if (task.key, task.wav) in by_key]

    def rejects(self, tasks: Iterable[Task]) -> list[dict[str, Any]]:
        """The refused rows of some tasks."""
        wanted = {(task.key, task.wav) for task in tasks}
        return [row for row in self._rejects if (row["key"], row["wav"]) in wanted]

    def _present(self, name: str) -> list[str]:
        uris = storage.list_files(storage.join(self.folder, name), ".wav")
        return [f"{name}/{uri.rsplit('/', 1)[1]}" for uri in uris]


def durations_of(row: Mapping[str, Any]) -> Durations:
    """Whose durations a file was spoken with; its folder says so."""
    return "true" if str(row["wav"]).partition("/")[0].endswith("-true") else "predicted"


def rejection(task_row: dict[str, Any], error: Exception) -> dict[str, Any]:
    """The row of a task that failed."""
    return {
        "utt_id": task_row["utt_id"],
        "stage": "synthesize",
        "error_class": type(error).__name__,
        "message": str(error),
        "source": task_row["text"],
        "key": task_row["key"],
        "wav": task_row["wav"],
    }


def median_rtf(rows: Iterable[dict[str, Any]]) -> float:
    """Median over the files of seconds of computing for a second of audio; NaN for none."""
    values = [row["rtf"] for row in rows]
    return float(median(values)) if values else float("nan")


def _write(uri: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    write_rows(uri, sorted(rows, key=lambda row: (row["wav"], row["key"])), schema)
