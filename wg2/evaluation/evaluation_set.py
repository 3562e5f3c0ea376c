"""Which sentences a voice is judged by: lines of a text, rows of a Parquet file, or a data set's test split."""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
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


def with_held_out(dataset: str, found: Iterable[tuple[str, str]], limit: int = 0) -> list[tuple[str, str]]:
    """The test split, and after it other sentences; one that is in the split already is there once.

    Args:
        dataset: that has the split.
        found: (name, text) of the others.
        limit: take only so many of the split; 0 takes all.
    Raises:
        DatasetError: there is no data set, or no test split.
        TextError: a sentence of another text has the name of one of the split.
    """
    own = {row["utt_id"]: row for row in _test_rows(_with_test(dataset), ["utt_id", "text", "text_norm"])}
    others = [(name, text) for name, text in found if not (name in own and same_text(text, own[name]))]
    split = [(name, row["text_norm"]) for name, row in own.items()]
    distinct([*split, *others])  # a name that is taken is refused, whether it is within the limit or not
    return [*split[: limit or None], *others]


def distinct(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each name once.

    Raises:
        TextError: a name has two texts: they would be one file.
    """
    kept: dict[str, str] = {}
    for name, text in found:
        if _plain(kept.setdefault(name, text)) != _plain(text):
            raise TextError(f"{name}: names two sentences, {kept[name]!r} and {text!r}; give one another utt_id")
    return list(kept.items())


def same_text(text: str, row: Mapping[str, Any]) -> bool:
    """Whether a text is that of a data set's row (its `text` or `text_norm`), but for case and white space."""
    return _plain(text) in (_plain(row["text"]), _plain(row["text_norm"]))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


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
