"""One path grammar for local folders and s3:// prefixes.

Every function takes a *uri*: a local path, `file://...` or `s3://bucket/key`. S3 credentials, region and endpoint come
from the environment (`AWS_*`, `AWS_ENDPOINT_URL`) or from the machine's role, never from a configuration file.
Writes are atomic: a reader sees the whole object or none. S3 is reached through pyarrow; s3fs deletes, where pyarrow
would leave markers of folders behind.

A server that answers 500 or 503, slowly, or breaks off in the middle is asked again: each request `REQUEST_ATTEMPTS`
times by pyarrow, with growing pauses, and a transfer that still went wrong `ATTEMPTS` times as a whole. What is wrong
then is a `StorageError`; what is not there is a `MissingError`, at once.
"""

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from pyarrow import fs

from wg2.errors import MissingError, StorageError

ATTEMPTS = 3
"""How often a transfer is tried as a whole."""
REQUEST_ATTEMPTS = 10
"""How often a request of it is tried."""
TIMEOUT_S = 10.0
"""Seconds without a byte after which S3 counts as gone."""
_PAUSE_S = 0.2
_CHUNK = 2**20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a folder holds.

    Attributes:
        name: without the folder.
        is_folder: and not a file.
        version: changes with a file's contents: its size and the time of its last change.
    """

    name: str
    is_folder: bool
    version: str


def is_local(uri: str) -> bool:
    """Whether `uri` is on this machine's disks."""
    return "://" not in uri or uri.startswith("file://")


def absolute(uri: str) -> str:
    """`uri` with a local path made absolute, so that it means the same in every process of this machine."""
    return str(Path(uri.removeprefix("file://")).expanduser().absolute()) if is_local(uri) else uri.rstrip("/")


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it."""
    return "/".join([uri.rstrip("/"), *parts])


def filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The pyarrow file system of `uri` and the path in it.

    Raises:
        StorageError: a scheme other than local, file:// and s3://.
    """
    if is_local(uri):
        return fs.LocalFileSystem(), absolute(uri)
    if not uri.startswith("s3://"):
        raise StorageError(f"{uri}: unknown scheme; use a local path or s3://bucket/key")
    return _s3(os.environ.get("AWS_ENDPOINT_URL") or None, os.getpid()), uri.removeprefix("s3://")


@lru_cache(maxsize=4)
def _s3(endpoint: str | None, _pid: int) -> fs.FileSystem:
    """One connection pool for each process and endpoint: it does not survive a fork."""
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=REQUEST_ATTEMPTS)
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        retry_strategy=retries,
        request_timeout=TIMEOUT_S,
        connect_timeout=TIMEOUT_S,
        allow_delayed_open=True,  # a small object is one request, not three
    )


def persist(uri: str, what: str, transfer: Callable[[], T]) -> T:
    """The transfer's result, tried again where S3 broke off.

    Args:
        uri: what it is about.
        what: it cannot do when it fails, for the message.
        transfer: raises OSError when it fails.
    Raises:
        MissingError: there is nothing at `uri`.
        StorageError: anything else that trying again did not mend.
    """
    attempts = 1 if is_local(uri) else ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return transfer()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingError(f"{uri}: {what}: {error}") from error
        except OSError as error:
            if attempt == attempts:
                raise StorageError(f"{uri}: {what}: {error}") from error
            time.sleep(_PAUSE_S * 2**attempt * random.uniform(0.5, 1))
    raise AssertionError("the last attempt returns or raises")


def read_bytes(uri: str) -> bytes:
    """The whole object.

    Raises:
        MissingError: there is none.
        StorageError: it is unreadable.
    """
    return persist(uri, "cannot read", partial(_read_whole, uri))


def _read_whole(uri: str) -> bytes:
    """The object's bytes, as many as its size says."""
    files, path = filesystem(uri)
    with files.open_input_file(path) as stream:
        size, data = stream.size(), bytes(stream.read())
    if len(data) != size:
        raise OSError(f"the transfer ended after {len(data)} of {size} bytes")
    return data


