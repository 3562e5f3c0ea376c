"""A model from the corpus itself: which part of it, and once."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording, read
from wg2.dataset.acoustic_model import trained
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.units import Entry, Unit
from wg2.errors import ConfigError
from wg2.text.phonemes import PHONES

pytestmark = pytest.mark.real
RECORDED = [f"arctic_a{end}" for end in ("0002_1592748530", "0002_1592748556", "0003_1592748500", "0003_1592748511")]


@pytest.fixture
def recordings(real_data: Path) -> list[Recording]:
    """Twelve recordings, in two speakers' names."""
    found = list(read(CorpusConfig(root=f"{real_data}/kathleen", limit=12)))
    return [replace(recording, speaker="ab/"[number % 2 :]) for number, recording in enumerate(found)]


def recipe_with(stand_in, hours: float) -> Recipe:
    prepare = PrepareConfig(aligner="mfa", mfa=replace(stand_in.config, train_on_hours=hours))
    audio = AudioConfig(trim_db=200)  # the stand-in knows recordings by their length
    return Recipe(audio, TextConfig(), prepare, samples_per_frame=300, layout="ljspeech")


def test_a_model_is_trained_once_on_as_many_hours_as_asked(stand_in, recordings, tmp_path: Path):
    recipe = recipe_with(stand_in, 14 / 3600)
    uri = trained(str(tmp_path), recipe, iter(recordings))
    assert Path(uri).read_bytes() == Path(stand_in.config.acoustic_model).read_bytes()
    (call,) = stand_in.calls()
    assert call["arguments"][0] == "train"
    assert 4 <= len(call["transcripts"]) <= 5, "14 s of sentences of some 3 s"
    assert len({Path(name).parent for name in call["transcripts"]}) == 2
    assert {phone for line in call["dictionary"].splitlines() for phone in line.split("\t")[1].split()} == PHONES

    assert trained(str(tmp_path), recipe, reversed(recordings)) == uri
    assert len(stand_in.calls()) == 1


def test_a_dry_run_names_the_model_and_trains_nothing(stand_in, recordings, tmp_path: Path):
    recipe = recipe_with(stand_in, 4 / 3600)
    dry = replace(recipe, prepare=replace(recipe.prepare, dry_run=True))
    uri = trained(str(tmp_path), dry, recordings)
    assert not Path(uri).exists()
    assert trained(str(tmp_path), recipe, recordings) == uri


def test_other_hours_or_recordings_give_another_model(stand_in, recordings, tmp_path: Path):
    first = trained(str(tmp_path), recipe_with(stand_in, 4 / 3600), recordings)
    assert trained(str(tmp_path), recipe_with(stand_in, 5 / 3600), recordings) != first
    changed = [replace(recording, text_norm="other words") for recording in recordings]
    assert trained(str(tmp_path), recipe_with(stand_in, 4 / 3600), changed) != first


def test_the_trained_model_is_part_of_the_settings_by_its_contents(stand_in, tmp_path: Path):
    recipe = recipe_with(stand_in, 1.0)
    other = tmp_path / "other.zip"
    other.write_bytes(Path(stand_in.config.acoustic_model).read_bytes())
    moved = replace(recipe.prepare.mfa, acoustic_model=str(other))
    assert replace(recipe, prepare=replace(recipe.prepare, mfa=moved)).settings() == recipe.settings()
    fewer = replace(recipe.prepare.mfa, train_on_hours=0.5)
    assert replace(recipe, prepare=replace(recipe.prepare, mfa=fewer)).settings() != recipe.settings()


def test_what_cannot_be_trained_on_is_one_line(stand_in, recordings, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WG2_STAND_IN_MODE", "exit1")
    with pytest.raises(ConfigError, match=r"mfa cannot train on \d+ utterances .*: exit 1: RuntimeError: something"):
        trained(str(tmp_path), recipe_with(stand_in, 4 / 3600), recordings)
    assert not (tmp_path / "models").exists()


def test_a_unit_is_aligned_by_mfa_and_its_failures_are_rejects(stand_in, real_data: Path, tmp_path: Path):
    """Of the first eight recordings four were recorded with the words that our front end gives them."""
    entries = tuple(Entry(r, r.utt_id, "train") for r in read(CorpusConfig(root=f"{real_data}/kathleen", limit=8)))
    preparer = UnitPreparer(str(tmp_path), "hash", recipe_with(stand_in, 0.0))
    manifest = preparer.prepare(Unit("kathleen-00000", entries))
    assert manifest.rows + manifest.rejected == 8
    kept = pq.ParquetFile(tmp_path / manifest.shard).read().to_pylist()
    assert [row["utt_id"] for row in kept] == RECORDED
    assert all(row["align"]["backend"] == "mfa" and row["align"]["score"] < -40 for row in kept)
    assert manifest.rejects == {"align/AlignmentError": 4}
