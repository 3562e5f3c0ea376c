"""What is in a book but is not the author's text: licences, marks of notes, page numbers, tables of contents."""

# ruff: noqa: RUF001 (look-alike characters are the subject here)
import re
from collections.abc import Iterable, Iterator

from wg2.books.book import Paragraph

_START = re.compile(r"\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG|\*\s*END[\s*]*THE SMALL PRINT", re.I)
_END = re.compile(r"\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG|^End of (?:the |this )?Project Gutenberg", re.I)
_CREDITS = re.compile(
    r"(?:This (?:e-?text|e-?book) was )?(?:Produced|Prepared|Transcribed|Scanned|Digiti[sz]ed|(?:E-?text|HTML) \w+)"
    r"(?: and \w+)? (?:by|from)\b",
    re.I,
)
_NOTE = re.compile(r"\[(?:Illustration|Footnote|Transcriber|Sidenote|Page|Pg)\b(?:[^\[\]]|\[[^\[\]]*\])*+\]", re.I)
_OPEN_NOTE = re.compile(r"\[(?:Illustration|Footnote|Transcriber|Sidenote|Page)\b", re.I)
_BREAK = re.compile(r"[\s*#~_=•·—–-]+")
_CONTENTS = re.compile(r"(?:table of )?contents\.?", re.I)
_LEADERS = re.compile(r".*\S(?:\s*\.[\s.]{2,}|\s{2,}|\s*…\s*)(?:\d{1,4}|[ivxlc]+)", re.I)
_PAGE = re.compile(r".*(?:\s\d{1,4}|\s[ivxlc]+)|\d{1,4}|[ivxlc]+", re.I)
_CHAPTER = re.compile(r"(?:chapter|stave|book|part|canto|letter|volume|section)\s+(?:[ivxlc]+|\d{1,3})\b", re.I)
_LONGEST_ENTRY = 90
"""Characters of a line in a table of contents."""

_RAISED = re.compile("\u207b?[¹²³⁰⁴-⁹]+")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_MEASURE = re.compile(r"\d ?(?:m|mm|cm|km|in|ft|yd|mi)$")
_BASE = re.compile(r"(?:(?<!\d)\d{1,3}|(?<![^\W\d_])[^\W\d_])$")
"""'10' and 'x'; '1843' is a year, and a raised number behind it a note."""
_MARKS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s?\[(?:\d{1,4}|[a-z]|[*†‡§]+|Pg ?\d+)\]", ""),  # notes: [1], [a], [*]
        (r"\s?\{\d{1,4}\}", ""),  # page numbers
        (r"(?<!\w)_([^_]+)_(?!\w)", r"\1"),  # _emphasis_ of plain text
        (r"(?<!\w)[*=]([^\s*=][^*=]*)[*=](?!\w)", r"\1"),
        (r"(?<=[\w.,;:!?\"'”’])(?:[†‡§]{1,3}|\*{1,3}(?![\w*]))", ""),  # notes: word*, word†
        (r"\s+", " "),
    )
)  # fmt: skip


def authors_text(paragraphs: Iterable[Paragraph]) -> list[Paragraph]:
    """The paragraphs that the author wrote, without the marks of notes and pages."""
    body = _without_licence(list(paragraphs))
    kept = [clean for paragraph in _without_contents(body) for clean in _cleaned(paragraph)]
    if any(letter.isalpha() for paragraph in kept for letter in paragraph.text):
        return kept
    return [clean for paragraph in body for clean in _cleaned(paragraph)]  # a book of contents alone


