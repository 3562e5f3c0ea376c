"""Sentences, their pauses, and what cannot be spoken."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wg2.books.book import Book, Chapter, Paragraph
from wg2.books.plan import Sentence, plan, refuse, split_sentences, unspeakable
from wg2.config import TextConfig
from wg2.errors import BookError
from wg2.text.frontend import Frontend


def book(*paragraphs: Paragraph) -> Book:
    return Book("Birds", "", "en", (Chapter("One", paragraphs),))


def sentences(text: str, most: int = 400) -> tuple[Sentence, ...]:
    return plan(book(Paragraph(text)), most)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Two birds. A wire.", ["Two birds.", "A wire."]),
        ("Mr. Brown met Dr. J. Smith. They spoke.", ["Mr. Brown met Dr. J. Smith.", "They spoke."]),
        ('"Why not?" asked he. "No!" He left.', ['"Why not?" asked he.', '"No!"', "He left."]),
        ("He paused... and went on. Élan!", ["He paused... and went on.", "Élan!"]),
        ("It cost 3.50 pounds. See No. 5.", ["It cost 3.50 pounds.", "See No. 5."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, wanted: list[str]):
    assert list(split_sentences(text)) == wanted


@given(st.lists(st.sampled_from(["Two", "birds", "wire,", "sat;", "Mr.", "end.", '"No!"', "why?", "—"]), min_size=1))
def test_cutting_loses_no_word_and_keeps_their_order(words: list[str]):
    text = " ".join(words)
    assert " ".join(split_sentences(text)).split() == words
    if any(word != "—" for word in words):
        spoken = " ".join(sentence.text for sentence in sentences(text, 40)).split()
        assert [word for word in spoken if word != "—"] == [word for word in words if word != "—"]


def test_each_pause_is_by_what_comes_after_it():
    found = plan(
        book(
            Paragraph("Birds", "title"),
            Paragraph("One. Two."),
            Paragraph("Three."),
            Paragraph("", "break"),
            Paragraph("Four."),
        ),
        400,
    )
    assert [(s.text, s.pause) for s in found] == [
        ("Birds", "heading"), ("One.", "sentence"), ("Two.", "paragraph"), ("Three.", "heading"), ("Four.", "chapter"),
    ]  # fmt: skip
    assert [sentence.index for sentence in found] == list(range(5))


def test_a_title_that_is_a_bare_number_is_spoken_as_a_chapter():
    found = plan(book(Paragraph("IV.", "title"), Paragraph("V. Brown spoke.")), 400)
    assert [sentence.spoken for sentence in found] == ["Chapter IV.", "V. Brown spoke."]
    assert [word.text for word in Frontend(TextConfig()).words(found[0].spoken)] == ["Chapter", "four"]


def test_a_sentence_of_ten_thousand_characters_is_cut_at_its_marks():
    text = "the bird sang, and the wire swung; " * 286 + "the end."
    found = sentences(text)
    assert len(text) > 10_000
    assert max(len(sentence.text) for sentence in found) <= 400
    assert all(sentence.text.endswith(";") for sentence in found[:-1])
    assert {sentence.pause for sentence in found[:-1]} == {"clause"}
    assert " ".join(sentence.text for sentence in found) == text


@pytest.mark.parametrize("token", ["$3.50", "10:30", "Mr. Brown", "St. Paul", "J. Smith", "a.b.c", "wire--and"])
def test_a_cut_never_falls_inside_a_word_or_behind_an_abbreviation(token: str):
    text = f"the birds {token} " * 40 + "sang, and"
    for most in range(30, 70):
        found = [sentence.text for sentence in sentences(text, most)]
        assert " ".join(found).replace("-- ", "--") == text
        assert token == "wire--and" or not any(part.endswith((".", "$3", ":")) for part in found)


def test_a_dash_is_a_place_to_cut():
    assert [s.text for s in sentences("two birds sat—then they flew off", 20)] == [
        "two birds sat—",
        "then they flew off",
    ]


@pytest.mark.parametrize("piece", ["the bird sang ", "Mr. A ", ".", "wire;", '."'])
def test_cutting_takes_time_by_the_length_of_the_text(piece: str):
    text = "x " + piece * (500_000 // len(piece))
    begin = time.monotonic()
    sentences(text)
    assert time.monotonic() - begin < 5


def test_what_cannot_be_spoken_is_listed_with_its_reason():
    found = sentences("Two birds. Он ушёл домой. " + "A" * 10_000 + " Why not?")
    reasons = unspeakable(found, Frontend(TextConfig()), 400)
    assert [found[index].text[:7] for index in reasons] == ["Он ушёл", "AAAAAAA"]
    with pytest.raises(BookError, match=r"2 of \d sentences cannot be spoken") as caught:
        refuse(reasons, found)
    assert "ушёл" in str(caught.value)
    assert "10009 characters without a space" in str(caught.value)
    assert "on-unspeakable skip" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_book_of_marks_alone_has_no_sentence():
    with pytest.raises(BookError, match="no sentence"):
        sentences("... — !")
