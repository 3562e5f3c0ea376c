"""Plain text to paragraphs: blank lines part them, and titles are known by their form."""

# ruff: noqa: RUF001 (look-alike dashes are the subject here)
import re
from collections.abc import Iterator

from wg2.books.book import Book, Kind, Paragraph, cut_into_chapters
from wg2.books.furniture import authors_text
from wg2.books.xhtml import printable
from wg2.errors import BookError

_ONES = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_FIRSTS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
_TENTHS = (
    "tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|"
    "twentieth|thirtieth|fortieth|fiftieth|sixtieth|seventieth|eightieth|ninetieth"
)
_NUMBER = (
    rf"(?:[IVXLC]+|\d{{1,3}}|(?:one |a )?hundred|(?:{_TENS})(?:[\s-]+(?:{_ONES}))?|{_TEENS}|{_ONES}"
    rf"|the\s+(?:(?:{_TENS})[\s-]+)?(?:{_FIRSTS})|the\s+(?:{_TENTHS}|last))"
)
_NUMBERED = re.compile(
    rf"(?:chapter|stave|book|part|canto|letter|volume|section)\s+(?P<number>{_NUMBER})\b(?P<rest>.*)", re.I
)
_NAMED = re.compile(
    r"(?:preface|prologue|epilogue|introduction|foreword|afterword|conclusion|appendix|(?:table of )?contents)\.?", re.I
)
_SUBTITLE = re.compile(r"\s*[.:—–-]+\s*(?![a-zß-öø-ÿ])(?=.)")
_STATED = re.compile(r"(?:Title|Author|Language):\s*\S")
_NUMERAL = re.compile(r"[IVXLC]+\.?|\d{1,3}\.?")
_LONGEST_TITLE = 90
"""Characters."""
_LONGEST_NUMBERED_TITLE = 250
"""Characters: 'CHAPTER II. In which ...'."""


def read_text(data: bytes, name: str) -> Book:
    """The book in a text file.

    Args:
        data: the file's bytes, UTF-8 with or without a mark in front.
        name: what to call it in a complaint, and the title where the text states none.
    Raises:
        BookError: it is not UTF-8.
    """
    try:
        text = printable(data.decode("utf-8-sig").replace("\f", "\n\n"))  # a new page
    except UnicodeDecodeError as error:
        raise BookError(f"{name}: not UTF-8 at byte {error.start}; save the book as UTF-8, or give an EPUB") from error
    title = _stated("Title", text) or printable(name.rpartition("/")[2].rpartition(".")[0] or name)
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
            yield from _paragraph(lines)


def _paragraph(lines: list[str]) -> Iterator[Paragraph]:
    """One, or two: a title may stand on a line above its text without a blank one between."""
    text, rest = " ".join(lines), " ".join(lines[1:])
    if any(_is_numbered(line) or _NAMED.fullmatch(line) for line in lines[1:]):
        yield Paragraph(text)  # several titles are a table of contents
    elif rest and _is_bare(lines[0]) and not rest[0].islower():
        if len(rest) > _LONGEST_TITLE:
            yield Paragraph(lines[0], "title")
            yield Paragraph(rest)
        else:
            yield Paragraph(text, "title")
    else:
        yield Paragraph(text, _kind(text, len(lines)))


def _kind(text: str, lines: int) -> Kind:
    if len(text) <= _LONGEST_NUMBERED_TITLE and _is_numbered(text):
        return "title"
    if len(text) > _LONGEST_TITLE or lines > 3:
        return "text"
    if _NUMERAL.fullmatch(text) or (_NAMED.fullmatch(text) and _is_capitalised(text)):
        return "title"
    return "heading" if text.isupper() and len(text) > 3 else "text"


def _is_bare(line: str) -> bool:
    """'Chapter 3', 'CHAPTER TWELVE.'."""
    found = _NUMBERED.fullmatch(line)
    return found is not None and line[0].isupper() and not found["rest"].strip(".: ")


def _is_numbered(text: str) -> bool:
    """'Chapter Two: The long way', 'Chapter II The Way Home', and not 'Part one of the plan went well.'."""
    found = _NUMBERED.fullmatch(text)
    if found is None or not text[0].isupper():
        return False
    is_sentence = found["number"].islower() and text.endswith(".")  # 'Part two: it went wrong.'
    has_subtitle = _SUBTITLE.match(found["rest"]) is not None and not is_sentence
    return _is_bare(text) or has_subtitle or (len(text) <= _LONGEST_TITLE and _is_capitalised(text))


def _is_capitalised(text: str) -> bool:
    return all(word[0].isupper() or not word[0].isalpha() for word in text.split() if len(word) > 3)
