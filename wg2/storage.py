"""One path grammar for local folders and s3:// prefixes.

Every function takes a *uri*: a local path, `file://...` or `s3://bucket/key`. S3 credentials, region and endpoint come
from the environment (`AWS_*`, `AWS_ENDPOINT_URL`) or from the machine's role, never from a configuration file.
Writes are atomic: a reader sees the whole object or none. Bytes travel through pyarrow, names through fsspec/s3fs.
"""

import os
import uuid
from pathlib import Path

import fsspec
from pyarrow import fs

from wg2.errors import StorageError


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
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=10)
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    return fs.S3FileSystem(endpoint_override=endpoint, retry_strategy=retries), uri.removeprefix("s3://")


def read_bytes(uri: str) -> bytes:
    """The whole object.

    Raises:
        StorageError: it is missing or unreadable.
    """
    try:
        files, path = filesystem(uri)
        with files.open_input_stream(path) as stream:
            return bytes(stream.read())
    except OSError as error:
        raise StorageError(f"{uri}: cannot read: {error}") from error


def write_bytes(uri: str, data: bytes) -> None:
    """Write the whole object or nothing.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    try:
        if is_local(uri):
            _replace_local(Path(absolute(uri)), data)
        else:
            files, path = filesystem(uri)
            with files.open_output_stream(path) as stream:
                stream.write(data)
    except OSError as error:
        raise StorageError(f"{uri}: cannot write {len(data)} bytes: {error}") from error


def _replace_local(path: Path, data: bytes) -> None:
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
    """Whether there is a file, folder or object."""
    files, path = fsspec.core.url_to_fs(uri)
    return bool(files.exists(path))


def list_files(uri: str, suffix: str = "") -> list[str]:
    """Uris of the files directly in `uri` that end in `suffix`, sorted; empty when the folder is missing."""
    files, path = fsspec.core.url_to_fs(uri)
    files.invalidate_cache()
    if not files.isdir(path):
        return []
    names = [entry["name"] for entry in files.ls(path, detail=True) if entry["type"] == "file"]
    return sorted(files.unstrip_protocol(name) if not is_local(uri) else name
                  for name in names if name.endswith(suffix) and not Path(name).name.startswith("."))  # fmt: skip


def delete(uri: str) -> None:
    """Remove a file, or a folder with all it holds; nothing happens when there is none."""
    files, path = fsspec.core.url_to_fs(uri)
    if files.exists(path):
        files.rm(path, recursive=True)
