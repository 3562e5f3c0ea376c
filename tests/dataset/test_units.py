from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wg2 import audio
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording
from wg2.dataset.discovery import discover
from wg2.dataset.ledger import Ledger
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.splits import SplitRule
from wg2.dataset.units import Unit, cut, safe_name, unpack

RULE = SplitRule(0, 0)
SPEAKERS = st.lists(st.sampled_from(["LJ", "../x", "a/b", "a_b", ""]), max_size=40)


def recordings(speakers, root="/corpus"):
    return [Recording(f"id{n}", f"{root}/wavs/id{n}.wav", f"Text {n}", "", who) for n, who in enumerate(speakers)]


@given(SPEAKERS, st.integers(1, 7))
def test_every_recording_is_in_one_unit_of_its_speaker_in_corpus_order(speakers: list[str], size: int):
    units = list(cut(recordings(speakers), "/corpus", size))
    assert sorted(e.recording.utt_id for u in units for e in u.entries) == sorted(
        f"id{n}" for n in range(len(speakers))
    )
    assert len({unit.name for unit in units}) == len(units)
    for unit in units:
        assert 1 <= len(unit.entries) <= size
        assert len({entry.recording.speaker for entry in unit.entries}) == 1
        numbers = [int(entry.recording.utt_id[2:]) for entry in unit.entries]
        assert numbers == sorted(numbers)


@given(SPEAKERS)
def test_a_unit_survives_the_journey_to_a_worker(speakers: list[str]):
    for unit in cut(recordings(speakers), "/corpus", 3):
        assert unpack(unit.pack()) == unit
        assert unpack(unit.in_splits(RULE).pack()) == unit.in_splits(RULE)


@given(st.text(max_size=100))
def test_names_are_safe_in_a_path(speaker: str):
    name = safe_name(speaker)
    assert name
    assert not set(name) & set("/\\\0 ")
    assert not name.startswith(".")
    assert len(name) < 100


def test_speakers_that_look_alike_stay_apart():
    assert len({safe_name(name) for name in ("a/b", "a_b", "a b")}) == 3
    assert safe_name("LJ") == "LJ"


def only(units) -> Unit:
    (unit,) = units
    return unit


def test_the_inputs_do_not_depend_on_where_the_corpus_lies():
    here = only(cut(recordings(["LJ"] * 3, "/here"), "/here", 9))
    there = only(cut(recordings(["LJ"] * 3, "s3://there"), "s3://there/", 9))
    assert here.inputs_sha256 == there.inputs_sha256
    assert here.entries[0].source == "wavs/id0.wav"


def test_the_inputs_change_with_a_text_a_recording_its_file_or_a_split():
    base = recordings(["LJ"] * 3)
    unit = only(cut(base, "/corpus", 9)).in_splits(RULE)
    changed = (replace(base[2], **change) for change in ({"text": "Another"}, {"version": "7-7"}, {"start_s": 1.0}))
    for other in ([*base[:2], recording] for recording in changed):
        assert only(cut(other, "/corpus", 9)).in_splits(RULE).inputs_sha256 != unit.inputs_sha256
    assert only(cut(base[:2], "/corpus", 9)).in_splits(RULE).inputs_sha256 != unit.inputs_sha256
    assert unit.in_splits(SplitRule(2**64, 2**64)).inputs_sha256 != unit.inputs_sha256
    assert unit.in_splits(RULE).inputs_sha256 == unit.inputs_sha256


def test_a_plan_takes_less_memory_than_its_texts():
    unit = only(cut(recordings(["LJ"] * 256), "/corpus", 256))
    assert len(unit.pack()) < 256 * 40


def test_the_inputs_change_with_an_imported_alignment():
    unit, same, other = (
        only(cut(recordings(["LJ"] * 3), "/corpus", 9, textgrids))
        for textgrids in (str, str, lambda utt_id: f"{utt_id}{utt_id == 'id2'}")
    )
    assert unit.inputs_sha256 == same.inputs_sha256 != other.inputs_sha256
    assert unpack(other.pack()) == other


GRID = """File type = "ooTextFile short"
"TextGrid"
0 2
<exists> 2
"IntervalTier" "words" 0 2 1
0.5 1.5 "doctor"
"IntervalTier" "phones" 0 2 5
0.5 0.7 "D"
0.7 0.9 "AA1"
0.9 1.1 "K"
1.1 1.3 "T"
1.3 1.5 "ER0"
"""
IDS = ["A-1", "A-2", "A-3", "A-4"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four recordings of 'Doctor', two TextGrids."""
    tone = np.concatenate([np.zeros(8000), np.sin(np.arange(16_000)) / 2, np.zeros(8000)]).astype(np.float32)
    (tmp_path / "corpus/wavs").mkdir(parents=True)
    (tmp_path / "grids").mkdir()
    for utt_id in IDS:
        (tmp_path / f"corpus/wavs/{utt_id}.flac").write_bytes(audio.encode_flac(tone, 16_000))
    lines = [f"{utt_id}|Doctor|Doctor\n" for utt_id in IDS]
    (tmp_path / "corpus/metadata.csv").write_text("".join(lines), encoding="utf-8")
    for utt_id in IDS[:2]:
        (tmp_path / f"grids/{utt_id}.TextGrid").write_text(GRID, encoding="utf-8")
    return tmp_path / "corpus"


def run(corpus: Path) -> tuple[int, int, int]:
    """Units made, and utterances kept and refused, of a run into the same data set."""
    prepare = PrepareConfig(aligner="textgrid", textgrids=str(corpus.parent / "grids"), pitch=False)
    recipe = Recipe(AudioConfig(sampling_rate=16_000), TextConfig(), prepare, 200, "ljspeech")
    ledger = Ledger(str(corpus.parent / "dataset"), recipe.settings())
    work = discover(CorpusConfig(root=str(corpus), layout="ljspeech"), prepare, ledger)
    pending = [unpack(packed).in_splits(work.rule) for packed in work.pending.values()]
    prepared = [UnitPreparer(ledger.root, ledger.config_hash, recipe).prepare(unit) for unit in pending]
    manifests = [*work.done, *prepared]
    return len(pending), sum(m.rows for m in manifests), sum(m.rejected for m in manifests)


def test_textgrids_that_were_added_changed_or_moved_are_taken_by_the_next_run(corpus: Path):
    grids = corpus.parent / "grids"
    assert run(corpus) == (1, 2, 2)
    assert run(corpus) == (0, 2, 2), "unchanged inputs are not done again"
    for utt_id in IDS[2:]:
        (grids / f"{utt_id}.TextGrid").write_text(GRID, encoding="utf-8")
    assert run(corpus) == (1, 4, 0)
    assert run(corpus) == (0, 4, 0)
    (grids / "A-1.TextGrid").write_text(GRID.replace("doctor", "nurse"), encoding="utf-8")
    assert run(corpus) == (1, 3, 1)
    (grids / "A-1.TextGrid").unlink()
    (grids / "A").mkdir()
    (grids / "A/1.textgrid").write_text(GRID, encoding="utf-8")
    assert run(corpus) == (1, 4, 0)
