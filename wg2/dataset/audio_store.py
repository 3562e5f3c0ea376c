"""The audio files (FLAC; Ogg in a packed copy) of a data set by (shard, row), without holding them in memory.

A shard on a disk is mapped: its audio column is stored as it is (`wg2.dataset.preparation.parquet`), so a file's bytes
lie in one piece, and what is read of them is the page cache's, which the system takes back when it needs memory. Where
each piece lies is found once for each row group. A shard on S3 is copied to `cache_dir` first; without one, the row
groups used last are kept in memory.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import shutil
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import storage
from wg2.errors import StorageError

_COLUMN = "audio.bytes"
_MEMORY_LIMIT = 2 * 2**30
"""Bytes of row groups that are kept in memory, where a shard cannot be mapped."""
_CACHED_GROUPS = 16
_NEEDLE = 64
"""Bytes of a file by which its place is found; then all of it is compared."""


class AudioStore:
    """Audio files by (shard, row).

    Args:
        shards: uris of the Parquet files.
        cache_dir: a local folder for copies of shards that lie on S3; '': none are made.
    """

    def __init__(self, shards: Sequence[str], cache_dir: str = "") -> None:
        self._shards, self._cache_dir = tuple(shards), cache_dir
        self._opened: dict[int, _Shard] = {}
        self._groups: OrderedDict[tuple[int, int], pa.Array] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, object]:
        """For another process, which opens the files itself."""
        return {**self.__dict__, "_opened": {}, "_groups": OrderedDict(), "_bytes": 0}

    def read(self, shard: int, row: int) -> bytes | memoryview:
        """An audio file; of a mapped shard without a copy.

        Raises:
            StorageError: the shard cannot be read, or copied to the cache.
        """
        file = self._open(shard)
        group, place = file.locate(row)
        piece = file.piece(group, place)
        return piece if piece is not None else bytes(self._group(shard, group)[place].as_buffer())

    def _open(self, shard: int) -> "_Shard":
        if shard not in self._opened:
            self._opened[shard] = _Shard(local_copy(self._shards[shard], self._cache_dir))
        return self._opened[shard]

    def _group(self, shard: int, group: int) -> pa.Array:
        key = (shard, group)
        if key not in self._groups:
            self._groups[key] = self._opened[shard].blobs(group)
            self._bytes += self._groups[key].nbytes
            while self._bytes > _MEMORY_LIMIT and len(self._groups) > _CACHED_GROUPS:
                self._bytes -= self._groups.popitem(last=False)[1].nbytes
        self._groups.move_to_end(key)
        return self._groups[key]


class _Shard:
    """One Parquet file: mapped when it is local."""

    def __init__(self, uri: str) -> None:
        try:
            files, path = storage.filesystem(uri)
            self._file = pq.ParquetFile(path, filesystem=files)
            self._mapped = _map(path) if storage.is_local(uri) else None
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error
        groups = (self._file.metadata.row_group(group) for group in range(self._file.metadata.num_row_groups))
        self._ends = np.cumsum([group.num_rows for group in groups])
        self._places: dict[int, NDArray[np.int64] | None] = {}

    def locate(self, row: int) -> tuple[int, int]:
        """Row group of a row, and its place in it."""
        group = int(np.searchsorted(self._ends, row, side="right"))
        assert group < len(self._ends), f"row {row} lies behind the shard's end"
        return group, row - int(self._ends[group - 1] if group else 0)

    def blobs(self, group: int) -> pa.Array:
        """All files of a row group, in memory."""
        return self._file.read_row_group(group, columns=[_COLUMN])["audio"].combine_chunks().field("bytes")

    def piece(self, group: int, place: int) -> memoryview | None:
        """A file's bytes in the mapped shard; None where they do not lie there as they are."""
        if self._mapped is None:
            return None
        if group not in self._places:
            self._places[group] = _find(self._mapped, self._bounds(group), self.blobs(group))
        places = self._places[group]
        return None if places is None else memoryview(self._mapped)[places[place, 0] : places[place, 1]]

    def _bounds(self, group: int) -> tuple[int, int]:
        """First byte of the group's audio, and the one behind its last."""
        facts = self._file.metadata.row_group(group)
        columns = (facts.column(index) for index in range(facts.num_columns))
        column = next(column for column in columns if column.path_in_schema == _COLUMN)
        return column.data_page_offset, column.data_page_offset + column.total_compressed_size


def _map(path: str) -> mmap.mmap:
    with Path(path).open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _find(mapped: mmap.mmap, bounds: tuple[int, int], blobs: pa.Array) -> NDArray[np.int64] | None:
    """Where each blob begins and ends in the file, [rows, 2]; None when one is compressed or elsewhere.

    In a plain page a value is its length in four bytes, then its bytes; between pages are headers.
    """
    start, end = bounds
    places = np.empty((len(blobs), 2), dtype=np.int64)
    for row, blob in enumerate(blobs):
        data = memoryview(blob.as_buffer()).cast("B")  # Arrow's bytes are signed
        found = mapped.find(len(data).to_bytes(4, "little") + bytes(data[:_NEEDLE]), start, end)
        if found < 0 or memoryview(mapped)[found + 4 : found + 4 + len(data)] != data:
            return None
        start = found + 4 + len(data)
        places[row] = found + 4, start
    return places


def local_copy(uri: str, cache_dir: str) -> str:
    """`uri`, or the path of its copy in `cache_dir` when it is not local; made once, however many ask for it.

    A shard's name belongs to one attempt, whose bytes never change: so the name stands for the content.

    Raises:
        StorageError: it cannot be read, or the disk is full.
    """
    if storage.is_local(uri) or not cache_dir:
        return uri
    place = Path(storage.absolute(cache_dir)) / f"{hashlib.sha256(uri.encode()).hexdigest()[:32]}.parquet"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place.with_suffix(".lock")):
            if not place.exists():
                _copy(uri, place)
    except OSError as error:
        raise StorageError(f"{uri}: cannot copy to {place}: {error}; see train.cache_dir") from error
    return str(place)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; a killed one holds no lock."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _copy(uri: str, place: Path) -> None:
    """The whole file or nothing; what a killed copy left is removed."""
    for left in place.parent.glob(f".{place.name}.*.part"):
        left.unlink(missing_ok=True)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
    files, path = storage.filesystem(uri)
    try:
        with files.open_input_stream(path) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 2**22)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
