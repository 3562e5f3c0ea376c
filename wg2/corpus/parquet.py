"""Parquet files with the audio in them, as Hugging Face `datasets` has them: `audio: {bytes, path}` and a transcript.

A recording is named `FILE.parquet#row=12`; `read_audio` opens that. The data sets of wg2 are such files too.
"""

import contextlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import storage
from wg2.corpus.recording import SPEAKER, Ids, Recording, audio_stem
from wg2.corpus.tables import SPEAKERS, TEXT, TEXT_NORM
from wg2.errors import CorpusError, MissingError

_ROW = re.compile(r"(.+\.parquet)#row=(\d+)")
_IDS = ("utt_id", "utterance_id")
_OTHER_IDS = ("id", "file")


def read(root: str) -> Iterator[Recording]:
    """The recordings, file by file, row by row.

    Raises:
        CorpusError: no file has audio and text, or one is damaged.
    """
    ids, seen = Ids(), ""
    for file in files(root):
        schema = storage.persist(file, "cannot read", partial(_schema, file))
        audio, seen = audio_column(schema), ", ".join(schema.names)
        stem, version = file.rpartition("/")[2].removesuffix(".parquet"), storage.version(file)
        for row, values in _rows(file, _light(schema, audio)) if audio else ():
            utt_id = _utt_id(values, audio, f"{stem}-{row:06d}", ids)
            ids.add(utt_id, file, row + 1)
            yield _recording(values, utt_id, f"{file}#row={row}", version)
    if not len(ids) and seen:
        raise CorpusError(f"{root}: got the columns {seen}, wanted audio with bytes, and {' or '.join(TEXT[:4])}")


def _rows(file: str, columns: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    edges = _edges(file, storage.version(file))
    for index, first in enumerate(edges[:-1]):
        table = storage.persist(file, "cannot read", partial(_read_group, file, index, columns))
        yield from enumerate(table.to_pylist(), first)


def files(root: str) -> list[str]:
    """The Parquet files of a folder and of those below it, or the one that `root` names."""
    if root.endswith(".parquet"):
        return [root]
    return [storage.join(root, path) for path in sorted(storage.walk(root)) if path.endswith(".parquet")]


def audio_column(schema: pa.Schema) -> str:
    """The column with the bytes of audio files; '' when there is none."""
    for field in schema:
        kind = field.type
        names = {kind.field(index).name for index in range(kind.num_fields)} if pa.types.is_struct(kind) else set()
        if names >= {"bytes", "path"} or (field.name == "audio" and pa.types.is_binary(kind)):
            return str(field.name)
    return ""


def read_audio(uri: str) -> bytes:
    """The audio file at `uri`, which may be a row of a Parquet file.

    Raises:
        MissingError: there is none, or the row has no audio.
        StorageError: it is unreadable.
    """
    row = _ROW.fullmatch(uri)
    if not row:
        return storage.read_bytes(uri)
    file, number = row[1], int(row[2])
    version = storage.version(file)
    index = bisect_right(_edges(file, version), number) - 1 if version else 0
    data = _group(file, version, index).get(number)
    if data is None:
        raise MissingError(f"{uri}: the row has no audio bytes; wanted the file itself in the column audio")
    return data


@contextlib.contextmanager
def _open(file: str) -> Iterator[pq.ParquetFile]:
    source, path = storage.filesystem(file)
    try:
        with source.open_input_file(path) as stream:
            yield pq.ParquetFile(stream)
    except pa.ArrowInvalid as error:
        raise CorpusError(f"{file}: no Parquet file ({error}); copy it again") from error


def _schema(file: str) -> pa.Schema:
    with _open(file) as parquet:
        return parquet.schema_arrow


def _read_group(file: str, index: int, columns: list[str]) -> pa.Table:
    with _open(file) as parquet:
        return parquet.read_row_group(index, columns)


def _row_counts(file: str) -> list[int]:
    with _open(file) as parquet:
        return [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]


@lru_cache(maxsize=4)
def _edges(file: str, _version: str) -> tuple[int, ...]:
    """The first row of each row group, and the number of rows."""
    return tuple(accumulate(storage.persist(file, "cannot read", partial(_row_counts, file)), initial=0))


@lru_cache(maxsize=2)
def _group(file: str, version: str, index: int) -> Mapping[int, bytes | None]:
    """Row number to audio, of one row group: neighbours are asked for next."""
    name = audio_column(storage.persist(file, "cannot read", partial(_schema, file)))
    column = storage.persist(file, "cannot read", partial(_read_group, file, index, [name]))[name]
    values = (value["bytes"] if isinstance(value, dict) else value for value in column.to_pylist())
    return dict(enumerate(values, _edges(file, version)[index]))


def _light(schema: pa.Schema, audio: str) -> list[str]:
    """The columns that are read for the plan: all that matter but the sound."""
    wanted = (*_IDS, *_OTHER_IDS, *TEXT, *TEXT_NORM, *SPEAKERS)
    path = [f"{audio}.path"] if pa.types.is_struct(schema.field(audio).type) else []
    return [*(name for name in wanted if name in schema.names), *path]


def _utt_id(row: Mapping[str, Any], audio: str, numbered: str, ids: Ids) -> str:
    """The row's own id, the name of its audio, or the number of the row where these are not unique."""
    path = (row.get(audio) or {}).get("path") or ""
    names = (
        *(row.get(key) for key in _IDS),
        audio_stem(path.rpartition("/")[2]),
        *(row.get(key) for key in _OTHER_IDS),
    )
    name = str(next((name for name in names if name not in (None, "")), numbered))
    return numbered if name in ids or "/" in name else name


def _recording(row: Mapping[str, Any], utt_id: str, uri: str, version: str) -> Recording:
    text, norm, speaker = (
        str(next((row[key] for key in keys if row.get(key) not in (None, "")), ""))
        for keys in (TEXT, TEXT_NORM, SPEAKERS)
    )
    return Recording(utt_id, uri, text, norm, speaker or SPEAKER, version=version)
