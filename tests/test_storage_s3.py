"""storage.py and a data set on a real S3 server that answers late, with errors, or with half of what was asked for."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import small_set
from s3_server import Faults, bucket, moto, proxy

from wg2 import storage
from wg2.checkpoint import Mirror, working_folder
from wg2.config import CorpusConfig
from wg2.errors import CheckpointError, MissingError, StorageError

BUCKET = "s3://voices"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture
def faults(server: str) -> Iterator[Faults]:
    """S3 as this process finds it in its environment, so far without a fault; an empty bucket."""
    faults = Faults()
    with proxy(server, faults) as url, bucket(url, "voices"):
        files, _ = storage.filesystem(f"{BUCKET}/x")
        yield faults
        faults.rate = 0.0
        files.delete_dir_contents("voices")


def test_objects_are_written_read_listed_and_deleted(faults: Faults):
    for name in ("b.json", "a.json", "c.txt", "folder/d.json", ".hidden.json"):
        storage.write_bytes(f"{BUCKET}/run/{name}", name.encode())
    assert storage.read_bytes(f"{BUCKET}/run/a.json") == b"a.json"
    assert storage.list_files(f"{BUCKET}/run", ".json") == [f"{BUCKET}/run/a.json", f"{BUCKET}/run/b.json"]
    assert {item.name for item in storage.scan(f"{BUCKET}/run/") if item.is_folder} == {"folder"}
    assert storage.exists(f"{BUCKET}/run")
    storage.delete(f"{BUCKET}/run/a.json")
    assert not storage.exists(f"{BUCKET}/run/a.json")
    storage.delete(f"{BUCKET}/run")
    storage.delete(f"{BUCKET}/run")
    assert not storage.exists(f"{BUCKET}/run/folder/d.json")
    assert storage.list_files(f"{BUCKET}/run") == []
    assert not faults.seen


@pytest.mark.usefixtures("faults")
def test_a_missing_object_and_a_missing_bucket_are_missing_at_once():
    for uri in (f"{BUCKET}/none", "s3://no-such-bucket/none"):
        with pytest.raises(MissingError, match="cannot read"):
            storage.read_bytes(uri)
        assert not storage.exists(uri)
        assert storage.version(uri) == ""
    with pytest.raises(StorageError, match="cannot write 1 bytes"):
        storage.write_bytes("s3://no-such-bucket/x", b"x")


@pytest.mark.usefixtures("faults")
def test_the_version_changes_with_the_object():
    storage.write_bytes(f"{BUCKET}/a", b"1")
    before = storage.version(f"{BUCKET}/a")
    (listed,) = storage.scan(BUCKET)
    assert (listed.name, listed.version) == ("a", before)
    storage.write_bytes(f"{BUCKET}/a", b"22")
    assert storage.version(f"{BUCKET}/a") not in ("", before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [500, 503, "cut", "slow"])
def test_transfers_survive_three_requests_in_ten_that_fail(faults: Faults, kind: int | str):
    data = {f"{BUCKET}/{number}": random.Random(number).randbytes(40_000 * number) for number in range(1, 9)}
    faults.rate, faults.kinds = 0.3, (kind,)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(storage.write_bytes, data.keys(), data.values()))
        assert list(pool.map(storage.read_bytes, data)) == list(data.values())
    assert storage.list_files(BUCKET) == sorted(data)
    assert b"\n".join(storage.read_lines(f"{BUCKET}/8")) == data[f"{BUCKET}/8"].removesuffix(b"\n")
    storage.delete(f"{BUCKET}/1")
    assert not storage.exists(f"{BUCKET}/1")
    assert faults.seen[kind] >= 5


@pytest.fixture
def corpus(faults: Faults, tmp_path: Path, bundled_corpus: Path) -> CorpusConfig:  # noqa: ARG001
    """Four recordings, two in a unit."""
    small_set.write_manifest(tmp_path, small_set.bundled_rows(bundled_corpus, tmp_path, 4))
    for path in tmp_path.iterdir():
        storage.write_bytes(f"{BUCKET}/corpus/{path.name}", path.read_bytes())
    return CorpusConfig(root=f"{BUCKET}/corpus/manifest.jsonl", layout="manifest")


def rows_at(root: str) -> list[bytes]:
    """The shards of a data set, whatever their names."""
    from wg2.dataset.ledger import open_dataset

    return [storage.read_bytes(uri) for uri in open_dataset(root).shards]


@pytest.mark.slow
def test_a_data_set_made_under_faults_is_the_one_made_in_peace(faults: Faults, corpus: CorpusConfig, tmp_path: Path):
    local = CorpusConfig(root=f"{tmp_path}/manifest.jsonl", layout="manifest")
    small_set.prepare(local, f"{tmp_path}/dataset")
    faults.rate = 0.3
    info = small_set.prepare(corpus, f"{BUCKET}/dataset")
    assert faults.seen.total() >= 5
    faults.rate = 0.0
    assert (info.num_utterances, info.rejects) == (4, 0)
    assert rows_at(f"{BUCKET}/dataset") == rows_at(f"{tmp_path}/dataset")


@pytest.mark.slow
def test_a_read_that_keeps_failing_is_no_reject_and_the_next_run_repeats_the_unit(
    faults: Faults, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage, "ATTEMPTS", 2)
    monkeypatch.setattr(storage, "REQUEST_ATTEMPTS", 2)  # for a test's patience
    storage._s3.cache_clear()
    faults.rate, faults.kinds, faults.only, faults.methods = 1.0, ("cut",), "DEMO-003.flac", ("GET",)
    with pytest.raises(StorageError, match=r"DEMO-003\.flac: cannot read"):
        small_set.prepare(corpus, f"{BUCKET}/dataset")
    assert not storage.exists(f"{BUCKET}/dataset/dataset.json")
    assert storage.list_files(f"{BUCKET}/dataset/rejects") == []
    assert faults.seen["cut"] >= 2
    faults.rate = 0.0
    info = small_set.prepare(corpus, f"{BUCKET}/dataset")
    assert (info.num_utterances, info.rejects) == (4, 0)


@pytest.mark.slow
def test_an_object_that_vanishes_after_the_listing_is_a_reject(corpus: CorpusConfig):
    from wg2.dataset import units
    from wg2.dataset.discovery import discover
    from wg2.dataset.ledger import Ledger
    from wg2.dataset.preparation import UnitPreparer

    ledger = Ledger(f"{BUCKET}/dataset", small_set.RECIPE.settings())
    work = discover(corpus, small_set.RECIPE.prepare, ledger)
    storage.delete(f"{BUCKET}/corpus/DEMO-002.flac")
    (packed,) = work.pending.values()
    manifest = UnitPreparer(ledger.root, ledger.config_hash, small_set.RECIPE).prepare(
        units.unpack(packed).in_splits(work.rule)
    )
    assert (manifest.rows, manifest.rejects) == (3, {"read/MissingError": 1})


@pytest.mark.slow
def test_a_repaired_object_is_noticed(corpus: CorpusConfig):
    good = storage.read_bytes(f"{BUCKET}/corpus/DEMO-004.flac")
    storage.write_bytes(f"{BUCKET}/corpus/DEMO-004.flac", b"")
    assert small_set.prepare(corpus, f"{BUCKET}/dataset").rejects == 1
    storage.write_bytes(f"{BUCKET}/corpus/DEMO-004.flac", good)
    assert small_set.prepare(corpus, f"{BUCKET}/dataset").rejects == 0


# ------------------------------------------------------------------------------------------------ a training's folder


def fill(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        storage.write_bytes(str(folder / name.replace("_", "/")), text.encode())


def texts(folder: Path) -> dict[str, str]:
    return {path: (folder / path).read_text() for path in storage.walk(str(folder))}


def test_a_mirror_brings_a_folder_to_another_machine_under_faults_and_keeps_nothing_old(faults: Faults, tmp_path: Path):
    faults.rate = 0.3
    here, there = (Mirror(f"{BUCKET}/training", tmp_path / name) for name in ("here", "there"))
    fill(here.folder, state_1="one", best_voice="a", history="1")
    here.push()
    there.fetch()
    assert texts(there.folder) == {"state/1": "one", "best/voice": "a", "history": "1"}
    fill(here.folder, state_2="two", history="1 2")
    (here.folder / "state/1").unlink()
    here.push()
    there.fetch(lambda path: not path.startswith("best"))
    assert texts(there.folder) == {"state/2": "two", "history": "1 2"}
    there.fetch()
    assert texts(there.folder) == texts(here.folder)
    assert len(storage.walk(here.uri)) == 1 + 3
    assert faults.seen


@pytest.mark.usefixtures("faults")
def test_a_push_that_was_killed_is_not_there_and_the_next_one_sweeps_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here, there = (Mirror(f"{BUCKET}/training", tmp_path / name) for name in ("here", "there"))
    fill(here.folder, state_1="one", history="1")
    here.push()
    fill(here.folder, state_2="two", history="1 2")
    real = storage.write_bytes

    def killed(uri: str, data: bytes) -> None:
        if uri.endswith("current.json"):
            raise KeyboardInterrupt
        real(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            here.push()
    there.fetch()
    assert texts(there.folder) == {"state/1": "one", "history": "1"}
    fill(there.folder, state_2="again", history="1 2")
    there.push()
    assert len(storage.walk(here.uri)) == 1 + 3
    (tmp_path / "third").mkdir()
    third = Mirror(here.uri, tmp_path / "third")
    third.fetch()
    assert texts(third.folder) == texts(there.folder)


@pytest.mark.usefixtures("faults")
def test_a_damaged_list_of_a_mirror_is_told_in_one_line(tmp_path: Path):
    storage.write_bytes(f"{BUCKET}/training/current.json", b"[1]")
    with pytest.raises(CheckpointError, match=r"training/current.json: damaged"):
        Mirror(f"{BUCKET}/training", tmp_path).fetch()


def test_a_folder_on_a_disk_is_its_own_mirror_and_one_on_s3_gets_a_new_empty_place(tmp_path: Path):
    with working_folder(str(tmp_path / "mine"), "driver") as mirror:
        assert mirror.folder == tmp_path / "mine"
        mirror.fetch()
        mirror.push()
    for _ in range(2):  # the second finds what a killed process left
        context = working_folder("s3://voices/training", "driver", str(tmp_path))
        mirror = context.__enter__()
        assert texts(mirror.folder) == {}
        fill(mirror.folder, state_1="one")
    context.__exit__(None, None, None)
    assert not mirror.folder.exists()


@pytest.mark.slow
def test_a_data_set_is_exported_and_packed_under_faults(faults: Faults, tmp_path: Path):
    from wg2.dataset import export, packing, verify

    info = small_set.made_up(f"{BUCKET}/dataset", 4)
    export.export(info.root, f"{tmp_path}/nemo", "nemo")
    faults.rate = 0.3
    export.export(info.root, f"{BUCKET}/nemo", "nemo")
    packed = packing.pack(info.root, f"{BUCKET}/packed", 0.06)
    faults.rate = 0.0
    local = {path.relative_to(tmp_path / "nemo").as_posix(): path.read_bytes()
             for path in (tmp_path / "nemo").rglob("*") if path.is_file()}  # fmt: skip
    assert {name: storage.read_bytes(f"{BUCKET}/nemo/{name}") for name in storage.walk(f"{BUCKET}/nemo")} == local
    assert not list(verify.violations(packed.root))
    assert sum(len(storage.read_bytes(f"{packed.root}/{name}")) for name in storage.walk(packed.root)) <= 60_000
    assert b"config_name: default" in storage.read_bytes(f"{packed.root}/README.md")
