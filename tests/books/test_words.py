"""Words as written and words as spoken."""

# ruff: noqa: RUF001 (look-alike quotes are the subject here)
import pytest

from wg2.alignment import Interval
from wg2.books.words import locate
from wg2.config import TextConfig
from wg2.text.frontend import Frontend


def spoken(labels: str) -> list[Interval]:
    return [Interval(label, float(index), index + 0.5) for index, label in enumerate(labels.split())]


@pytest.mark.parametrize(
    ("text", "labels", "wanted"),
    [
        ("Two birds.", "Two birds", [("Two", 0.0, 0.5), ("birds", 1.0, 1.5)]),
        ("Mr. Brown!", "Mister Brown", [("Mr", 0.0, 0.5), ("Brown", 1.0, 1.5)]),
        ("In 1843, he", "In eighteen forty three he", [("In", 0.0, 0.5), ("1843", 1.0, 3.5), ("he", 4.0, 4.5)]),
        ("salt & pepper", "salt and pepper", [("salt", 0.0, 1.5), ("pepper", 2.0, 2.5)]),
        ("& so", "and so", [("so", 0.0, 1.5)]),
        ("old-fashioned", "old fashioned", [("old", 0.0, 0.5), ("fashioned", 1.0, 1.5)]),
        ("“Don’t!” 'tis", "Don't 'tis", [("Don’t", 0.0, 0.5), ("tis", 1.0, 1.5)]),
        ("7", "seven", [("7", 0.0, 0.5)]),
        ("—", "and", []),
    ],
)
def test_written_words_have_the_times_of_what_is_spoken_for_them(text, labels, wanted):
    assert [(text[s.start : s.end], s.start_s, s.end_s) for s in locate(text, spoken(labels))] == wanted


@pytest.mark.parametrize(
    "text",
    [
        "It was May 3, 1843, at 5 p.m.!",
        "He paid $3.50 (and 2/3 more) to St. Paul & Co.",
        "No. 5, Henry VIII; 50% & so on",
    ],
)
def test_what_the_front_end_makes_of_a_text_is_covered_in_order(text: str):
    words = spoken(" ".join(word.text for word in Frontend(TextConfig()).words(text)))
    spans = locate(text, words)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    times = [time for span in spans for time in (span.start_s, span.end_s)]
    assert edges == sorted(edges)
    assert times == sorted(times)
    assert (times[0], times[-1]) == (words[0].start_s, words[-1].end_s)
