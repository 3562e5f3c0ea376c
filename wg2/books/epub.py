"""EPUB 2 and 3 to paragraphs: container.xml -> package document -> spine -> blocks of text.

An EPUB is a ZIP archive from a stranger: nothing is unpacked to the disk, sizes are checked before anything is
decompressed, and no XML entity is resolved (EPUB 3.3, https://www.w3.org/TR/epub-33/).
"""

import io
import logging
import posixpath
import re
import struct
import zipfile
import zlib
from typing import Any
from urllib.parse import unquote

from PIL import Image

from wg2.books.book import Book, Chapter, Paragraph, cut_into_chapters
from wg2.books.furniture import authors_text
from wg2.books.xhtml import paragraphs, parse, parse_page, printable, tag
from wg2.errors import BookError

MOST_BYTES = 512 * 2**20
"""Unpacked size of an archive; Project Gutenberg's largest illustrated books have a quarter of it."""
MOST_FILES = 20_000
MOST_TEXT_BYTES = 64 * 2**20
"""Unpacked size of all pages together; an encyclopaedia's."""
MOST_PARAGRAPHS = 500_000
"""Of a book; the Bible has 31,000 verses."""
MOST_PIXELS = 50_000_000
"""Of a cover."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?![a-z\d])", re.I)
_log = logging.getLogger(__name__)
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)


def read_epub(data: bytes, name: str) -> Book:
    """The book in an EPUB.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
    Raises:
        BookError: it is damaged, encrypted, a bomb, or has no text.
    """
    return _Package(_Archive(data, name)).book()


class _Archive:
    """The files of a ZIP archive, read with limits."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGED as error:
            raise BookError(f"{name}: not a readable EPUB ({error}); download it again") from error
        infos = self._zip.infolist()
        size = sum(info.file_size for info in infos)
        if size > MOST_BYTES or len(infos) > MOST_FILES:
            raise BookError(
                f"{name}: {len(data)} bytes that unpack to {size} in {len(infos)} files, wanted at most {MOST_BYTES} "
                f"in {MOST_FILES}: it looks like a ZIP bomb; nothing was unpacked"
            )

    def has(self, path: str) -> bool:
        return path in self._zip.NameToInfo

    def size(self, path: str) -> int:
        """Unpacked bytes of a file; 0 if there is none."""
        return self._zip.NameToInfo[path].file_size if self.has(path) else 0

    def read(self, path: str) -> bytes:
        """A file; never more than its header states, which was counted above."""
        try:
            return self._zip.read(path)
        except KeyError as error:
            raise BookError(f"{self.name}: {path} is missing from the EPUB; download it again") from error
        except _DAMAGED as error:
            raise BookError(f"{self.name}: {path} in the EPUB is damaged ({error}); download it again") from error

    def xml(self, path: str) -> Any:
        return parse(self.read(path), f"{self.name}: {path}")


