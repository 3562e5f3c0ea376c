"""What is left out of a book, and what only looks like it."""

import pytest

from wg2.books.book import Paragraph
from wg2.books.furniture import authors_text
from wg2.books.text import read_text
from wg2.config import TextConfig
from wg2.text.frontend import Frontend


def kept(text: str) -> list[str]:
    """The paragraphs that are read of a plain text."""
    return [p.text for chapter in read_text(text.encode(), "b.txt").chapters for p in chapter.paragraphs]


def cleaned(text: str) -> list[str]:
    return [p.text for p in authors_text([Paragraph(text)])]


BOOK = "CHAPTER I\n\nBirds sang.\n\nCHAPTER II\n\nThey flew."
WORDS = ["CHAPTER I", "Birds sang.", "CHAPTER II", "They flew."]


@pytest.mark.parametrize(
    "entries",
    [
        "Chapter I\nChapter II",
        "CHAPTER I\n\nCHAPTER II",
        "Chapter I ..... 1\n\nChapter II ..... 20",
        "The Wire   1\nThe End   20",
        "A bird\n\nA wire\n\nAn end",
        "I. The Wire . . . 1\n\nA bird\n\nII. The End . . . xx",
    ],
)
def test_a_list_of_contents_is_left_out_with_its_title(entries: str):
    assert kept(f"CONTENTS\n\n{entries}\n\n{BOOK}") == WORDS


def test_a_table_of_contents_is_left_out_cell_by_cell():
    cells = [Paragraph(text) for text in ("The Wire", "1", "The End", "xx")]
    chapters = [Paragraph("The Wire", "title"), Paragraph("Birds sang."), Paragraph("The End", "title")]
    assert authors_text([Paragraph("Contents", "title"), *cells, *chapters]) == chapters


def test_a_dedication_and_a_preface_behind_the_contents_are_kept():
    text = f"CONTENTS\n\nPREFACE\n\nCHAPTER I\n\nCHAPTER II\n\nTo my mother\n\nPREFACE\n\nI wrote it.\n\n{BOOK}"
    assert kept(text) == ["To my mother", "PREFACE", "I wrote it.", *WORDS]
    prose = "This preface has a sentence that no list of contents would ever have, and nobody takes it for one."
    assert kept(f"CONTENTS\n\nChapter I\nChapter II\n\n{prose}\n\n{BOOK}") == [prose, *WORDS]


def test_prose_under_a_heading_that_says_contents_is_kept():
    prose = "He opened the box, and looked at what lay in it for a long time."
    assert kept(f"{BOOK}\n\nCONTENTS\n\n{prose}") == [*WORDS, "CONTENTS", prose]
    assert kept(f"CONTENTS\n\n{prose}") == ["CONTENTS", prose]
    assert kept("CONTENTS\n\nA bird\n\nA wire\n\nA post\n\nAn end")[0] == "CONTENTS"
    numbers = "Book I, Book II and Book III of this work came out years ago, and nobody has read them since then."
    assert kept(f"CONTENTS\n\n{numbers}\n\n{BOOK}") == ["CONTENTS", numbers, *WORDS]
    assert kept(f"CONTENTS\n\nBook II is long.\n\n{BOOK}") == ["CONTENTS", "Book II is long.", *WORDS]


def test_a_book_of_contents_alone_keeps_its_words():
    assert kept("CONTENTS\n\nThe Wire   1\n\nThe End   20") == ["CONTENTS", "The Wire 1", "The End 20"]


def test_numbered_chapters_of_two_parts_keep_the_first_number():
    text = "CONTENTS\n\nThe Wire   1\nThe End   9\n\nI\n\nIt was a bird that sang.\n\nPART TWO\n\nI\n\nIt flew away."
    assert kept(text) == ["I", "It was a bird that sang.", "PART TWO", "I", "It flew away."]


@pytest.mark.parametrize(
    "header",
    [
        "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\n\nWhy is it here?\n\n"
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*\n\n*** START OF THE PROJECT GUTENBERG EBOOK BIRDS ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK BIRDS ***\n\nTranscribed from the 1915 edition by A. Person, email "
        "a@b.org\n\nProduced by Somebody",
    ],
    ids=["small print", "both", "transcribed"],
)
def test_gutenberg_headers_of_every_age_are_left_out(header: str):
    assert kept(f"Licence.\n\n{header}\n\n{BOOK}\n\nEnd of the Project Gutenberg Etext of Birds") == WORDS


def test_a_mark_at_the_end_does_not_leave_an_empty_book():
    assert kept(f"{BOOK}\n\n*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*")[:4] == WORDS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[Illustration] Birds sang.", ["Birds sang."]),
        ("[Page 12] Birds [Illustration: a wire [old]] sang.", ["Birds sang."]),
        ("[Illustration: a wire]", []),
        ("[Footnote 1: Of what kind", []),
        ("Birds* sang, and† flew.‡", ["Birds sang, and flew."]),
        ("*Birds* sang 2*3 songs.", ["Birds sang 2*3 songs."]),
        ("Birds² sang.³ It was 1843².", ["Birds sang. It was 1843."]),
        ("10⁶ birds", ["10 to the power 6 birds"]),
        ("10⁻⁶ of it", ["10 to the power minus 6 of it"]),
        ("x² and 2x³", ["x squared and 2x cubed"]),
        ("5 km² of land", ["5 km² of land"]),
        ("1¹/2 birds and ¹/2 wire", ["1 1/2 birds and 1/2 wire"]),
    ],
)
def test_notes_go_and_numbers_stay(text: str, wanted: list[str]):
    assert cleaned(text) == wanted


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("10⁶ birds", "ten to the power six birds"),
        ("1¹/2 birds", "one and a half birds"),
        ("x² is", "x squared is"),
        ("5 km² of", "five square kilometers of"),
    ],
)
def test_exponents_and_fractions_are_said_as_a_reader_says_them(text: str, spoken: str):
    assert " ".join(word.text for word in Frontend(TextConfig()).words(cleaned(text)[0])) == spoken
