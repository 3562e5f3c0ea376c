"""Where a secret may have leaked to: everything that the run left behind is searched for it."""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

_STATE = ("/api/jobs/", "/api/v0/actors?limit=10000&detail=1", "/api/v0/tasks?limit=10000&detail=1",
          "/api/v0/workers?limit=10000&detail=1", "/api/v0/runtime_envs?limit=10000&detail=1",
          "/api/v0/nodes?limit=1000&detail=1", "/logical/actors", "/nodes?view=summary")  # fmt: skip
"""What Ray tells about jobs and their environments."""


def leaked(secrets: Mapping[str, str], data: bytes) -> list[str]:
    """Names of the secrets that some bytes hold, plain, in base64, or inside a Parquet file, a zip or a gzip."""
    parts = [data, *_inside(data)]
    return [name for name, secret in secrets.items() if any(form in part for form in _forms(secret) for part in parts)]


def _forms(secret: str) -> list[bytes]:
    """The secret, and what base64 makes of it wherever in a text it stands."""
    plain = secret.encode()
    shifted = [base64.b64encode(b"\0" * shift + plain)[4 * (shift > 0) :].rstrip(b"=")[:-1] for shift in range(3)]
    return [plain, *shifted]


def _inside(data: bytes) -> Iterator[bytes]:
    """What compressed data holds."""
    if data[:4] == b"PAR1":
        table = pq.ParquetFile(io.BytesIO(data)).read()
        yield repr(table.to_pylist()).encode() + repr(table.schema.metadata).encode()
    elif data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                member = archive.read(name)
                yield member
                yield from _inside(member)
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)


def command_lines() -> Iterator[tuple[str, bytes]]:
    """Of every process, which all users of a machine may read."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield f"command line of process {path.parent.name}", path.read_bytes()
        except OSError:
            continue


def environments(mark: str) -> Iterator[tuple[str, bytes]]:
    """Of the cluster's processes, which a job's program inherits."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{mark}=".encode() in (data := path.read_bytes()):
                yield f"environment of process {path.parent.name}", data
        except OSError:
            continue


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def objects(bucket: str) -> Iterator[tuple[str, bytes]]:
    """Everything on the S3 server."""
    import boto3

    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            yield f"s3://{bucket}/{entry['Key']}", client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()


def answers(ask) -> Iterator[tuple[str, bytes]]:
    """What Ray tells about jobs and their environments."""
    return ((path, json.dumps(ask(path)).encode()) for path in _STATE)
