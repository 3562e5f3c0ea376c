"""A small Parquet file that a job reads, adds to and writes again, whole or not at all."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import storage
from wg2.errors import StorageError


def read_rows(uri: str, remedy: str) -> list[dict[str, Any]]:
    """The rows of a file; none where there is none.

    Args:
        uri: of the file.
        remedy: what to do about a damaged one, for the message.
    Raises:
        StorageError: it is damaged.
    """
    if not storage.exists(uri):
        return []
    try:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(storage.read_bytes(uri))).to_pylist()
    except pa.ArrowException as error:
        raise StorageError(f"{uri}: damaged ({error}); {remedy}") from error
    return rows


def write_rows(uri: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write a file.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    storage.write_bytes(uri, buffer.getvalue())
