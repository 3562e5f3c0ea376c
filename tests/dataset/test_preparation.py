import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from wg2 import storage
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.corpus import read
from wg2.dataset.ledger import Ledger
from wg2.dataset.manifest import Manifest
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.schema import validate
from wg2.dataset.splits import SplitRule
from wg2.dataset.units import Unit, cut
from wg2.errors import ConfigError

RECIPE = Recipe(AudioConfig(), TextConfig(), PrepareConfig(), samples_per_frame=300, layout="ljspeech")


@pytest.fixture(scope="module")
def unit(bundled_corpus: Path) -> Unit:
    """The first four sentences of the bundled corpus, one of them held out."""
    (unit,) = cut(read(CorpusConfig(limit=4)), str(bundled_corpus), 10)
    return unit.in_splits(SplitRule(2**62, 2**62))


def prepare(root: Path, unit: Unit, recipe: Recipe = RECIPE) -> Manifest:
    ledger = Ledger(str(root), recipe.settings())
    return UnitPreparer(ledger.root, ledger.config_hash, recipe).prepare(unit)


def table(root: Path, path: str) -> list[dict]:
    return pq.ParquetFile(root / path).read().to_pylist()


def test_a_unit_commits_its_rows_with_its_manifest(unit: Unit, tmp_path: Path):
    manifest = prepare(tmp_path, unit)
    assert Ledger(str(tmp_path), RECIPE.settings()).committed() == {unit.name: manifest}
    rows = table(tmp_path, manifest.shard)
    assert [row["utt_id"] for row in rows] == [entry.recording.utt_id for entry in unit.entries]
    assert [row["split"] for row in rows] == [entry.split for entry in unit.entries]
    assert manifest.num_samples == sum(row["num_samples"] for row in rows)
    for row in rows:
        validate(row, 300)
        assert row["source"]["uri"] == f"wavs/{row['utt_id']}.flac"
        assert 0 <= row["source"]["start_s"] < row["source"]["end_s"]


def voiced_share(rows: list[dict], phones: set[str]) -> float:
    """Of the frames of these phones."""
    shares = [np.repeat([phone.rstrip("012") in phones for phone in row["phones"]], row["durations"]) for row in rows]
    return float(np.mean(np.concatenate([np.array(row["f0"])[s] > 0 for row, s in zip(rows, shares, strict=True)])))


def test_the_pitch_is_that_of_a_voice_where_the_phones_have_one(unit: Unit, tmp_path: Path):
    rows = table(tmp_path, prepare(tmp_path, unit).shard)
    f0 = np.concatenate([row["f0"] for row in rows])
    low, middle, high = np.quantile(f0[f0 > 0], (0.02, 0.5, 0.98))
    assert 70 < low < middle < high < 300
    assert 0.4 < (f0 > 0).mean() < 0.9
    steps = np.abs(np.diff(np.log2(np.maximum(f0, 1))))[(f0[1:] > 0) & (f0[:-1] > 0)]
    assert np.quantile(steps, 0.95) < 0.15
    assert voiced_share(rows, {"AA", "AE", "AH", "AO", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "UW"}) > 0.8
    assert voiced_share(rows, {"S", "F", "SH", "TH", "T", "K", "P", "sil"}) < 0.4


def test_without_pitch_the_column_is_empty_and_the_settings_are_others(unit: Unit, tmp_path: Path):
    silent = replace(RECIPE, prepare=replace(RECIPE.prepare, pitch=False))
    rows = table(tmp_path, prepare(tmp_path, unit, silent).shard)
    assert [row["f0"] for row in rows] == [None] * len(rows)
    validate(rows[0], 300)
    with pytest.raises(ConfigError, match=r"prepare\.pitch: False, now True"):
        begun(tmp_path, silent, RECIPE).committed()


def begun(root: Path, first: Recipe, then: Recipe) -> Ledger:
    """The ledger of a data set that was begun with another recipe."""
    Ledger(str(root), first.settings()).begin()
    return Ledger(str(root), then.settings())


def test_without_pyworld_nothing_is_begun(unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ConfigError, match=r"wg2\[metrics\]"):
        prepare(tmp_path, unit)
    assert not list(tmp_path.iterdir())
    assert prepare(tmp_path, unit, replace(RECIPE, prepare=replace(RECIPE.prepare, pitch=False))).rows


def test_the_same_unit_gives_the_same_bytes_under_another_name(unit: Unit, tmp_path: Path):
    first, second = prepare(tmp_path / "a", unit), prepare(tmp_path / "b", unit)
    assert first.shard != second.shard
    assert (tmp_path / "a" / first.shard).read_bytes() == (tmp_path / "b" / second.shard).read_bytes()
    assert first.sha256 == second.sha256


def test_an_utterance_does_not_depend_on_the_others_of_its_unit(unit: Unit, tmp_path: Path):
    alone = Unit(unit.name, unit.entries[2:3])
    whole = table(tmp_path, prepare(tmp_path, unit).shard)
    assert table(tmp_path / "alone", prepare(tmp_path / "alone", alone).shard) == whole[2:3]


