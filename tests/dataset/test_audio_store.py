"""Bytes of a FLAC file by its place: mapped, from memory, or from a copy of what lies on S3."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from wg2 import audio, storage
from wg2.dataset import audio_store
from wg2.dataset.audio_store import AudioStore, local_copy
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import utterance_schema
from wg2.errors import StorageError

ROWS = 11
_local = storage.filesystem


def flac(row: int) -> bytes:
    """Noise, so that no two are alike; rows 3 and 4 are, to the bit."""
    draws = np.random.default_rng(min(row, 3) if row < 5 else row)
    return audio.encode_flac(draws.uniform(-0.5, 0.5, 3000 + 10 * (row == 7)).astype(np.float32), 24000)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eleven rows in groups of four."""
    rows = [{"utt_id": str(n), "audio": {"bytes": flac(n), "path": f"{n}.flac"}} for n in range(ROWS)]
    path = tmp_path_factory.mktemp("store") / "shard.parquet"
    storage.write_bytes(str(path), parquet(rows, utterance_schema(24000), 4))
    return str(path)


def test_every_row_is_found_in_any_order_and_nothing_is_kept(shard: str):
    store = AudioStore([shard])
    for row in [*reversed(range(ROWS)), 0, 5]:
        assert bytes(store.read(0, row)) == flac(row)
        assert isinstance(store.read(0, row), memoryview)
    assert not store._groups


@pytest.mark.parametrize("compression", ["zstd", "snappy"])
def test_a_compressed_column_is_read_by_row_groups_of_which_the_last_are_kept(
    shard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
):
    packed = str(tmp_path / "packed.parquet")
    pq.write_table(pq.read_table(shard), packed, compression=compression, row_group_size=4)
    monkeypatch.setattr(audio_store, "_MEMORY_LIMIT", 0)
    monkeypatch.setattr(audio_store, "_CACHED_GROUPS", 1)
    store = AudioStore([packed])
    assert [bytes(store.read(0, row)) for row in range(ROWS)] == [flac(row) for row in range(ROWS)]
    assert len(store._groups) == 1


def test_another_process_gets_names_and_not_the_audio(shard: str):
    store = AudioStore([shard])
    store.read(0, 2)
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    assert bytes(pickle.loads(sent).read(0, 2)) == flac(2)


def test_a_missing_shard_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match=r"nowhere\.parquet: cannot read the shard"):
        AudioStore([str(tmp_path / "nowhere.parquet")]).read(0, 0)


def test_a_local_shard_is_not_copied(shard: str, tmp_path: Path):
    assert local_copy(shard, str(tmp_path / "cache")) == shard
    assert not (tmp_path / "cache").exists()


class TestCopies:
    """A shard that is not local: here one behind a scheme that says so."""

    @pytest.fixture
    def remote(self, shard: str, monkeypatch: pytest.MonkeyPatch) -> str:
        """`s3://` leads to the local disk."""
        local = storage.filesystem(shard)
        monkeypatch.setattr(storage, "filesystem", lambda uri: local if uri == "s3://b/shard" else _local(uri))
        return "s3://b/shard"

    def test_it_is_copied_once_and_mapped(self, remote: str, shard: str, tmp_path: Path):
        first = Path(local_copy(remote, str(tmp_path)))
        assert first.read_bytes() == Path(shard).read_bytes()
        made = first.stat().st_mtime_ns
        assert isinstance(AudioStore([remote], str(tmp_path)).read(0, 1), memoryview)
        assert first.stat().st_mtime_ns == made
        assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".lock", ".parquet"]

    def test_what_a_killed_copy_left_is_neither_used_nor_kept(self, remote: str, shard: str, tmp_path: Path):
        place = Path(local_copy(remote, str(tmp_path)))
        half = place.with_name(f".{place.name}.0123.part")
        shutil.move(place, half)
        half.write_bytes(b"half")
        assert Path(local_copy(remote, str(tmp_path))).read_bytes() == Path(shard).read_bytes()
        assert not half.exists()

    def test_a_full_disk_is_told_and_leaves_nothing(self, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(audio_store.shutil, "copyfileobj", full)
        with pytest.raises(StorageError, match=r"No space left on device; see train\.cache_dir"):
            local_copy(remote, str(tmp_path))
        assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]
