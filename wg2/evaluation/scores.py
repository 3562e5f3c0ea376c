"""What is known of how good files are: DIR/synthesis/metrics.parquet, one row for a file or a recording.

A row's key is the SHA-256 of what was judged, of what it was compared with and of who listened; a row whose key is
there is not computed again. The rows of other voices stay: a candidate is compared with a champion that was scored
before. Those of another recogniser stay too, and are never compared.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from wg2 import storage
from wg2.evaluation.metrics import METRICS
from wg2.evaluation.results import durations_of
from wg2.evaluation.tables import read_rows, write_rows

_VERSION = 4  # of the metrics' definitions: another one, and everything is scored again
_REMEDY = "delete it, and the files are scored again"
_FORMER = "pocketsphinx"  # of tables without a column for it
_PLAIN = "ddpm"  # the paper's sampler, which labels do not name
_NO_SAMPLER = ("bfloat16", "true durations")

SCORE_SCHEMA = pa.schema([
    ("key", pa.string()),
    ("utt_id", pa.string()),
    ("system", pa.string()),
    ("voice", pa.string()),
    ("steps", pa.int32()),
    ("domain", pa.string()),
    ("recogniser", pa.string()),
    ("audio_s", pa.float64()),
    *((metric.name, pa.float64()) for metric in METRICS),
])  # fmt: skip
"""`voice` is a digest and `steps` a number for synthesised files only; a metric that could not be had is null."""


@dataclass(frozen=True)
class ScoreTask:
    """A file to judge.

    Attributes:
        utt_id: the sentence.
        system: who speaks it.
        words: what it says.
        domain: 'in-domain' or 'foreign'.
        identity: changes with the sound.
        recogniser: who listens, by name.
        uri: the file; empty for the recording itself.
        shard: of the data set, with the recording; empty where there is none.
        tokens: (token, frames) that were spoken.
        voice: digest.
        steps: of denoising; 0 of other systems.
        rtf: as it was measured in synthesis.
        peak_mib: likewise.
    """

    utt_id: str
    system: str
    words: tuple[str, ...]
    domain: str
    identity: str
    recogniser: str
    uri: str = ""
    shard: str = ""
    tokens: tuple[tuple[str, int], ...] = ()
    voice: str = ""
    steps: int = 0
    rtf: float | None = None
    peak_mib: float | None = None

    @property
    def key(self) -> str:
        """The same key, the same scores; a shard is named by what it holds."""
        values = [_VERSION, self.utt_id, self.system, self.words, self.identity, self.recogniser,
                  self.shard.rsplit("/", 1)[-1]]  # fmt: skip
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()

    def row(self, audio_s: float, scores: Mapping[str, float]) -> dict[str, Any]:
        """The row of a judged file, None for what could not be had."""
        known = {name: asdict(self).get(name) for name in SCORE_SCHEMA.names}
        return {**known, "steps": self.steps or None, "key": self.key, "audio_s": audio_s, **scores}


class Scores:
    """The rows of a folder, in memory; `save` writes them.

    Args:
        folder: folder or s3:// prefix.
    """

    def __init__(self, folder: str) -> None:
        self._uri = storage.join(folder, "metrics.parquet")
        self._rows = {row["key"]: row for row in read_rows(self._uri, _REMEDY)}

    def pending(self, tasks: Iterable[ScoreTask]) -> list[ScoreTask]:
        """The tasks that have no row."""
        return [task for task in tasks if task.key not in self._rows]

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self._rows[row["key"]] = row

    def rows(self, tasks: Iterable[ScoreTask]) -> list[dict[str, Any]]:
        """The rows of some tasks, in the tasks' order."""
        return [self._rows[task.key] for task in tasks if task.key in self._rows]

    def other_recognisers(self, tasks: Iterable[ScoreTask]) -> list[str]:
        """Who else listened to what these voices speak, by name: their figures are not the tasks' own."""
        wanted = {(task.utt_id, task.system, task.voice): task.recogniser for task in tasks if task.voice}
        rows = [row for row in self._rows.values() if (row["utt_id"], row["system"], row["voice"]) in wanted]
        return sorted({row.get("recogniser") or _FORMER for row in rows} - set(wanted.values()))

    def save(self) -> None:
        """Write the file, whole or not at all."""
        write_rows(self._uri, [self._rows[key] for key in sorted(self._rows)], SCORE_SCHEMA)


def label(row: Mapping[str, Any]) -> str:
    """What a page calls the system of a row of results: '50 steps, unipc, true durations'."""
    rule = ("" if row["sampler"] == _PLAIN else f", {row['sampler']}") + ", bfloat16" * bool(row["bf16"])
    return f"{row['steps']} steps{rule}{', true durations' if durations_of(row) == 'true' else ''}"


def manner(system: str) -> str:
    """What a `label` says beside the number of steps: 'ddpm', 'unipc, true durations'."""
    rest = [part for part in system.split(", ")[1:] if part]
    plain = not rest or rest[0] in _NO_SAMPLER
    return ", ".join([_PLAIN] * plain + rest)


def files_of(folder: str, utt_ids: Iterable[str]) -> dict[str, str]:
    """ID.wav or ID.flac of each of these utterances that has one directly in a folder.

    Raises:
        StorageError: the folder cannot be listed.
    """
    present = {*storage.list_files(folder, ".flac"), *storage.list_files(folder, ".wav")}
    places = {name: [storage.join(storage.absolute(folder), name + kind) for kind in (".wav", ".flac")]
              for name in utt_ids}  # fmt: skip
    found = {name: [uri for uri in uris if uri in present] for name, uris in places.items()}
    return {name: uris[0] for name, uris in found.items() if uris}