def broken(unit: Unit, folder: Path, bundled_corpus: Path) -> Unit:
    """The unit with its first recording unreadable, its second without words, its third with another text."""
    shutil.copytree(bundled_corpus / "wavs", folder)
    first, second, third, *rest = [
        replace(entry, recording=replace(entry.recording, uri=f"{folder}/{entry.recording.utt_id}.flac"))
        for entry in unit.entries
    ]
    Path(first.recording.uri).write_bytes(b"RIFF\0\0\0\0WAVE")
    second = replace(second, recording=replace(second.recording, text="???", text_norm=""))
    third = replace(third, recording=replace(third.recording, text="Word " * 400, text_norm=""))
    return Unit(unit.name, (first, second, third, *rest))


def test_every_recording_is_in_the_rows_or_in_the_rejects(unit: Unit, tmp_path: Path, bundled_corpus: Path):
    any_pace = replace(RECIPE, prepare=PrepareConfig(max_phones_per_s=1e9))
    manifest = prepare(tmp_path / "d", broken(unit, tmp_path / "wavs", bundled_corpus), any_pace)
    kept = [row["utt_id"] for row in table(tmp_path / "d", manifest.shard)]
    refused = {row["utt_id"]: row for row in table(tmp_path / "d", manifest.rejects_shard)}
    assert kept == [entry.recording.utt_id for entry in unit.entries[3:]]
    assert [refused[entry.recording.utt_id]["stage"] for entry in unit.entries[:3]] == ["audio", "text", "align"]
    assert manifest.rejects == {"audio/DamagedError": 1, "text/TextError": 1, "align/AlignmentError": 1}
    assert (manifest.rows, manifest.rejected) == (len(kept), 3)


def test_a_unit_without_a_good_recording_commits_too(unit: Unit, tmp_path: Path):
    entries = (replace(e, recording=replace(e.recording, uri=f"{tmp_path}/none.flac")) for e in unit.entries)
    lost = Unit(unit.name, tuple(entries))
    manifest = prepare(tmp_path, lost)
    assert (manifest.rows, manifest.rejected, manifest.shard) == (0, len(unit.entries), "")
    assert Ledger(str(tmp_path), RECIPE.settings()).committed() == {unit.name: manifest}


def test_row_groups_have_the_size_that_was_asked_for(unit: Unit, tmp_path: Path):
    recipe = replace(RECIPE, prepare=replace(RECIPE.prepare, row_group_rows=3))
    metadata = pq.ParquetFile(tmp_path / prepare(tmp_path, unit, recipe).shard).metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [3, 1]


def test_settings_that_do_not_shape_the_rows_do_not_count():
    prepare = replace(RECIPE.prepare, workers=7, max_reject_fraction=0.5, dry_run=True)
    same = replace(RECIPE, prepare=prepare, text=replace(RECIPE.text, grammar_cache="/elsewhere"))
    assert same.settings() == RECIPE.settings()
    assert replace(RECIPE, samples_per_frame=256).settings() != RECIPE.settings()
    assert replace(RECIPE, audio=AudioConfig(trim_db=30)).settings() != RECIPE.settings()


def test_a_lexicon_counts_by_its_contents(tmp_path: Path):
    for name, text in (("a", "WORD  W ER1 D\n"), ("b", "WORD  W ER1 D\n"), ("c", "WORD  W AO1 D\n")):
        storage.write_bytes(f"{tmp_path}/{name}", text.encode())
    a, b, c = (replace(RECIPE, text=TextConfig(lexicon=f"{tmp_path}/{name}")).settings() for name in "abc")
    assert a == b
    assert a != c


@pytest.fixture(scope="module")
def lj_speech(real_data: Path) -> Unit:
    """The 24 real recordings as one unit."""
    source = CorpusConfig(root=f"{real_data}/LJSpeech-1.1")
    (unit,) = cut(read(source), source.root, 100)
    return unit.in_splits(SplitRule(0, 0))


@pytest.mark.real
@pytest.mark.slow
def test_real_recordings_are_aligned(lj_speech: Unit, tmp_path: Path):
    manifest = prepare(tmp_path, lj_speech)
    assert manifest.rows + manifest.rejected == 24
    assert manifest.rows >= 22
    for row in table(tmp_path, manifest.shard):
        validate(row, 300)
        assert -24 < row["lufs"] < -22


@pytest.mark.real
def test_imported_alignments_give_the_same_invariants(lj_speech: Unit, real_data: Path, tmp_path: Path):
    grids = PrepareConfig(aligner="textgrid", textgrids=f"{real_data}/LJSpeech-1.1-mfa-textgrids")
    manifest = prepare(tmp_path, lj_speech, replace(RECIPE, prepare=grids))
    assert manifest.rows >= 22
    for row in table(tmp_path, manifest.shard):
        validate(row, 300)
        assert row["align"]["backend"] == "textgrid"
