import os
from pathlib import Path

import pytest

from wg2 import storage
from wg2.errors import StorageError


def test_what_was_written_is_read(tmp_path: Path):
    uri = storage.join(str(tmp_path), "deep", "er", "file.bin")
    storage.write_bytes(uri, b"\0\1")
    assert storage.read_bytes(uri) == b"\0\1"
    assert storage.read_bytes(f"file://{uri}") == b"\0\1"
    assert storage.exists(uri)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match=r"nothing\.wav: cannot read"):
        storage.read_bytes(f"{tmp_path}/nothing.wav")


def test_a_folder_is_no_object(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot read"):
        storage.read_bytes(str(tmp_path))


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StorageError, match="ftp://x: unknown scheme"):
        storage.read_bytes("ftp://x")


def test_a_failed_write_leaves_the_old_object_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    uri = f"{tmp_path}/file"
    storage.write_bytes(uri, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"file: cannot write 3 bytes: .*No space left"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_place_below_a_file_is_not_writable(tmp_path: Path):
    storage.write_bytes(f"{tmp_path}/file", b"")
    with pytest.raises(StorageError, match="cannot write"):
        storage.write_bytes(f"{tmp_path}/file/below", b"x")


def test_listing_is_sorted_and_has_no_folders_nor_half_written_files(tmp_path: Path):
    for name in ("b.json", "a.json", "c.txt", ".a.json.123.part", "folder/d.json"):
        storage.write_bytes(f"{tmp_path}/{name}", b"")
    assert storage.list_files(str(tmp_path), ".json") == [f"{tmp_path}/a.json", f"{tmp_path}/b.json"]
    assert storage.list_files(f"{tmp_path}/missing") == []


def test_listing_works_below_a_hidden_folder(tmp_path: Path):
    storage.write_bytes(f"{tmp_path}/.cache/a.json", b"")
    assert storage.list_files(f"{tmp_path}/.cache", ".json") == [f"{tmp_path}/.cache/a.json"]


def test_deleting_takes_a_folder_and_forgives_its_absence(tmp_path: Path):
    storage.write_bytes(f"{tmp_path}/folder/file", b"")
    storage.delete(f"{tmp_path}/folder")
    storage.delete(f"{tmp_path}/folder")
    assert not storage.exists(f"{tmp_path}/folder")


@pytest.mark.parametrize(("uri", "local"), [("a/b", True), ("/a", True), ("file:///a", True), ("s3://b/k", False)])
def test_schemes(uri: str, local: bool):
    assert storage.is_local(uri) is local


def test_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/b") == f"{tmp_path}/a/b"
    assert storage.absolute("file:///a/b") == "/a/b"
    assert storage.absolute("s3://b/k/") == "s3://b/k"
    assert storage.absolute("~").startswith("/")