def read_lines(uri: str) -> Iterator[bytes]:
    """The lines of a file without their ends, read piece by piece.

    Raises:
        MissingError: there is none.
        StorageError: it is unreadable.
    """
    rest, start = b"", 0
    while chunk := persist(uri, "cannot read", partial(_read_part, uri, start)):
        start += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _read_part(uri: str, start: int) -> bytes:
    files, path = filesystem(uri)
    with files.open_input_file(path) as stream:
        wanted = min(_CHUNK, stream.size() - start)
        data = bytes(stream.read_at(wanted, start)) if wanted > 0 else b""
    if len(data) != max(wanted, 0):
        raise OSError(f"the transfer ended after {len(data)} of {wanted} bytes")
    return data


def write_bytes(uri: str, data: bytes | memoryview) -> None:
    """Write the whole object or nothing.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    what = f"cannot write {len(data)} bytes"
    try:
        persist(uri, what, partial(_write_whole, uri, data))
    except MissingError as error:  # a file where a folder should be, or no bucket
        raise StorageError(str(error)) from error


def _write_whole(uri: str, data: bytes | memoryview) -> None:
    if is_local(uri):
        _replace_local(Path(absolute(uri)), data)
        return
    files, path = filesystem(uri)
    with files.open_output_stream(path) as stream:
        stream.write(data)


def _replace_local(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def exists(uri: str) -> bool:
    """Whether there is a file, folder or object.

    Raises:
        StorageError: nobody can say.
    """
    files, path = filesystem(uri)
    info = persist(uri, "cannot look", lambda: files.get_file_info(path))
    return bool(info.type != fs.FileType.NotFound)


def version(uri: str) -> str:
    """Changes with the contents of the file at `uri`: its size and the time of its last change; '' where none is."""
    if is_local(uri):
        return _local_version(absolute(uri))
    files, path = filesystem(uri)
    return _version(persist(uri, "cannot look", lambda: files.get_file_info(path)))


def _version(info: fs.FileInfo) -> str:
    return f"{info.size}-{info.mtime_ns}" if info.type == fs.FileType.File else ""


def scan(uri: str) -> Iterator[Listed]:
    """What lies directly in a folder, in no order; nothing when it is missing.

    A local folder is read as it goes; a listing from S3 is a sequence of pages of 1,000, all of them at once.

    Raises:
        StorageError: it cannot be listed.
    """
    if is_local(uri):
        return _scan_local(absolute(uri))
    files, path = filesystem(uri)
    selector = fs.FileSelector(path, allow_not_found=True)
    infos = persist(uri, "cannot list", lambda: files.get_file_info(selector))
    return (Listed(info.base_name, info.type == fs.FileType.Directory, _version(info)) for info in infos)


def walk(uri: str) -> list[str]:
    """Paths, below a folder, of all files in it and in its folders, in no order; nothing when it is missing.

    Raises:
        StorageError: it cannot be listed.
    """
    files, path = filesystem(uri)
    selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
    infos = persist(uri, "cannot list", lambda: files.get_file_info(selector))
    root = path.rstrip("/") + "/"
    return [info.path.removeprefix(root) for info in infos if info.type == fs.FileType.File]


def _scan_local(folder: str) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir()
                yield Listed(entry.name, is_folder, "" if is_folder else _local_version(entry.path))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(f"{folder}: cannot list: {error}") from error


def _local_version(path: str) -> str:
    try:
        stat = Path(path).stat()
    except OSError:  # a link to nowhere: whoever reads it says so
        return ""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def list_files(uri: str, suffix: str = "") -> list[str]:
    """Uris of the files directly in `uri` that end in `suffix`, sorted; empty when the folder is missing.

    Raises:
        StorageError: it cannot be listed.
    """
    folder = absolute(uri)
    names = (item.name for item in scan(uri) if not item.is_folder)
    return sorted(join(folder, name) for name in names if name.endswith(suffix) and not name.startswith("."))


def delete(uri: str) -> None:
    """Remove a file, or a folder with all it holds; nothing happens when there is none.

    Raises:
        StorageError: it cannot be removed.
    """
    if not exists(uri):
        return
    options: dict[str, Any] = {}
    if not is_local(uri):
        retries = {"mode": "standard", "max_attempts": REQUEST_ATTEMPTS}
        options = {"endpoint_url": os.environ.get("AWS_ENDPOINT_URL"), "config_kwargs": {"retries": retries}}
    files, path = fsspec.core.url_to_fs(uri, **options)
    files.invalidate_cache()
    persist(uri, "cannot delete", lambda: files.rm(path, recursive=True))
