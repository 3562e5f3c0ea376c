"""What is in a book but is not the author's text: licences, marks of notes, page numbers, tables of contents."""

# ruff: noqa: RUF001 (look-alike characters are the subject here)
import re
from collections.abc import Iterable, Iterator

from wg2.books.book import Paragraph

_START = re.compile(r"\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG", re.I)
_END = re.compile(r"\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG|^End of (?:the )?Project Gutenberg", re.I)
_CREDITS = re.compile(r"(?:Produced|E-text prepared|This etext was prepared) by\b", re.I)
_NOTE = re.compile(r"\[(?:Illustration|Footnote|Transcriber|Sidenote|Page)\b", re.I)
_BREAK = re.compile(r"[\s*#~_=•·—–-]+")
_CONTENTS = re.compile(r"(?:table of )?contents\.?", re.I)

_MARKS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s?\[(?:\d{1,4}|[a-z]|[*†‡§]+|Pg ?\d+)\]", ""),  # notes: [1], [a], [*]
        (r"\s?\{\d{1,4}\}", ""),  # page numbers
        (r"(?<=[^\W\d])[¹²³⁰⁴-⁹]+|(?<=[.,;:!?\"'”’])[¹²³⁰⁴-⁹]+", ""),
        (r"(?<!\w)_([^_]+)_(?!\w)", r"\1"),  # _emphasis_ of plain text
        (r"(?<!\w)[*=]([^\s*=][^*=]*)[*=](?!\w)", r"\1"),
        (r"\s+", " "),
    )
)  # fmt: skip


def authors_text(paragraphs: Iterable[Paragraph]) -> list[Paragraph]:
    """The paragraphs that the author wrote, without the marks of notes and pages."""
    body = _without_licence(list(paragraphs))
    return [clean for paragraph in _without_contents(body) for clean in _cleaned(paragraph)]


def _without_licence(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """What stands between Project Gutenberg's two marks; everything where there are none."""
    starts = [index for index, paragraph in enumerate(paragraphs) if _START.search(paragraph.text)]
    begin = starts[0] + 1 if starts else 0
    ends = [index for index, paragraph in enumerate(paragraphs) if index >= begin and _END.search(paragraph.text)]
    body = paragraphs[begin : ends[0] if ends else None]
    return body[1:] if starts and body and _CREDITS.match(body[0].text) else body


def _without_contents(paragraphs: Iterable[Paragraph]) -> Iterator[Paragraph]:
    """Without a table of contents: from its title to the next one."""
    inside = False
    for paragraph in paragraphs:
        if paragraph.kind in ("title", "heading"):
            inside = _CONTENTS.fullmatch(paragraph.text.strip()) is not None
        if not inside:
            yield paragraph


def _cleaned(paragraph: Paragraph) -> Iterator[Paragraph]:
    if paragraph.kind == "break" or _BREAK.fullmatch(paragraph.text):
        yield Paragraph("", "break")
        return
    if _NOTE.match(paragraph.text):
        return
    text = paragraph.text
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    if text.strip():
        yield Paragraph(text.strip(), paragraph.kind)
