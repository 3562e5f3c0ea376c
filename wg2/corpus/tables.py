"""Tables with a row an utterance: CSV and TSV with a header, and JSON with an object a line."""

import contextlib
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from wg2 import storage
from wg2.corpus.files import AudioFiles
from wg2.corpus.recording import (
    SPEAKER,
    Ids,
    Recording,
    audio_stem,
    broken_unicode,
    decode,
    id_of_path,
    without_surrogates,
)
from wg2.corpus.transcripts import BROKEN
from wg2.errors import CorpusError, MissingError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*JSON_SUFFIXES, ".csv", ".tsv")
"""What a table's name ends in."""
TEXT = ("text", "transcription", "sentence", "transcript", "raw_text", "raw_transcription", "text_original")
TEXT_NORM = ("text_norm", "normalized_text", "text_normalized", "transcription_normalised", "normalized_transcription")
SPEAKERS = ("speaker", "speaker_id", "speaker_name", "client_id")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Names:
    """What a layout calls its columns: of several names the first that a row has.

    Attributes:
        uri: the audio.
        text: what is said.
        text_norm: the same, normalised.
        utt_id: of the utterance; () takes the name of the audio file.
        speaker: who says it.
        start_s: where it starts, seconds.
        end_s: where it ends, seconds.
        duration: how long it is, seconds; looked at where a row has a start.
    """

    uri: tuple[str, ...]
    text: tuple[str, ...]
    text_norm: tuple[str, ...] = ()
    utt_id: tuple[str, ...] = ()
    speaker: tuple[str, ...] = SPEAKERS
    start_s: tuple[str, ...] = ()
    end_s: tuple[str, ...] = ()
    duration: tuple[str, ...] = ()


Rows = Iterator[tuple[int, Mapping[str, Any]]]
"""(line number, row)."""


class Table:
    """Rows of one or several files to recordings, each id once.

    Args:
        root: of the corpus: ids are named from there.
        names: what the columns are called.
        plain_ids: an utterance without an id has the file's name alone, whatever folder it is in.
    """

    def __init__(self, root: str, names: Names, plain_ids: bool = False) -> None:
        self._root, self._names, self._plain_ids = root, names, plain_ids
        self._ids, self._audio = Ids(), AudioFiles()

    def read(self, file: str, folder: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Iterator[Recording]:
        """The recordings of a file.

        Args:
            file: the table.
            folder: what its audio is named from.
            quoting: of a CSV or TSV file.
        Raises:
            CorpusError: a line is malformed (with its number).
        """
        rows = json_rows(file) if is_json(file) else csv_rows(file, quoting)
        for number, row in rows:
            recording = self._recording(row, f"{file}:{number}", folder)
            self._ids.add(recording.utt_id, file, number)
            yield recording

    def _recording(self, row: Mapping[str, Any], where: str, folder: str) -> Recording:
        names = self._names
        uri, text, norm, utt_id, speaker = (
            _text(row, keys, where) for keys in (names.uri, names.text, names.text_norm, names.utt_id, names.speaker)
        )
        self._check_keys(row, where)
        fault = _fault(row, (names.uri, names.text, names.text_norm, names.utt_id, names.speaker), where)
        uri, utt_id, speaker = map(without_surrogates, (uri, utt_id, speaker))
        if not uri or not uri.isprintable():
            raise CorpusError(f"{where}: {names.uri[0]} {uri!r}, wanted the name of an audio file")
        start_s, end_s = self._part(row, where)
        found, version = self._audio.find(folder, uri)
        return Recording(
            utt_id=utt_id or self._default_id(found, start_s, end_s),
            uri=found,
            text="" if fault else text,
            text_norm="" if fault else norm,
            speaker=speaker or SPEAKER,
            start_s=start_s,
            end_s=end_s,
            version=version,
            fault=fault,
            notes=BROKEN if fault else "",
        )

    def _check_keys(self, row: Mapping[str, Any], where: str) -> None:
        """A table of another layout is no table full of utterances without text."""
        names, known = self._names, set(row)
        others = known & {*TEXT, "uri", "audio_filepath", "file_name"}
        for keys in (names.uri, names.text):
            if not known.intersection(keys) and (keys == names.uri or others - {*names.uri}):
                raise CorpusError(
                    f"{where}: got {', '.join(sorted(known)) or 'nothing'}, wanted {names.uri[0]} and {names.text[0]}; "
                    "rename them, or let corpus.layout auto look which layout this is"
                )

    def _part(self, row: Mapping[str, Any], where: str) -> tuple[float, float]:
        names = self._names
        start_s, end_s, duration = (_seconds(row, keys, where) for keys in (names.start_s, names.end_s, names.duration))
        if duration and any(row.get(key) not in (None, "") for key in names.start_s):
            end_s = start_s + duration
        if end_s and end_s <= start_s:
            raise CorpusError(f"{where}: start_s {start_s:g} is not before end_s {end_s:g}")
        return start_s, end_s

    def _default_id(self, uri: str, start_s: float, end_s: float) -> str:
        below = uri.removeprefix(f"{self._root}/")
        name = below.rpartition("/")[2]
        if self._plain_ids:
            stem = audio_stem(name)
        else:
            stem = id_of_path("/".join(uri.split("/")[-2:]) if below == uri else below)
        return f"{stem}-{round(start_s * 1000):08d}-{round(end_s * 1000):08d}" if start_s or end_s else stem


def folder_of(file: str) -> str:
    """Where a file lies."""
    return file.rpartition("/")[0] or "/"


def is_json(file: str) -> bool:
    """Whether a table has a JSON object a line."""
    return file.endswith(JSON_SUFFIXES)


def keys(file: str) -> list[str]:
    """The names of the columns that a table begins with; none where it is no table.

    Raises:
        StorageError: it cannot be read.
    """
    line = next((line for line in storage.read_lines(file) if line.strip()), b"").removeprefix(_BYTE_ORDER_MARK)
    text = line.decode("utf-8", errors="replace").rstrip("\r")
    with contextlib.suppress(ValueError, RecursionError, csv.Error):
        if not is_json(file):
            return [name.strip() for name in next(csv.reader([text], delimiter=_delimiter(file)), [])]
        row = json.loads(text)
        return list(row) if isinstance(row, dict) else []
    return []


def json_rows(file: str) -> Rows:
    """The objects of a file with one a line; bytes that are no UTF-8 are in them as lone surrogates.

    Raises:
        CorpusError: a line is no object.
    """
    for number, line in _lines(file):
        text = line.decode("utf-8", errors="surrogateescape")
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{file}:{number}: not JSON ({error}); wanted an object a line, such as with uri and text"
                              ) from error  # fmt: skip
        if not isinstance(row, dict):
            raise CorpusError(f"{file}:{number}: got {type(row).__name__}, wanted an object with uri and text")
        yield number, row


