"""What counts as understood: one spelling of both sides, and errors counted by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.evaluation.recognisers import error_rates
from wg2.evaluation.recognisers.comparison import joined

SAME = [
    ("mister smith", "Mr. Smith"),
    ("missus smith", "mrs smith"),
    ("Doctor grey", "dr. Gray,"),
    ("the colour of honour", "The color of honor."),
    ("nineteen ninety eight", "1998"),
    ("twenty five thousand two hundred and six", "25,206"),
    ("the fifteenth century", "The 15th century."),
    ("five dollars twenty cents", "$5.20"),
    ("ten o'clock", "10 o'clock"),
    ("three thirty PM", "3:30 p.m."),
    ("it's what they don't say", "It is what they do not say!"),
    ("to day or to morrow", "Today or tomorrow?"),
    ("the woodcutters", "the wood-cutters"),
    ("A B C", "ABC"),
    ("et cetera", "etc."),
    ("Hmm", "Hmm."),
    ("dated which was printed", "dated (which was printed)"),
]
WORDS = [
    "oh", "zero", "one", "ten", "twenty", "first", "twentieth", "hundred", "thousands", "millionth", "and", "point",
    "double", "minus", "dollars", "cents", "percent", "half", "um", "it's", "don't", "cat", "ABC", "o'clock", "mr.",
    "20", "3.5", "$5", "1,000", "10:30", "2nd", "a",
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "heard"), SAME)
def test_what_is_only_written_otherwise_is_no_error(wanted: str, heard: str):
    assert error_rates(wanted.split(), heard.split()) == {"wer": 0.0, "cer": 0.0}


@pytest.mark.parametrize(
    ("heard", "wer", "cer"),
    [("some birds sat", 0.0, 0.0), ("some words sat", 1 / 3, 2 / 14), ("some sat", 1 / 3, 6 / 14), ("", 1.0, 1.0),
     ("some birds sat down here", 2 / 3, 10 / 14), ("Some. Birds, sat!", 0.0, 0.0)],
    ids=["the same", "substituted", "deleted", "nothing", "inserted", "marks"],
)  # fmt: skip
def test_word_and_character_errors_are_counted_by_hand(heard: str, wer: float, cer: float):
    found = error_rates(("Some", "birds", "sat"), heard.split())
    assert (found["wer"], found["cer"]) == (pytest.approx(wer), pytest.approx(cer))


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [("mister smith", "mister brown"), ("twenty five", "26"), ("fifteenth", "fifth"), ("grey", "green"), ("Hmm", "Oh")],
)
def test_another_word_or_number_is_an_error(wanted: str, heard: str):
    assert error_rates(wanted.split(), heard.split())["wer"] >= 0.5


def test_words_are_joined_only_where_the_other_side_has_them_as_one():
    assert joined(["a", "b", "c", "to", "day", "in", "to"], ["abc", "today"]) == ["abc", "today", "in", "to"]
    assert joined(["to", "day"], []) == ["to", "day"]
    assert joined([], ["today"]) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
def test_words_have_no_error_against_themselves(words: list[str]):
    assert error_rates(words, words) == {"wer": 0.0, "cer": 0.0}