class _Package:
    """The package document (OPF): what the book is made of."""

    def __init__(self, archive: _Archive) -> None:
        self._archive = archive
        self._path = _rootfile(archive)
        self._root = archive.xml(self._path)
        self._items = {item.get("id", ""): item for item in self._all("manifest/item")}

    def book(self) -> Book:
        self._refuse_encrypted()
        name = self._archive.name
        title = self._stated("title") or printable(name.rpartition("/")[2].removesuffix(".epub"))
        spine = self._spine()
        size = sum(self._archive.size(path) for path in spine)
        if size > MOST_TEXT_BYTES:
            raise BookError(f"{name}: {size} bytes of text, wanted at most {MOST_TEXT_BYTES}; nothing was unpacked")
        documents = self._documents(spine)
        cover = self._cover()
        chapters = _chapters(documents, title)
        if not chapters:
            images = sum(item.get("media-type", "").startswith("image/") for item in self._items.values())
            raise BookError(f"{name}: no text in {len(documents)} documents, and {images} images; wanted a book with "
                            "text: pages that were only scanned need OCR first")  # fmt: skip
        return Book(title, self._stated("creator"), _language(self._stated("language")), chapters, cover)

    def _all(self, path: str) -> list[Any]:
        steps = "/".join(f"*[local-name()='{step}']" for step in path.split("/"))
        found: list[Any] = self._root.xpath(f"./{steps}")
        return found

    def _stated(self, what: str) -> str:
        texts = (" ".join(printable("".join(element.itertext())).split()) for element in self._all(f"metadata/{what}"))
        return next((text for text in texts if text), "")

    def _spine(self) -> list[str]:
        """Paths of the documents in reading order, each once, without pictures and the table of contents."""
        refs = [ref for ref in self._all("spine/itemref") if ref.get("linear") != "no"]
        items = [self._items[ref.get("idref")] for ref in refs if ref.get("idref") in self._items]
        pages = [item for item in items if not item.get("media-type", "").startswith("image/")]
        paths = [self._resolve(item) for item in pages if "nav" not in (item.get("properties") or "").split()]
        return list(dict.fromkeys(paths))

    def _resolve(self, item: Any) -> str:
        href = unquote(item.get("href", "")).partition("#")[0]
        return posixpath.normpath(posixpath.join(posixpath.dirname(self._path), href))

    def _documents(self, paths: list[str]) -> list[list[Paragraph]]:
        found, room = [], MOST_PARAGRAPHS
        for path in paths:
            found.append(self._document(path))
            room -= len(found[-1])
            if room < 0:
                raise BookError(
                    f"{self._archive.name}: more than {MOST_PARAGRAPHS} paragraphs by {path}, wanted a book"
                )
        return found

    def _document(self, path: str) -> list[Paragraph]:
        page = parse_page(self._archive.read(path), f"{self._archive.name}: {path}")
        return [] if page is None else paragraphs(page)

    def _cover(self) -> bytes:
        """EPUB 3 marks the cover as a property, EPUB 2 by a `meta`."""
        named = {meta.get("content") for meta in self._all("metadata/meta") if meta.get("name") == "cover"}
        for key, item in self._items.items():
            is_cover = "cover-image" in (item.get("properties") or "").split() or key in named
            if is_cover and self._archive.has(path := self._resolve(item)):
                data = self._archive.read(path)
                if _is_cover(data):
                    return data
                _log.warning("%s: the cover %s is left out: wanted a JPEG or PNG that can be decoded, got %d bytes "
                             "that begin with %r", self._archive.name, path, len(data), data[:8])  # fmt: skip
        return b""

    def _refuse_encrypted(self) -> None:
        """Fonts may be obfuscated; text that is encrypted cannot be read."""
        path = "META-INF/encryption.xml"
        if not self._archive.has(path):
            return
        locked = {unquote(element.get("URI", "")) for element in self._archive.xml(path).iter(tag("CipherReference"))}
        if locked & set(self._spine()):
            raise BookError(f"{self._archive.name}: its text is encrypted (DRM); wanted a book without")


def _is_cover(data: bytes) -> bool:
    """Whether an image can be a cover. It is decoded whole: what breaks in the middle would break the M4B as well."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MOST_PIXELS:
                return False
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error):
        return False
    return True


def _language(stated: str) -> str:
    """A tag of BCP 47: 'en-US' for 'en_US'; 'en' where it is none ('English')."""
    found = _LANGUAGE.match(stated.replace("_", "-"))
    return found[0] if found else "en"


def _rootfile(archive: _Archive) -> str:
    found = next(archive.xml("META-INF/container.xml").iter(tag("rootfile")), None)
    if found is None or not found.get("full-path"):
        raise BookError(f"{archive.name}: META-INF/container.xml names no package document; is it an EPUB?")
    return str(found.get("full-path"))


def _chapters(documents: list[list[Paragraph]], title: str) -> tuple[Chapter, ...]:
    """Cut at the titles; a book without any is cut at its documents."""
    if any(paragraph.kind == "title" for document in documents for paragraph in document):
        return cut_into_chapters(authors_text(p for document in documents for p in document), title)
    texts = [[p for p in authors_text(document) if p.text] for document in documents]
    return tuple(Chapter(f"{title} {number}", tuple(text)) for number, text in enumerate(filter(None, texts), 1))
