"""A plain manifest: `corpus.root` names a CSV file with a header, or a JSONL file with an object a line.

    uri       the audio: s3://..., an absolute path, or a path from the manifest's folder
    text      what is said
    utt_id    optional; default: the name of the audio file, with the times of a part behind it
    speaker   optional
    text_norm optional: the normalised transcript
    start_s, end_s   optional: the utterance is this part (seconds) of a longer recording

Other columns are ignored. A row without text, or without audio, is an utterance too: it ends in the rejects.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

from wg2 import storage
from wg2.corpus.recording import SPEAKER, Ids, Recording, decode, split_name
from wg2.errors import CorpusError, MissingError

_REQUIRED = ("uri", "text")
_CACHED_FOLDERS = 4


def folder(root: str) -> str:
    """Where the manifest lies: sources are named from there."""
    return root.rpartition("/")[0] or "/"


def read(root: str) -> Iterator[Recording]:
    """The recordings in the order of the manifest.

    Raises:
        CorpusError: there is no manifest, or one of its lines is malformed (with the line's number).
    """
    rows = _json_rows if root.endswith((".jsonl", ".ndjson")) else _csv_rows
    ids, versions = Ids(), _Versions()
    try:
        for number, row in rows(root):
            recording = _recording(row, f"{root}:{number}", folder(root), versions)
            ids.add(recording.utt_id, root, number)
            yield recording
    except MissingError as error:
        raise CorpusError(f"{error}; corpus.root must name a manifest, a CSV or JSONL file") from error


def _lines(root: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(storage.read_lines(root), 1):
        yield number, decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, root, number)


def _json_rows(root: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in _lines(root):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"{root}:{number}: not JSON ({error}); wanted an object with uri and text") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{root}:{number}: got {type(row).__name__}, wanted an object with uri and text")
        yield number, row


def _csv_rows(root: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader((line + "\n" for _, line in _lines(root)), strict=True)
    try:
        missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{root}:1: no column {' and no column '.join(missing)}; wanted a header with uri,text")
        for row in reader:
            if None in row:
                raise CorpusError(
                    f"{root}:{reader.line_num}: more fields than the header has; quote fields with commas"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise CorpusError(f"{root}:{reader.line_num}: {error}; wanted CSV with a header") from error


def _recording(row: Mapping[str, Any], where: str, below: str, versions: "_Versions") -> Recording:
    uri = _text(row, "uri", where)
    if not uri or not uri.isprintable():
        raise CorpusError(f"{where}: uri {uri!r}, wanted the name of an audio file")
    start_s, end_s = _seconds(row, "start_s", where), _seconds(row, "end_s", where)
    if end_s and end_s <= start_s:
        raise CorpusError(f"{where}: start_s {start_s:g} is not before end_s {end_s:g}")
    whole = uri if uri.startswith("/") or "://" in uri else storage.join(below, uri)
    return Recording(
        utt_id=_text(row, "utt_id", where) or _default_id(uri, start_s, end_s),
        uri=whole,
        text=_text(row, "text", where),
        text_norm=_text(row, "text_norm", where),
        speaker=_text(row, "speaker", where) or SPEAKER,
        start_s=start_s,
        end_s=end_s,
        version=versions.of(whole),
    )


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise CorpusError(f"{where}: {key} is a {type(value).__name__}, wanted text")
    return str(value).strip()


def _seconds(row: Mapping[str, Any], key: str, where: str) -> float:
    value = row.get(key)
    try:
        seconds = float(value) if value not in (None, "") else 0.0
    except (TypeError, ValueError):
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise CorpusError(f"{where}: {key} is {value!r}, wanted seconds")
    return seconds


def _default_id(uri: str, start_s: float, end_s: float) -> str:
    stem = split_name(uri.rpartition("/")[2])[0] or uri.rpartition("/")[2]
    return f"{stem}-{round(start_s * 1000):08d}-{round(end_s * 1000):08d}" if start_s or end_s else stem


class _Versions:
    """Versions of audio files: a look at a local one, for S3 a look into the listing of its folder."""

    def __init__(self) -> None:
        self._local = lru_cache(maxsize=64)(storage.version)
        self._listing = lru_cache(maxsize=_CACHED_FOLDERS)(_list_versions)

    def of(self, uri: str) -> str:
        if storage.is_local(uri):
            return self._local(uri)
        parent, _, name = uri.rpartition("/")
        return self._listing(parent).get(name, "")


def _list_versions(uri: str) -> dict[str, str]:
    return {item.name: item.version for item in storage.scan(uri) if not item.is_folder}
