"""Which sentences a voice is judged by: lines of a text, rows of a Parquet file, or a data set's test split."""

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import storage
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.errors import DatasetError, TextError

Tokens = tuple[tuple[str, ...], tuple[int, ...]]
"""Phones and their durations in frames."""

_NAME = re.compile(r"[\w-][\w.-]{0,199}")


def named(text: str) -> tuple[str, str]:
    """A sentence that has no name gets one from its text."""
    return f"text-{hashlib.sha256(text.encode()).hexdigest()[:12]}", text


def read(uri: str) -> list[tuple[str, str]]:
    """(name, text) of each sentence in a file.

    Args:
        uri: Parquet with a column `text` and perhaps `utt_id`, or UTF-8 text, a sentence a line.
    Raises:
        TextError: there is no text in it, or a name that cannot be a file's.
        StorageError: it cannot be read.
    """
    data = storage.read_bytes(uri)
    found = _rows(uri, data) if data[:4] == b"PAR1" else [named(line) for line in _lines(uri, data)]
    if not found:
        raise TextError(f"{uri}: no text in it; wanted a sentence a line")
    return found


def _lines(uri: str, data: bytes) -> list[str]:
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TextError(f"{uri}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return [line.strip() for line in lines if line.strip()]


def _rows(uri: str, data: bytes) -> list[tuple[str, str]]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowException as error:
        raise TextError(f"{uri}: damaged Parquet ({error}); write it again") from error
    if "text" not in table.column_names:
        raise TextError(f"{uri}: got the columns {', '.join(table.column_names)}, wanted `text`")
    texts = [str(text or "").strip() for text in table["text"].to_pylist()]
    if "utt_id" not in table.column_names:
        return [named(text) for text in texts if text]
    names = [str(name) for name in table["utt_id"].to_pylist()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise TextError(f"{uri}: the utt_id {name!r} cannot name a file; use letters, digits, '_', '-' and '.'")
    return [(name, text) for name, text in zip(names, texts, strict=True) if text]


def held_out(dataset: str) -> Iterator[tuple[str, str]]:
    """The sentences of the data set's test split, as they were normalised.

    Raises:
        DatasetError: there is no data set, or no test split.
    """
    for row in _test_rows(_with_test(dataset), ["utt_id", "text_norm"]):
        yield row["utt_id"], row["text_norm"]


def tokens(dataset: str) -> dict[str, Tokens]:
    """Phones and durations of each utterance of the test split, as they were aligned.

    Raises:
        DatasetError: there is no data set, or no test split.
    """
    rows = _test_rows(_with_test(dataset), ["utt_id", "phones", "durations"])
    return {row["utt_id"]: (tuple(row["phones"]), tuple(row["durations"])) for row in rows}


def _with_test(dataset: str) -> DatasetInfo:
    info = open_dataset(dataset)
    if not info.splits.get("test"):
        raise DatasetError(f"{dataset}: no test split to speak; give --synthesize.text or --synthesize.text-file")
    return info


def _test_rows(info: DatasetInfo, columns: list[str]) -> Iterator[dict[str, Any]]:
    for shard in info.shards:
        files, path = storage.filesystem(shard)
        table = pq.read_table(path, filesystem=files, columns=columns, filters=[("split", "=", "test")])
        yield from (row for row in table.to_pylist() if row["utt_id"] not in info.excluded)
