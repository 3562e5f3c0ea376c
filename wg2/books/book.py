"""What a book is, whatever file it came from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "title", "heading", "break"]
"""A title begins a chapter, a heading does not, a break is a change of scene without words."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, as plain text on one line.

    Attributes:
        text: what is shown and spoken; '' for a break.
        kind: what it is.
    """

    text: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Chapter:
    """A chapter.

    Attributes:
        title: for tables of contents and chapter marks; spoken only where it is a paragraph as well.
        paragraphs: in order.
    """

    title: str
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True)
class Book:
    """A book.

    Attributes:
        title: of the book.
        author: who wrote it, or ''.
        language: BCP 47 tag.
        chapters: in order.
        cover: JPEG or PNG, or b''.
    """

    title: str
    author: str
    language: str
    chapters: tuple[Chapter, ...]
    cover: bytes = b""


def cut_into_chapters(paragraphs: Iterable[Paragraph], title: str) -> tuple[Chapter, ...]:
    """Cut before each title; titles in a row are one chapter's. What stands before the first has the book's title."""
    parts: list[list[Paragraph]] = [[]]
    for paragraph in paragraphs:
        if paragraph.kind == "title" and any(before.kind != "title" for before in parts[-1]):
            parts.append([])
        parts[-1].append(paragraph)
    return tuple(Chapter(_title(part) or title, tuple(part)) for part in parts if any(p.text for p in part))


def _title(part: Iterable[Paragraph]) -> str:
    return ": ".join(paragraph.text.rstrip(".:") for paragraph in part if paragraph.kind == "title")
