import json
from dataclasses import replace
from pathlib import Path

import pytest

from wg2 import storage
from wg2.dataset.ledger import Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, attempt_path, identity, write_unit
from wg2.dataset.splits import SplitRule
from wg2.errors import ConfigError, DatasetError

CONFIG = {"audio": {"sampling_rate": 24000}, "prepare": {"unit_utterances": 10}}
DESCRIPTION = Description(24000, 300, ("AH0", "sil"), SplitRule(1, 2**64), 0.05)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "dataset")


def make(root: str, name: str, config=CONFIG, rows: int = 9, rejects: int = 0) -> Manifest:
    """Commit a unit whose shard holds nothing but its name."""
    ledger = Ledger(root, config)
    ledger.begin()
    shard = attempt_path("shards", name)
    storage.write_bytes(storage.join(root, shard), name.encode())
    manifest = Manifest(unit=name, config_hash=ledger.config_hash, inputs_sha256="i" + name, utterances=rows + rejects,
                        ids_sha256="d" + name, num_samples=rows * 24000,
                        splits={"train": rows} if rows else {}, sha256="s" + name, shard=shard, rejects_shard="",
                        rejects={"audio/AudioError": rejects} if rejects else {})  # fmt: skip
    write_unit(root, manifest)
    return manifest


def test_a_new_place_has_nothing(root: str):
    assert Ledger(root, CONFIG).committed() == {}
    assert not Path(root).exists()


def test_what_was_committed_is_found_again(root: str):
    made = {name: make(root, name) for name in ("LJ-00000", "LJ-00001")}
    assert Ledger(root, CONFIG).committed() == made


def test_a_shard_without_a_manifest_is_invisible_and_swept_up_at_the_end(root: str):
    manifest = make(root, "LJ-00000")
    orphan = Path(root, attempt_path("shards", "LJ-00000"))
    orphan.write_bytes(b"half a shard")
    ledger = Ledger(root, CONFIG)
    assert ledger.committed() == {"LJ-00000": manifest}
    ledger.commit([manifest], DESCRIPTION)
    assert not orphan.exists()
    assert open_dataset(root).shards == (f"{root}/{manifest.shard}",)


def test_a_manifest_without_its_shard_is_not_done(root: str):
    manifest = make(root, "LJ-00000")
    Path(root, manifest.shard).unlink()
    assert Ledger(root, CONFIG).committed() == {}


def test_other_settings_refuse_to_mix_and_say_what_differs(root: str):
    make(root, "LJ-00000")
    other = {**CONFIG, "prepare": {"unit_utterances": 20}}
    with pytest.raises(ConfigError, match=r"prepare\.unit_utterances: 10, now 20.*delete"):
        Ledger(root, other).committed()


def test_a_damaged_manifest_is_named(root: str):
    make(root, "LJ-00000")
    Path(root, "units/LJ-00000.json").write_text('{"unit": "LJ-00000"')
    with pytest.raises(DatasetError, match=r"LJ-00000\.json: damaged"):
        Ledger(root, CONFIG).committed()


def test_the_data_set_does_not_exist_before_it_is_committed(root: str):
    make(root, "LJ-00000")
    with pytest.raises(DatasetError, match="no committed data set"):
        open_dataset(root)


def test_the_committed_data_set_says_what_it_holds(root: str):
    manifests = [make(root, "LJ-00000", rejects=1), make(root, "LJ-00001", rows=3)]
    assert Ledger(root, CONFIG).commit(manifests, DESCRIPTION)
    info = open_dataset(root)
    assert (info.num_utterances, info.rejects, info.splits) == (12, 1, {"train": 12})
    assert info.hours == pytest.approx(12 / 3600)
    assert info.phones == ("AH0", "sil")
    assert (info.sampling_rate, info.samples_per_frame) == (24000, 300)
    assert info.rejects_by_reason == {"audio/AudioError": 1}
    assert info.identity == identity(manifests)


def test_committing_twice_writes_once(root: str):
    manifests = [make(root, "LJ-00000"), make(root, "LJ-00001")]
    ledger = Ledger(root, CONFIG)
    assert ledger.commit(manifests, DESCRIPTION)
    before = Path(root, "dataset.json").stat().st_mtime_ns
    assert not ledger.commit(reversed(manifests), DESCRIPTION)
    assert Path(root, "dataset.json").stat().st_mtime_ns == before


def test_the_identity_is_of_the_contents_not_of_the_attempt(root: str):
    first, second = make(root, "LJ-00000"), make(root, "LJ-00000")
    assert first.shard != second.shard
    assert identity([first]) == identity([second])
    assert identity([first]) != identity([replace(first, sha256="other")])


def test_the_gate_is_recorded_and_complains(root: str):
    Ledger(root, CONFIG).commit([make(root, "LJ-00000", rejects=3)], DESCRIPTION)
    assert json.loads(Path(root, "dataset.json").read_text())["gate"] == {"max_reject_fraction": 0.05, "passed": False}
    info = open_dataset(root)
    with pytest.raises(DatasetError, match=r"3 of 12 utterances were rejected \(3 audio/AudioError\)"):
        info.check_gate(0.05)
    info.check_gate(0.25)


def test_an_empty_data_set_is_not_committed(root: str):
    manifest = make(root, "LJ-00000", rows=0, rejects=2)
    with pytest.raises(DatasetError, match="no utterance was kept: 2 audio/AudioError"):
        Ledger(root, CONFIG).commit([manifest], DESCRIPTION)
    assert not Path(root, "dataset.json").exists()


def test_a_smaller_selection_keeps_the_other_units_shards(root: str):
    manifests = [make(root, "LJ-00000"), make(root, "LJ-00001")]
    Ledger(root, CONFIG).commit(manifests[:1], DESCRIPTION)
    assert Path(root, manifests[1].shard).exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 1}'])
def test_a_damaged_data_set_is_named(root: str, text: str):
    storage.write_bytes(storage.join(root, "dataset.json"), text.encode())
    with pytest.raises(DatasetError, match="damaged"):
        open_dataset(root)


def test_another_schema_version_is_refused(root: str):
    storage.write_bytes(storage.join(root, "dataset.json"), b'{"schema_version": 99}')
    with pytest.raises(DatasetError, match="schema version 99"):
        open_dataset(root)
