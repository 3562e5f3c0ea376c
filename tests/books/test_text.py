"""Plain text to chapters."""

from pathlib import Path

import pytest

from wg2.books.source import read_book
from wg2.books.text import read_text
from wg2.errors import BookError, StorageError

GUTENBERG = """The Project Gutenberg EBook of Small Birds, by A. Writer

Title: Small Birds

Author: A. Writer

*** START OF THIS PROJECT GUTENBERG EBOOK SMALL BIRDS ***

Produced by Somebody Kind

SMALL BIRDS

CONTENTS

Chapter I: The Wire
Chapter II: The End

CHAPTER I
THE WIRE

Two _small_ birds[1] sat on
a wire.{12}

[Illustration: a wire]

* * *

[Footnote 1: Of what kind nobody knows.]

They flew.² Part one of the plan went well.

CHAPTER II

The end came.

End of the Project Gutenberg EBook of Small Birds, by A. Writer

*** END OF THIS PROJECT GUTENBERG EBOOK SMALL BIRDS ***

You may copy it.
"""


def test_only_what_the_author_wrote_is_left_of_a_gutenberg_text():
    book = read_text(GUTENBERG.encode(), "birds.txt")
    assert (book.title, book.author) == ("Small Birds", "A. Writer")
    assert [chapter.title for chapter in book.chapters] == ["Small Birds", "CHAPTER I THE WIRE", "CHAPTER II"]
    assert [(p.kind, p.text) for p in book.chapters[1].paragraphs] == [
        ("title", "CHAPTER I THE WIRE"),
        ("text", "Two small birds sat on a wire."),
        ("break", ""),
        ("text", "They flew. Part one of the plan went well."),
    ]
    assert book.chapters[2].paragraphs[1].text == "The end came."


def test_titles_in_a_row_begin_one_chapter():
    book = read_text(b"BOOK ONE\n\nCHAPTER I.\n\nBirds.\n\nII\n\nMore birds.\n", "birds.txt")
    assert [chapter.title for chapter in book.chapters] == ["BOOK ONE: CHAPTER I", "II"]


def test_a_text_without_any_title_is_one_chapter():
    book = read_text(b"Two birds.\r\n\r\nA wire.\r\n", "/somewhere/birds.txt")
    assert [(chapter.title, len(chapter.paragraphs)) for chapter in book.chapters] == [("birds", 2)]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "no words"),
        (b" \n\n * * * \n", "no words"),
        (b"caf\xe9", "not UTF-8 at byte 3"),
        (b"%PDF-1.7", "is a PDF"),
        (b"PK\x03\x04 and no more", "not a readable EPUB"),
    ],
)
def test_what_is_no_book_is_refused_in_one_line(tmp_path: Path, data: bytes, named: str):
    path = tmp_path / "birds.txt"
    path.write_bytes(data)
    with pytest.raises(BookError, match=named) as caught:
        read_book(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_book_is_refused():
    with pytest.raises(StorageError, match=r"/nowhere\.txt"):
        read_book("/nowhere.txt")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chapters", "first", "last"),
    [
        ("a_christmas_carol", 7, "A CHRISTMAS CAROL", "God bless Us, Every One!"),
        ("turn_of_the_screw_pg209", 25, "THE TURN OF THE SCREW", "his little heart, dispossessed, had stopped."),
    ],
)
def test_real_books_begin_and_end_with_their_author(real_data: Path, name: str, chapters: int, first: str, last: str):
    book = read_book(str(real_data / "text" / f"{name}.txt"))
    assert len(book.chapters) == chapters
    assert book.chapters[0].paragraphs[0].text == first
    assert book.chapters[-1].paragraphs[-1].text.endswith(last)
    words = " ".join(p.text for chapter in book.chapters for p in chapter.paragraphs)
    assert "Gutenberg" not in words
