"""Conditions: what they say, and that nothing else is run."""

import pytest

from wg2.errors import ConfigError
from wg2.evaluation.promotion import judge, mentions_champion

CANDIDATE, CHAMPION = {"wer": 0.22, "dnsmos": 3.0}, {"wer": 0.20, "dnsmos": 3.04}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("wer<=1.2*champion and dnsmos>=champion-0.05", True),
        ("wer<=1.05*champion and dnsmos>=champion-0.05", False),
        ("wer<=1.05*champion or dnsmos>=champion-0.05", True),
        ("not wer < champion", True),
        ("dnsmos > -(1 - champion) / 2 + 1", True),
        ("(wer < 0.1 or wer > 0.2) and dnsmos >= 3", True),
    ],
)
def test_a_condition_compares_the_candidate_with_the_champion(condition: str, holds: bool):
    assert judge(condition, CANDIDATE, CHAMPION).holds is holds


def test_the_reason_names_every_comparison_with_its_figures():
    verdict = judge("wer<=1.05*champion and dnsmos>=champion-0.05", CANDIDATE, CHAMPION)
    assert verdict.why == "wer 0.22 <= 0.21: no; dnsmos 3 >= 2.99: yes"


@pytest.mark.parametrize(
    "condition",
    [
        "", "wer", "wer <", "1", "champion > wer", "loudness < 3", "wer < dnsmos", "wer == 1", "0 < wer < 1",
        "wer < 'a'", "wer < True", "wer < 1e999", "wer < 2 ** 99", "wer < (lambda: 1)()", "wer < __import__('os')",
        "__import__('os').system('true') < 1", "wer < champion.__class__", "wer < [1][0]", "wer < 1; wer",
        "wer < " + "-" * 600 + "1", "wer < " + "(" * 400 + "1", "wer < 1 if 1 else 0", "wer < 1\x00",
        "wer < " + "9" * 400,
    ],
)  # fmt: skip
def test_whatever_is_no_condition_is_refused(condition: str):
    with pytest.raises(ConfigError, match=r"synthesize\.promote-if"):
        judge(condition, CANDIDATE, CHAMPION)


@pytest.mark.parametrize(("condition", "mentions"), [("wer <= 0.5", False), ("wer<0.9 and dnsmos>champion-1", True)])
def test_only_a_condition_that_compares_needs_a_champion(condition: str, mentions: bool):
    assert mentions_champion(condition) is mentions
    if not mentions:
        assert judge(condition, CANDIDATE, {}).holds


def test_a_metric_that_was_not_measured_and_a_division_by_zero_are_errors():
    with pytest.raises(ConfigError, match="mcd was not measured"):
        judge("mcd < 3", CANDIDATE, CHAMPION)
    with pytest.raises(ConfigError, match="divides by zero"):
        judge("wer < champion / 0", CANDIDATE, CHAMPION)