def csv_rows(file: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Rows:
    """The rows of a CSV or TSV file with a header.

    Raises:
        CorpusError: it is not UTF-8, or a row is malformed.
    """
    lines = (decode(line, file, number) + "\n" for number, line in _lines(file))
    reader = csv.DictReader(lines, strict=True, delimiter=_delimiter(file), quoting=quoting)
    try:
        for row in reader:
            if None in row:
                raise CorpusError(
                    f"{file}:{reader.line_num}: more fields than the header has; quote fields with commas"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise CorpusError(f"{file}:{reader.line_num}: {error}; wanted CSV with a header") from error


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    try:
        for number, line in enumerate(storage.read_lines(file), 1):
            yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except MissingError as error:
        raise CorpusError(f"{error}; corpus.root must name a manifest, a CSV or JSONL file") from error


def _delimiter(file: str) -> str:
    return "\t" if file.endswith(".tsv") else ","


def _value(row: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, Any]:
    return next(((key, row[key]) for key in keys if row.get(key) not in (None, "")), ("", None))


def _text(row: Mapping[str, Any], keys: tuple[str, ...], where: str) -> str:
    key, value = _value(row, keys)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise CorpusError(f"{where}: {key} is a {type(value).__name__}, wanted text")
    return str(value).strip()


def _fault(row: Mapping[str, Any], groups: tuple[tuple[str, ...], ...], where: str) -> str:
    """Which value of a row is no Unicode text; '' where all are."""
    for key, value in (_value(row, keys) for keys in groups):
        if broken := broken_unicode(str(value)):
            return f"{where}: {key} holds {broken}, wanted text in UTF-8; correct the line"
    return ""


def _seconds(row: Mapping[str, Any], keys: tuple[str, ...], where: str) -> float:
    key, value = _value(row, keys)
    try:
        seconds = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise CorpusError(f"{where}: {key} is {value!r}, wanted seconds")
    return seconds
