"""The tables: means, intervals, classes and the order of the sentences."""

import numpy as np
import pytest

from wg2.errors import ConfigError
from wg2.evaluation.quality import estimate, quality
from wg2.evaluation.scores import label, manner


def row(utt_id: str, system: str, audio_s: float = 2.0, domain: str = "in-domain", **metrics: float | None) -> dict:
    steps = int(system.split()[0]) if system.split()[0].isdigit() else None
    return {"utt_id": utt_id, "system": system, "steps": steps, "audio_s": audio_s, "domain": domain, **metrics}


def test_the_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(3.0, 0.5, 400)
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(400)
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.01), pytest.approx(values.mean() + half, abs=0.01)
    )  # fmt: skip


@pytest.mark.parametrize("files", [3, 4, 8, 40])
def test_the_interval_holds_the_true_mean_nineteen_times_in_twenty_for_few_files_too(files: int):
    rng, found = np.random.default_rng(11), []
    for _ in range(2000):
        it = estimate(rng.normal(0.3, 0.1, files))
        found.append(it.low <= 0.3 <= it.high)
    assert np.mean(found) == pytest.approx(0.95, abs=0.015)


def test_the_interval_of_skewed_errors_is_not_much_too_narrow():
    """Word error rates: most sentences right, a few very wrong."""
    rng = np.random.default_rng(12)
    found = [estimate(rng.exponential(0.2, 20)) for _ in range(2000)]
    assert np.mean([it.low <= 0.2 <= it.high for it in found]) > 0.90


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
    found = quality(rows)
    assert [(it.manner, it.steps, it.rtf, it.estimates["wer"].mean) for it in found.points] == [
        ("ddpm", 6, 0.3, 0.4), ("ddpm", 50, 2.0, 0.2)
    ]  # fmt: skip
    assert [(name, it["wer"].mean) for name, it in found.levels] == [("recording", 0.1)]


@pytest.mark.parametrize(
    ("sampler", "bf16", "folder", "wanted"),
    [
        ("ddpm", False, "6", "ddpm"),
        ("unipc", False, "6-unipc", "unipc"),
        ("ddpm", True, "6-bf16-true", "ddpm, bfloat16, true durations"),
        ("dpm-solver", True, "6-dpm-solver-bf16", "dpm-solver, bfloat16"),
    ],
)
def test_the_manner_of_a_label_is_what_it_says_beside_the_steps(sampler: str, bf16: bool, folder: str, wanted: str):
    assert manner(label({"steps": 6, "sampler": sampler, "bf16": bf16, "wav": f"{folder}/a.wav"})) == wanted


def test_systems_are_compared_on_the_sentences_that_all_of_them_have_and_the_count_is_told():
    rows = [row("a", "recording", wer=0.1), row("a", "6 steps", wer=0.2, rtf=1.0),
            row("b", "6 steps", wer=0.9, rtf=3.0), row("a", "Studio", wer=0.3)]  # fmt: skip
    found = quality(rows)
    assert [line[0].mean for _, line in found.tables[0].lines] == [0.1, 0.2, 0.3]
    assert found.tables[0].counts == (1, 2)
    assert found.points[0].estimates["wer"].mean == 0.2


def test_systems_without_a_sentence_in_common_keep_their_figures_each_with_its_own_count():
    (table, *_) = quality(
        [row("a", "6 steps", wer=0.2), row("b", "Studio", wer=0.4), row("c", "Studio", wer=0.6)]
    ).tables
    assert [(line[0].mean, line[0].files) for _, line in table.lines] == [(0.2, 1), (0.5, 2)]
    assert table.counts == (0,)


def test_the_worst_sentence_comes_first_whatever_the_trouble_with_recordings_and_other_systems():
    rows = [row("a", "recording", wer=0.9), row("a", "Studio", wer=1.2), row("a", "6 steps", wer=0.2),
            row("b", "50 steps", wer=0.1), row("b", "6 steps", wer=0.5), row("c", "6 steps", wer=None)]  # fmt: skip
    assert quality(rows).worst == (("b", 0.5), ("a", 0.2))


def test_no_rows_are_no_tables():
    assert quality([]).tables == ()


def test_error_rates_name_their_recogniser_and_other_metrics_do_not():
    found = quality([row("a", "6 steps", wer=0.2, dnsmos=3.0) | {"recogniser": "whisper tiny.en"}])
    assert found.recogniser == "whisper tiny.en"
    assert [metric.title(found.recogniser) for metric in found.tables[0].metrics] == ["WER (whisper tiny.en)", "DNSMOS"]


def test_figures_of_two_recognisers_are_not_put_into_one_table():
    rows = [row("a", "6 steps", wer=0.2) | {"recogniser": name} for name in ("whisper tiny.en", "pocketsphinx")]
    with pytest.raises(ConfigError, match=r"pocketsphinx and whisper tiny\.en are not comparable"):
        quality(rows)