def _without_licence(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """What stands between Project Gutenberg's marks; everything where there are none."""
    starts = [index for index, paragraph in enumerate(paragraphs) if _START.search(paragraph.text)]
    first = starts[0] if starts else -1
    end = next((i for i, p in enumerate(paragraphs) if i > first and _END.search(p.text)), len(paragraphs))
    begin = max((index for index in starts if index < end - 1), default=-1) + 1  # one behind another: the last counts
    while starts and begin < end and _CREDITS.match(paragraphs[begin].text):
        begin += 1
    return paragraphs[begin:end]


def _without_contents(paragraphs: list[Paragraph]) -> Iterator[Paragraph]:
    """Without tables of contents: their titles, and the entries right behind them."""
    last = {_key(p.text): index for index, p in enumerate(paragraphs) if _is_title(p)}
    index = 0
    while index < len(paragraphs):
        paragraph, begin = paragraphs[index], index + 1
        index = begin
        if _is_title(paragraph) and _CONTENTS.fullmatch(paragraph.text.strip()):
            index = _end_of_contents(paragraphs, begin, last)
            follower = paragraphs[begin] if begin < len(paragraphs) else None
            if index > begin or follower is None or _is_title(follower):
                continue  # a list, or nothing: its entries were links that nobody reads
        yield paragraph


def _end_of_contents(paragraphs: list[Paragraph], begin: int, last: dict[str, int]) -> int:
    """Where the entries that begin at `begin` end; `begin` if there is none.

    An entry has the form of one, or the words of a title that follows. Short lines between two entries belong to the
    list, and so do three or more with a title behind them; a dedication behind the last entry does not.
    """
    end, index = begin, begin
    for index in range(begin, len(paragraphs)):
        if _is_entry(paragraphs[index], index, last):
            end = index + 1
        elif not _is_short(paragraphs[index]):
            break
    if end == begin and index - begin >= 3 and _is_title(paragraphs[index]):
        return index
    is_prose = end < len(paragraphs) and not _is_title(paragraphs[end]) and not _is_short(paragraphs[end])
    is_its_title = end > begin and is_prose and _is_title(paragraphs[end - 1])  # 'I', of which part two has another
    return end - 1 if is_its_title else end


def _is_entry(paragraph: Paragraph, index: int, last: dict[str, int]) -> bool:
    text = paragraph.text.strip()
    if _is_title(paragraph):
        return last.get(_key(text), -1) > index or _LEADERS.fullmatch(text) is not None
    if paragraph.kind == "break":
        return False
    if len(text) <= _LONGEST_ENTRY and (_LEADERS.fullmatch(text) or _PAGE.fullmatch(text)):
        return True
    lines = len(_CHAPTER.findall(text)) if _CHAPTER.match(text) and text[-1] not in ".?!" else 0
    if lines and len(text) / lines <= _LONGEST_ENTRY:
        return True
    return _is_made_of_titles(text, [title for title, i in last.items() if i > index])


def _is_made_of_titles(text: str, titles: list[str]) -> bool:
    """Whether nothing is left of it without the titles: 'The Wire The End' is a list whose lines were joined."""
    rest = _key(text)
    for title in sorted(titles, key=len, reverse=True):
        if len(title) > 3 or rest == title:
            rest = rest.replace(title, "")
    return not rest.strip("0123456789")


def _is_short(paragraph: Paragraph) -> bool:
    text = paragraph.text.strip()
    return paragraph.kind == "text" and len(text) <= _LONGEST_ENTRY and text[-1:] not in set(".?!:;,\"'”’")


def _is_title(paragraph: Paragraph) -> bool:
    return paragraph.kind in ("title", "heading")


def _key(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _cleaned(paragraph: Paragraph) -> Iterator[Paragraph]:
    if paragraph.kind == "break" or _BREAK.fullmatch(paragraph.text):
        yield Paragraph("", "break")
        return
    text = _NOTE.sub("", paragraph.text).strip()
    if _OPEN_NOTE.match(text):  # its bracket closes in another paragraph
        return
    text = _RAISED.sub(_raised, text)
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    if text.strip():
        yield Paragraph(text.strip(), paragraph.kind)


def _raised(match: re.Match[str]) -> str:
    """A raised number in words if it is an exponent or part of a fraction; the mark of a note is nothing."""
    number, text = match[0].translate(_LOWERED), match.string
    if text[match.end() : match.end() + 1] in ("/", "⁄"):
        return f" {number}" if text[: match.start()][-1:].isdigit() else number
    before = text[max(0, match.start() - 20) : match.start()]
    if _MEASURE.search(before):
        return match[0]  # the front end reads '5 km²'
    if _BASE.search(before):
        power = {"2": "squared", "3": "cubed"}.get(number, f"to the power {number.replace('-', 'minus ')}")
        return f" {power}"
    return ""
