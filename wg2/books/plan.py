"""A book as sentences to speak, in order, each with the pause after it."""

# ruff: noqa: RUF001 (look-alike quotes are the subject here)
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wg2.books.book import Book, Chapter, Kind, Paragraph
from wg2.config import BookConfig
from wg2.errors import BookError, TextError
from wg2.text.abbreviations import NEVER_LAST
from wg2.text.frontend import Frontend

Pause = Literal["clause", "sentence", "paragraph", "heading", "chapter"]

_END = re.compile(r"[.?!…][.?!…\"'”’»)\]]{0,9}\s+(?=[\"'“‘«(\[—]*[^\W\d_a-zß-öø-ÿ])")
_CUTS = tuple(
    re.compile(pattern)
    for pattern in (r"(?:[;:.?!…][\"'”’)]{0,9}\s|(?:—|--)[\"'”’)]{0,9})\s*", r",[\"'”’)]{0,9}\s+", r"\s+")
)
"""Where a sentence that is too long is cut: the first of these that it has. '$3.50' is one word."""
_LONGEST_ABBREVIATION = 20
"""Characters, and more than any has."""
_NUMERAL = re.compile(r"(?:[IVXLC]+|\d+)\.?")
_SHOWN = 5
"""Sentences that an error message lists."""


@dataclass(frozen=True)
class Sentence:
    """What is spoken in one go.

    Attributes:
        index: its number in the book: with the book's seed it decides the noise.
        text: as written.
        chapter: index of its chapter.
        paragraph: index of its paragraph in the chapter.
        kind: of the paragraph.
        pause: what follows it.
    """

    index: int
    text: str
    chapter: int
    paragraph: int
    kind: Kind
    pause: Pause

    def __str__(self) -> str:
        """What a message calls it."""
        return f"sentence {self.index + 1}"

    @property
    def spoken(self) -> str:
        """What the voice is given: a title that is a bare number says what it numbers ('IV' alone would be letters)."""
        bare = self.kind == "title" and _NUMERAL.fullmatch(self.text)
        return f"Chapter {self.text}" if bare else self.text


def plan(book: Book, max_characters: int) -> tuple[Sentence, ...]:
    """The sentences of a book.

    Args:
        book: what is read.
        max_characters: a longer sentence is cut.
    Raises:
        BookError: there is none.
    """
    found = [s for number, chapter in enumerate(book.chapters) for s in _of_chapter(number, chapter, max_characters)]
    if not found:
        raise BookError(f"{book.title}: no sentence in {len(book.chapters)} chapters; wanted a book with text")
    return tuple(replace(sentence, index=index) for index, sentence in enumerate(found))


def pause_s(pause: Pause, config: BookConfig) -> float:
    """Seconds of silence."""
    return float(getattr(config, f"pause_{pause}_s"))


def unspeakable(sentences: Sequence[Sentence], frontend: Frontend, max_characters: int) -> dict[int, str]:
    """Why some sentences cannot be spoken, by their index: words of another script, or no end to a word."""
    return {s.index: why for s in sentences if (why := _why_not(s.spoken, frontend, max_characters))}


def refuse(unspeakable_: dict[int, str], sentences: Sequence[Sentence]) -> None:
    """Complain about what cannot be spoken, with a list.

    Raises:
        BookError: there is something.
    """
    if unspeakable_:
        listed = "; ".join(f"sentence {index + 1}: {why}" for index, why in list(unspeakable_.items())[:_SHOWN])
        more = len(unspeakable_) - _SHOWN
        raise BookError(
            f"{len(unspeakable_)} of {len(sentences)} sentences cannot be spoken ({listed}"
            f"{f'; and {more} more' if more > 0 else ''}); --book.on-unspeakable skip leaves them out"
        )


def split_sentences(text: str) -> Iterator[str]:
    """The sentences of a paragraph. In doubt it does not cut: the voice pauses at every mark anyway."""
    start = 0
    for match in _END.finditer(text):
        if not _is_abbreviation(text[max(start, match.start() - _LONGEST_ABBREVIATION) : match.start() + 1]):
            yield text[start : match.end()].rstrip()
            start = match.end()
    yield text[start:].rstrip()


def _of_chapter(number: int, chapter: Chapter, max_characters: int) -> list[Sentence]:
    found: list[Sentence] = []
    for index, paragraph in enumerate(chapter.paragraphs):
        if paragraph.kind == "break" and found:
            found[-1] = replace(found[-1], pause="heading")
        found += _of_paragraph(number, index, paragraph, max_characters)
    return [*found[:-1], replace(found[-1], pause="chapter")] if found else []


def _of_paragraph(chapter: int, index: int, paragraph: Paragraph, max_characters: int) -> list[Sentence]:
    texts = [part for sentence in split_sentences(paragraph.text) for part in _parts(sentence, max_characters)]
    last: Pause = "paragraph" if paragraph.kind == "text" else "heading"
    found = [Sentence(0, text, chapter, index, paragraph.kind, pause) for text, pause in texts]
    return [*found[:-1], replace(found[-1], pause=last)] if found else []


def _parts(sentence: str, most: int) -> Iterator[tuple[str, Pause]]:
    """The sentence, cut where it is too long; what has no letter or digit is not spoken."""
    start = 0
    while len(sentence) - start > most:
        window = sentence[start : start + most + 1]
        cut = next((cut for pattern in _CUTS if (cut := _last_cut(window, pattern, most))), 0)
        if not cut:
            break  # a word without an end: `unspeakable` names it
        yield window[:cut].rstrip(), "clause"
        start += cut
    if re.search(r"\w", sentence[start:]):
        yield sentence[start:].lstrip(), "sentence"


def _last_cut(window: str, pattern: re.Pattern[str], most: int) -> int:
    """Where the last match within `most` characters ends, unless that leaves very little; 0 for none."""
    for match in reversed(list(pattern.finditer(window))):
        end = match.start() + len(match[0].rstrip())
        if end <= most and not _is_abbreviation(window[:end].rstrip()[-_LONGEST_ABBREVIATION:]):
            return match.end() if match.end() > most // 4 else 0
    return 0


def _is_abbreviation(head: str) -> bool:
    """Whether the dot at the end of `head` belongs to a title or to an initial."""
    word = re.search(r"(\w+)\.$", head)
    return word is not None and (word[1] in NEVER_LAST or (len(word[1]) == 1 and word[1].isupper()))


def _why_not(text: str, frontend: Frontend, max_characters: int) -> str:
    if len(text) > max_characters:
        return f"{len(text)} characters without a space: {text[:40]!r}..."
    try:
        frontend.words(text)
    except TextError as error:
        return str(error)
    return ""
