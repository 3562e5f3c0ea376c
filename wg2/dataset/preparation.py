"""From recordings to rows: what one worker does with one unit. S: samples."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import audio, storage
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.backends import make_aligner
from wg2.alignment.backends import settings as aligner_settings
from wg2.alignment.frames import TimedTokens, to_frames
from wg2.config import AudioConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.schema import REJECT_SCHEMA, SCHEMA_VERSION, utterance_schema, validate
from wg2.dataset.units import Entry, Unit
from wg2.errors import AlignmentError, DatasetError, StorageError, UtteranceError
from wg2.text.frontend import Frontend
from wg2.text.phonemes import ALL_SYMBOLS, Word

PREP_VERSION = "1"
"""Changes when the same settings give other rows than before: data sets of two versions are never mixed."""

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes the rows.

    Attributes:
        audio: what the recordings are turned into.
        text: from text to phones.
        prepare: aligner, and the sizes of units and row groups.
        samples_per_frame: the model's hop.
        layout: of the corpus.
    """

    audio: AudioConfig
    text: TextConfig
    prepare: PrepareConfig
    samples_per_frame: int
    layout: str

    def settings(self) -> dict[str, Any]:
        """The values that decide the data set's bytes; not who computes it, nor where things lie."""
        text, prepare = asdict(self.text), asdict(self.prepare)
        del text["grammar_cache"]
        for not_the_rows in ("workers", "max_reject_fraction", "max_outlier_z", "mfa"):
            del prepare[not_the_rows]
        prepare |= aligner_settings(self.prepare)
        if self.text.lexicon:
            text["lexicon"] = hashlib.sha256(storage.read_bytes(self.text.lexicon)).hexdigest()
        versions = {"schema": SCHEMA_VERSION, "prep": PREP_VERSION}
        return {"audio": asdict(self.audio), "text": text, "prepare": prepare, "version": versions,
                "model": {"samples_per_frame": self.samples_per_frame}, "corpus": {"layout": self.layout}}  # fmt: skip


@dataclass(frozen=True)
class Reject:
    """An utterance that was refused.

    Attributes:
        entry: which.
        stage: 'read', 'audio', 'text', 'align' or 'validate'.
        error: why.
    """

    entry: Entry
    stage: str
    error: Exception

    def row(self) -> dict[str, str]:
        """By the schema of the rejects."""
        return {"utt_id": self.entry.recording.utt_id, "stage": self.stage, "error_class": type(self.error).__name__,
                "message": str(self.error), "source": self.entry.source}  # fmt: skip


@dataclass(frozen=True)
class _Utterance:
    """A recording that is ready for the aligner."""

    entry: Entry
    clip: audio.Clip
    sha256: str
    text_norm: str
    words: tuple[Word, ...]

    def request(self) -> AlignmentRequest:
        return AlignmentRequest(self.entry.recording.utt_id, self.clip.waveform, self.clip.sampling_rate, self.words,
                                offset_s=self.clip.start_s)  # fmt: skip


