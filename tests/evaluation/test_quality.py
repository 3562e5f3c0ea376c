"""The tables: means, intervals, classes and the order of the sentences."""

import numpy as np
import pytest

from wg2.evaluation.quality import estimate, quality


def row(utt_id: str, system: str, audio_s: float = 2.0, domain: str = "in-domain", **metrics: float | None) -> dict:
    return {"utt_id": utt_id, "system": system, "audio_s": audio_s, "domain": domain, **metrics}


def test_the_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(3.0, 0.5, 400)
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(400)
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.01), pytest.approx(values.mean() + half, abs=0.01)
    )  # fmt: skip


def test_the_interval_is_the_same_every_time_and_holds_the_mean():
    assert estimate([1.0, 2.0, 9.0]) == estimate([1.0, 2.0, 9.0])
    found = estimate([1.0, 2.0, 9.0])
    assert found.low < found.mean == 4.0 < found.high


def test_one_value_is_its_own_interval_and_nothing_has_none():
    found = estimate([2.5, float("nan")])
    assert (found.mean, found.low, found.high, found.files) == (2.5, 2.5, 2.5, 1)
    assert estimate([]) is None


def test_systems_keep_their_order_and_a_metric_that_nobody_has_is_no_column():
    rows = [
        row("a", "recording", wer=0.1),
        row("a", "50 steps", wer=0.3, mcd=5.0, rtf=2.0),
        row("a", "6 steps", mcd=None),
    ]
    (table,) = quality(rows).tables
    assert [metric.name for metric in table.metrics] == ["wer", "mcd", "rtf"]
    assert [system for system, _ in table.lines] == ["recording", "50 steps", "6 steps"]
    assert table.lines[0][1][1] is None
    assert table.lines[1][1][1].mean == 5.0


def test_each_length_class_and_origin_has_its_own_figures():
    rows = [row("a", "6 steps", 3.19, wer=0.1), row("b", "6 steps", 3.2, wer=0.3),
            row("c", "6 steps", 10.0, "foreign", wer=0.8)]  # fmt: skip
    tables = {table.title: table.lines[0][1][0].mean for table in quality(rows).tables}
    assert tables == {
        "": pytest.approx(0.4), "under 3.2 s": 0.1, "3.2-10 s": 0.3, "longer": 0.8,
        "in-domain": pytest.approx(0.2), "foreign": 0.8,
    }  # fmt: skip


def test_all_files_of_a_sentence_are_in_the_class_of_its_recording():
    rows = [row("a", "6 steps", 4.0, wer=0.5), row("a", "recording", 3.0, wer=0.1), row("b", "6 steps", 3.5, wer=0.9),
            row("b", "50 steps", 2.5, wer=0.7)]  # fmt: skip
    parts = {table.title: {system: line[0].mean for system, line in table.lines} for table in quality(rows).tables}
    assert parts["under 3.2 s"] == {"6 steps": 0.5, "recording": 0.1}
    assert parts["3.2-10 s"] == {"6 steps": 0.9, "50 steps": 0.7}


def test_the_frontier_starts_at_the_fastest_and_leaves_out_what_has_no_speed():
    rows = [
        row("a", "recording", wer=0.1),
        row("a", "50 steps", rtf=2.0, wer=0.2),
        row("a", "6 steps", rtf=0.3, wer=0.4),
    ]
    assert [(name, rtf, it["wer"].mean) for name, rtf, it in quality(rows).points] == [
        ("6 steps", 0.3, 0.4), ("50 steps", 2.0, 0.2)
    ]  # fmt: skip


def test_the_worst_sentence_comes_first_whatever_the_recognisers_trouble_with_recordings():
    rows = [row("a", "recording", wer=0.9), row("a", "6 steps", wer=0.2), row("b", "50 steps", wer=0.1),
            row("b", "6 steps", wer=0.5), row("c", "6 steps", wer=None)]  # fmt: skip
    assert quality(rows).worst == (("b", 0.5), ("a", 0.2))


def test_no_rows_are_no_tables():
    assert quality([]).tables == ()
