from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from wg2.corpus import Recording
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