class UnitPreparer:
    """Makes units; built once in each worker, since lexicon and aligner take a while to load.

    Args:
        root: of the data set.
        config_hash: of the recipe's settings.
        recipe: everything that shapes the rows.
    """

    def __init__(self, root: str, config_hash: str, recipe: Recipe) -> None:
        self._root = root
        self._config_hash = config_hash
        self._recipe = recipe
        self._frontend = Frontend(recipe.text)
        self._aligner = make_aligner(recipe.prepare)

    def prepare(self, unit: Unit) -> Manifest:
        """Make a unit's rows, write them, then commit the unit.

        Raises:
            StorageError: the data set cannot be written.
        """
        rejects: list[Reject] = []
        ready = [u for entry in unit.entries if (u := self._ready(entry, rejects))]
        rows = [row for u, result in self._align(ready) if (row := self._finish(u, result, rejects))]
        rejects.sort(key=lambda reject: reject.entry.recording.utt_id)
        manifest = self._write(unit, rows, rejects)
        write_unit(self._root, manifest)
        return manifest

    def requests(self, entries: Iterable[Entry]) -> Iterator[AlignmentRequest]:
        """What an aligner would be given, of the recordings that are good."""
        return (utterance.request() for entry in entries if (utterance := self._ready(entry, [])))

    def _ready(self, entry: Entry, rejects: list[Reject]) -> _Utterance | None:
        """Read, decode, normalise, pronounce; None when the utterance was refused."""
        recording = entry.recording
        data = _attempt(entry, "read", rejects, lambda: storage.read_bytes(recording.uri))
        if data is None:
            return None
        clip = _attempt(entry, "audio", rejects, lambda: audio.normalise(data, recording.utt_id, self._recipe.audio))
        said = _attempt(entry, "text", rejects, lambda: self._said(recording)) if clip else None
        if clip is None or said is None:
            return None
        return _Utterance(entry, clip, hashlib.sha256(data).hexdigest(), *said)

    def _said(self, recording: Recording) -> tuple[str, tuple[Word, ...]]:
        """The text as it is spoken, and its words."""
        spoken = self._frontend.spoken(self._transcript(recording))
        return spoken, self._frontend.words(spoken)

    def _transcript(self, recording: Recording) -> str:
        """Where the text front end starts from."""
        trusted = recording.text_norm if self._recipe.text.trust_corpus else ""
        return trusted or recording.text

    def _align(self, ready: Sequence[_Utterance]) -> Iterator[tuple[_Utterance, Alignment | AlignmentError]]:
        results = self._aligner.align([utterance.request() for utterance in ready])
        return zip(ready, results, strict=True)

    def _finish(
        self, utterance: _Utterance, result: Alignment | AlignmentError, rejects: list[Reject]
    ) -> dict[str, Any] | None:
        if isinstance(result, AlignmentError):
            rejects.append(Reject(utterance.entry, "align", result))
            return None
        return _attempt(utterance.entry, "validate", rejects, lambda: self._row(utterance, result))

    def _row(self, utterance: _Utterance, alignment: Alignment) -> dict[str, Any]:
        """A row by the schema.

        Raises:
            DatasetError: an invariant does not hold.
        """
        entry, clip, hop = utterance.entry, utterance.clip, self._recipe.samples_per_frame
        timed = to_frames(utterance.words, alignment, len(clip.waveform), clip.sampling_rate, hop)
        utt_id = entry.recording.utt_id
        flac = audio.encode_flac(clip.waveform, clip.sampling_rate)
        row = {
            "utt_id": utt_id,
            "audio": {"bytes": flac, "path": f"{utt_id}.flac"},
            "sampling_rate": clip.sampling_rate,
            "num_samples": len(clip.waveform),
            "text": entry.recording.text,
            "text_norm": utterance.text_norm,
            "speaker": entry.recording.speaker,
            "split": entry.split,
            **_token_columns(timed),
            "align": {"backend": alignment.backend, "score": alignment.score},
            "lufs": clip.lufs,
            "source": {"uri": entry.source, "sha256": utterance.sha256, "start_s": clip.start_s, "end_s": clip.end_s},
            "prep_version": PREP_VERSION,
        }
        _check(row, hop)
        return row

    def _write(self, unit: Unit, rows: list[dict[str, Any]], rejects: list[Reject]) -> Manifest:
        """Write the shards; nobody sees them before the manifest."""
        shard, rejects_shard = attempt_path("shards", unit.name) if rows else "", ""
        data = parquet(rows, utterance_schema(self._recipe.audio.sampling_rate), self._recipe.prepare.row_group_rows)
        if rows:
            storage.write_bytes(storage.join(self._root, shard), data)
        if rejects:
            rejects_shard = attempt_path("rejects", unit.name)
            refused = parquet([reject.row() for reject in rejects], REJECT_SCHEMA, len(rejects))
            storage.write_bytes(storage.join(self._root, rejects_shard), refused)
        return Manifest(
            unit=unit.name,
            config_hash=self._config_hash,
            inputs_sha256=unit.inputs_sha256,
            splits=dict(sorted(Counter(row["split"] for row in rows).items())),
            num_samples=sum(row["num_samples"] for row in rows),
            sha256=hashlib.sha256(data).hexdigest() if rows else "",
            shard=shard,
            rejects=dict(sorted(Counter(f"{r.stage}/{type(r.error).__name__}" for r in rejects).items())),
            rejects_shard=rejects_shard,
        )


def _attempt(entry: Entry, stage: str, rejects: list[Reject], step: Callable[[], T]) -> T | None:
    """The step's result, or None and a reject: one bad utterance does not disturb the others."""
    try:
        return step()
    except (UtteranceError, StorageError, DatasetError) as error:
        rejects.append(Reject(entry, stage, error))
        return None


def _token_columns(timed: TimedTokens) -> dict[str, Any]:
    words = [{"word": word.label, "start_s": word.start_s, "end_s": word.end_s} for word in timed.words]
    return {"phones": list(timed.phones), "durations": list(timed.durations), "words": words}


def _check(row: dict[str, Any], samples_per_frame: int) -> None:
    validate(row, samples_per_frame)
    unknown = sorted(set(row["phones"]) - set(ALL_SYMBOLS))
    if unknown:
        raise DatasetError(f"{row['utt_id']}: phones outside the inventory: {' '.join(unknown)}; correct the lexicon")


def parquet(rows: list[dict[str, Any]], schema: pa.Schema, row_group_rows: int) -> bytes:
    """Rows as a Parquet file: the audio as it is, the rest zstd. The same rows give the same bytes."""
    table = pa.Table.from_pylist(rows, schema=schema)
    columns = [path for path in _leaves(schema) if path != "audio.bytes"]
    sink = pa.BufferOutputStream()
    compression = dict.fromkeys(columns, "zstd") | ({"audio.bytes": "none"} if "audio" in schema.names else {})
    pq.write_table(table, sink, row_group_size=row_group_rows, compression=compression, use_dictionary=columns,
                   write_statistics=columns)  # fmt: skip
    return bytes(sink.getvalue())


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet's paths of the columns."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(index).path for index in range(len(columns.names))]
