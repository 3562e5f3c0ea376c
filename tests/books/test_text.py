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


@pytest.mark.parametrize(
    "title",
    [
        "Chapter Eleven",
        "Chapter Twenty-One",
        "CHAPTER TWELVE",
        "Chapter eleven",
        "Chapter the Fourth",
        "CHAPTER THE TWENTY-THIRD",
        "CHAPTER THE LAST.",
        "Chapter 1: The boy who lived",
        "Chapter one: The boy who lived",
        "Chapter 101 — A walk",
        "CHAPTER II. In which a bird is seen upon a wire, and another one comes\nto sit beside it, which leads to much "
        "that will be told in\nthis chapter and in the one after it",
        "Chapter 3\nA walk in the park",
        "Part Two",
        "EPILOGUE",
    ],
)
def test_titles_of_chapters_are_known_in_all_their_forms(title: str):
    book = read_text(f"{title}\n\nTwo birds sat.\n\nChapter 200\n\nThey flew.".encode(), "birds.txt")
    assert [(p.kind, p.text) for p in book.chapters[0].paragraphs] == [
        ("title", title.replace("\n", " ")),
        ("text", "Two birds sat."),
    ]
    assert len(book.chapters) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Part one of the plan went well.",
        "Part two: then it all went wrong.",
        "Book II of the Iliad is long.",
        "Part 2\nof the plan went well.",
        "Chapter and verse were quoted.",
        "Letter 5 was lost.",
    ],
)
def test_a_sentence_that_begins_like_a_title_is_text(text: str):
    (chapter,) = read_text(text.encode(), "birds.txt").chapters
    assert [p.kind for p in chapter.paragraphs] == ["text"]


def test_a_title_right_above_its_text_is_a_title():
    text = "Two birds sat on a wire, and " * 5 + "flew."
    (chapter,) = read_text(f"Chapter 3\n{text}".encode(), "birds.txt").chapters
    assert [(p.kind, p.text) for p in chapter.paragraphs] == [("title", "Chapter 3"), ("text", text)]


def test_characters_that_no_book_may_have_are_left_out():
    book = read_text(
        b"Title: Small\x07 Birds\n\nCHAPTER I\x1a\n\nBi\x00rds\xef\xbf\xbf.\n\x0cCHAPTER II\n\nEnd.", "b.txt"
    )
    assert book.title == "Small Birds"
    assert [chapter.title for chapter in book.chapters] == ["CHAPTER I", "CHAPTER II"]
    assert book.chapters[0].paragraphs[1].text == "Birds."
    assert read_text(b"Birds.", "b\x07.txt").title == "b"


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
        (b"\xef\xbb\xbf <!DOCTYPE html><p>Birds.</p>", "is a web page"),
        (b'<?xml version="1.0"?>\n<html><p>Birds.</p></html>', "is a web page"),
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
