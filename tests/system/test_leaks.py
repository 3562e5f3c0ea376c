"""The search for secrets finds one wherever it is hidden."""

import base64
import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import leaks
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SECRETS = {"KEY": "5f2c41d0a6b94e0fa1c3", "OTHER": "77aa12c0ffee77aa12c0"}
KEY = SECRETS["KEY"].encode()


def parquet(value: str, metadata: str = "") -> bytes:
    stream = io.BytesIO()
    table = pa.table({"text": [value] * 1000}).replace_schema_metadata({"note": metadata})
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
    return stream.getvalue()


HIDDEN = {
    "plain": b"aws_secret=" + KEY + b"\n",
    **{f"base64 after {n} bytes": base64.b64encode(b"x" * n + KEY + b"yz") for n in range(4)},
    "parquet": parquet(SECRETS["KEY"]),
    "parquet's metadata": parquet("", SECRETS["KEY"]),
    "zip": zipped(b"a" * 100 + KEY),
    "parquet in a zip": zipped(parquet(SECRETS["KEY"])),
    "gzip": gzip.compress(KEY * 50),
}


@pytest.mark.parametrize("where", HIDDEN)
def test_a_secret_is_found_and_named(where: str):
    assert leaks.leaked(SECRETS, HIDDEN[where]) == ["KEY"]


NOTHING = {
    "empty": b"",
    "a word": b"nothing",
    "parquet": parquet("nothing"),
    "zip": zipped(b"nothing"),
    "less": KEY[:-1],
    "the rest": KEY[1:],
}


@pytest.mark.parametrize("data", NOTHING.values(), ids=NOTHING.keys())  # a ZIP has the time in it: no name for a test
def test_nothing_is_found_where_none_is(data: bytes):
    assert leaks.leaked(SECRETS, data) == []


def test_files_command_lines_and_environments_are_searched(tmp_path: Path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/log").write_bytes(KEY)
    command = [sys.executable, "-c", "print(flush=True); input()", SECRETS["OTHER"]]
    environment = {**os.environ, "WG2_MARK": "1", "PASSWORD": SECRETS["KEY"]}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        lines, environments = dict(leaks.command_lines()), dict(leaks.environments("WG2_MARK"))
    assert [leaks.leaked(SECRETS, data) for _, data in leaks.files(tmp_path)] == [["KEY"]]
    assert leaks.leaked(SECRETS, lines[f"command line of process {process.pid}"]) == ["OTHER"]
    assert {place: leaks.leaked(SECRETS, data) for place, data in environments.items()} == {
        f"environment of process {process.pid}": ["KEY"]
    }
