"""A file to a book, whatever its format."""

import re

from wg2 import storage
from wg2.books.book import Book
from wg2.books.epub import read_epub
from wg2.books.text import read_text
from wg2.errors import BookError

_ZIP = b"PK\x03\x04"
_FOREIGN = {b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "a Word document", b"{\\rtf": "an RTF document"}
_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype html|html|head|body)\b", re.I | re.S
)


def read_book(uri: str) -> Book:
    """The book at `uri`: what begins as a ZIP archive is an EPUB, anything else plain text.

    Raises:
        StorageError: the file cannot be read.
        BookError: it is no book, it is damaged, or it has no words.
    """
    data = storage.read_bytes(uri)
    for magic, what in _FOREIGN.items():
        if data.startswith(magic):
            raise BookError(f"{uri}: is {what}; wanted an EPUB or plain text: convert it first")
    if _WEB_PAGE.match(data[:10_000]):
        raise BookError(f"{uri}: is a web page (HTML); wanted an EPUB or plain text: convert it first")
    is_epub = data.startswith(_ZIP) or uri.lower().endswith(".epub")
    book = read_epub(data, uri) if is_epub else read_text(data, uri)
    if not any(letter.isalpha() for chapter in book.chapters for p in chapter.paragraphs for letter in p.text):
        raise BookError(f"{uri}: no words in it ({len(data)} bytes); wanted a book with text")
    return book
