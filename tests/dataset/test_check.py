"""A look at a corpus tells what a data set of it would be, and writes nothing."""

from pathlib import Path

import numpy as np
import pytest
import small_set
import soundfile

from pipelines import prepare
from wg2 import corpus
from wg2.config import load
from wg2.dataset.check import check


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> list[str]:
    """Of four recordings: mono, left channel only, with a number in its text, without a file."""
    folder = tmp_path_factory.mktemp("looked-at")
    rows = small_set.bundled_rows(bundled_corpus, folder, 3)
    samples, rate = soundfile.read(folder / rows[1]["uri"])
    soundfile.write(folder / "left.wav", np.stack([samples, np.zeros_like(samples)], 1), rate)
    rows[1]["uri"] = "left.wav"
    rows[2]["text"] = "In 1984, " + rows[2]["text"]
    rows.append({"uri": "missing.wav", "text": "nobody said this"})
    config = small_set.write_manifest(folder, [{**row, "speaker": "anna"} for row in rows])
    before = sorted(folder.rglob("*"))
    found = list(check(corpus.read(config), small_set.RECIPE, 10))
    assert sorted(folder.rglob("*")) == before
    return found


def _of(lines: list[str], name: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == name]


def test_it_says_how_many_are_ready(lines: list[str]):
    assert lines[0] == "3 of 4 recordings are ready for the aligner"


def test_it_says_what_the_reader_took_for_what(lines: list[str]):
    assert _of(lines, "speaker")[0].startswith("anna: 4 (")
    assert len(_of(lines, "columns")) == 3
    assert all("uri '" in line and "text '" in line and "speaker 'anna'" in line for line in _of(lines, "columns"))


def test_each_channel_that_was_taken_is_named_with_examples(lines: list[str]):
    assert [line.partition(" (")[0] for line in _of(lines, "channel")] == ["mono: 2", "left: 1"]
    assert "left: 1 (left)" in _of(lines, "channel")


@pytest.mark.parametrize("measure", ["lufs", "dc", "snr_db", "clipped_fraction", "seconds"])
def test_each_measure_has_its_least_middle_and_greatest_with_a_name(lines: list[str], measure: str):
    (line,) = _of(lines, measure)
    values = [float(part.split()[0]) for part in line.split(", ")]
    assert values == sorted(values)
    assert [part.split()[1] for part in line.split(", ")] == ["least", "median", "greatest"]
    assert line.count("(") == 3


def test_a_text_that_is_spoken_otherwise_is_shown_with_its_phones(lines: list[str]):
    count, first, *_ = _of(lines, "text")
    assert count == "1 of 3 are spoken otherwise than written"
    written, spoken = first.partition("; ")[0].split(" -> ")
    assert "'1984, " in written
    assert spoken.startswith("'nineteen eighty")
    assert "N AY1 N T IY1 N | EY1 T IY0 | F AO1 R" in first


def test_what_is_refused_has_its_reason(lines: list[str]):
    assert _of(lines, "refused")[0] == "1 read/MissingError"
    assert "missing.wav" in _of(lines, "refused")[1]


@pytest.mark.parametrize("spelling", [["--check", "7"], ["--check=7"], ["--prepare.check", "7"]])
def test_both_spellings_are_understood(spelling: list[str]):
    assert load(spelling).prepare.check == 7


def test_the_job_ends_without_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    summary = prepare.run(load(["--dir", f"{tmp_path}/run", "--corpus.limit", "3", "--prepare.check", "2"]))
    assert (summary.utterances, summary.units_made) == (0, 0)
    assert not list(tmp_path.iterdir())
    assert "2 of 2 recordings are ready for the aligner" in capsys.readouterr().out
