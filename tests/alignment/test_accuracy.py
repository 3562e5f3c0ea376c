"""The measure of the aligners."""

import pytest

from wg2.alignment import Alignment, Interval, WordAlignment
from wg2.alignment.accuracy import boundary_errors, flite_phones, phones_and_pauses


def test_only_boundaries_between_matching_phones_without_a_pause_count():
    truth = flite_phones("pau\t0.2\nhh\t0.3\nax\t0.4\nl\t0.5\now\t0.6\npau\t0.7\nd\t0.8\naa\t0.9\n")
    found = [
        Interval("HH", 0.2, 0.31), Interval("AH0", 0.31, 0.42), Interval("L", 0.42, 0.5), Interval("OW1", 0.5, 0.66),
        Interval("sil", 0.66, 0.7), Interval("D", 0.7, 0.79), Interval("AO1", 0.79, 0.9),
    ]  # fmt: skip
    assert boundary_errors(found, truth) == pytest.approx([0.01, 0.02, 0.0])


def test_a_gap_between_words_is_a_pause():
    words = WordAlignment("a", (Interval("AH0", 0.1, 0.2),)), WordAlignment("b", (Interval("IY1", 0.3, 0.4),))
    assert [phone.label for phone in phones_and_pauses(Alignment(words, 0.0, "test"))] == ["sil", "AH0", "sil", "IY1"]
