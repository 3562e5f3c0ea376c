"""book.json: what was made of a book, and of which takes and settings. Written last, it says that all of it is there.

It goes before anything that it describes changes, so it never speaks of files of another run.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from wg2 import storage
from wg2.books.assembly import ChapterAudio
from wg2.books.blocks import Row
from wg2.books.book import Book
from wg2.config import BookConfig
from wg2.errors import BookError

NAME = "book.json"
_CHAPTER_FILE = re.compile(r"\d{3,}\.(?:flac|m4a|vtt)")
_FINISHING = ("pause_", "target_lufs", "bitrate")
"""Settings that change the outputs, and no take."""

Problem = tuple[int, str, str]
"""Sentence, its text, and why a listener should check it."""


def of_book(
    book: Book, chapters: Sequence[ChapterAudio], sentences: int, problems: Iterable[Problem], folder: str
) -> dict[str, Any]:
    """What it says of the outputs; the job adds who spoke, and `made_from`.

    Args:
        book: its title and author.
        chapters: all of them; one without sound has no files.
        sentences: of the book.
        problems: what a listener should check.
        folder: where the outputs are; the M4B and the EPUB have its name.
    """
    voiced = [chapter for chapter in chapters if chapter.seconds]
    name = _last(folder)
    return {
        "title": book.title,
        "author": book.author,
        "seconds": sum(chapter.seconds for chapter in chapters),
        "sentences": sentences,
        "chapters": [{"title": c.title, "flac": _last(c.flac) if c.seconds else "", "seconds": c.seconds}
                     for c in chapters],
        "problems": [{"sentence": index + 1, "text": text, "why": why} for index, text, why in problems],
        "files": [*(_last(uri) for c in voiced for uri in (c.flac, c.m4a, c.vtt)), f"{name}.m4b", f"{name}.epub"],
    }  # fmt: skip


def made_from(book: Book, settings: BookConfig, key: str, rows: Iterable[Row]) -> str:
    """Digest of all that the outputs follow from: the text, the takes, pauses, loudness and bit rate.

    Args:
        book: with all that is shown.
        settings: how it is put together.
        key: of the takes.
        rows: the takes.
    """
    finish = {name: value for name, value in asdict(settings).items() if name.startswith(_FINISHING)}
    takes = [replace(row, block="", start=0) for row in sorted(rows, key=lambda row: row.index)]  # wherever they lie
    return hashlib.sha256(repr((book, key, takes, finish)).encode()).hexdigest()


def is_finished(folder: str, note: Mapping[str, Any]) -> bool:
    """Whether an earlier run made the same of the same, and all of it is there."""
    there = {_last(uri) for uri in storage.list_files(folder)}
    if NAME not in there or storage.read_bytes(storage.join(folder, NAME)) != _json(note):
        return False
    return there >= set(note["files"])


def clear(folder: str, note: Mapping[str, Any]) -> None:
    """Remove the note of other outputs, and then the files of chapters that are no more.

    Raises:
        StorageError: they cannot be removed.
    """
    storage.delete(storage.join(folder, NAME))
    for uri in storage.list_files(folder):
        if _CHAPTER_FILE.fullmatch(_last(uri)) and _last(uri) not in note["files"]:
            storage.delete(uri)


def write(folder: str, note: Mapping[str, Any]) -> None:
    """Write it, whole or not at all.

    Raises:
        StorageError: the place is not writable.
    """
    storage.write_bytes(storage.join(folder, NAME), _json(note))


def check_place(folder: str, book: Book) -> None:
    """Refuse to write over another book: the folder has the name of the source's file, and two may have the same.

    Raises:
        BookError: there is another book.
    """
    uri = storage.join(folder, NAME)
    if not storage.exists(uri):
        return
    there = json.loads(storage.read_bytes(uri))
    if (there["title"], there["author"]) != (book.title, book.author):
        raise BookError(f"{folder} has '{there['title']}' by {there['author'] or 'nobody'}, and this is '{book.title}' "
                        f"by {book.author or 'nobody'}; rename the file, or give another --dir")  # fmt: skip


def _json(note: Mapping[str, Any]) -> bytes:
    return (json.dumps(note, indent=1, ensure_ascii=False) + "\n").encode()


def _last(uri: str) -> str:
    return uri.rpartition("/")[2]
