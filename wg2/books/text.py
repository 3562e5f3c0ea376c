"""Plain text to paragraphs: blank lines part them, and titles are known by their form."""

import re
from collections.abc import Iterator

from wg2.books.book import Book, Paragraph, cut_into_chapters
from wg2.books.furniture import authors_text
from wg2.errors import BookError

_NUMBER = r"(?:[IVXLC]+|\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|the first|the second|the third)"
_TITLE = re.compile(
    rf"(?:chapter|stave|book|part|canto|letter|volume|section)\s+{_NUMBER}\b.*"
    r"|(?:preface|prologue|epilogue|introduction|foreword|afterword|conclusion|appendix|(?:table of )?contents)\.?",
    re.I,
)
_STATED = re.compile(r"(?:Title|Author|Language):\s*\S")
_NUMERAL = re.compile(r"[IVXLC]+\.?|\d{1,3}\.?")
_LONGEST_TITLE = 90
"""Characters."""


def read_text(data: bytes, name: str) -> Book:
    """The book in a text file.

    Args:
        data: the file's bytes, UTF-8 with or without a mark in front.
        name: what to call it in a complaint, and the title where the text states none.
    Raises:
        BookError: it is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BookError(f"{name}: not UTF-8 at byte {error.start}; save the book as UTF-8, or give an EPUB") from error
    title = _stated("Title", text) or name.rpartition("/")[2].rpartition(".")[0] or name
    chapters = cut_into_chapters(authors_text(_paragraphs(text)), title)
    return Book(title, _stated("Author", text), "en", chapters)


def _stated(what: str, text: str) -> str:
    """'Author: ...' of a header; a text that only speaks of an author has no such line near its beginning."""
    found = re.search(rf"^{what}:[ \t]*(\S.*?)\s*$", text[:4000], re.M)
    return found[1] if found else ""


def _paragraphs(text: str) -> Iterator[Paragraph]:
    for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line.strip() for line in part.split("\n") if line.strip()]
        if lines and not all(_STATED.match(line) for line in lines):
            yield _paragraph(lines)


def _paragraph(lines: list[str]) -> Paragraph:
    text = " ".join(lines)
    if len(text) > _LONGEST_TITLE or len(lines) > 3 or any(_TITLE.fullmatch(line) for line in lines[1:]):
        return Paragraph(text)  # several titles are a table of contents
    if _NUMERAL.fullmatch(text) or (_TITLE.fullmatch(text) and _is_capitalised(text)):
        return Paragraph(text, "title")
    return Paragraph(text, "heading" if text.isupper() and len(text) > 3 else "text")


def _is_capitalised(text: str) -> bool:
    """'Chapter Two: The Long Way Home', and not 'Part one of the plan went well.'."""
    return all(word[0].isupper() or not word[0].isalpha() for word in text.split() if len(word) > 3)
