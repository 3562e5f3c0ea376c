"""EPUB 2 and 3 to paragraphs: container.xml -> package document -> spine -> blocks of text.

An EPUB is a ZIP archive from a stranger: nothing is unpacked to the disk, sizes are checked before anything is
decompressed, and no XML entity is resolved (EPUB 3.3, https://www.w3.org/TR/epub-33/).
"""

import io
import posixpath
import zipfile
import zlib
from typing import Any
from urllib.parse import unquote

from wg2.books.book import Book, Chapter, Paragraph, cut_into_chapters
from wg2.books.furniture import authors_text
from wg2.books.xhtml import paragraphs, parse, tag
from wg2.errors import BookError

MOST_BYTES = 512 * 2**20
"""Unpacked size of an archive; Project Gutenberg's largest illustrated books have a quarter of it."""
MOST_FILES = 20_000
_COVERS = ("image/jpeg", "image/png")
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
        title = self._stated("title") or name.rpartition("/")[2].removesuffix(".epub")
        documents = [self._document(path) for path in self._spine()]
        cover = self._cover()
        chapters = _chapters(documents, title)
        if not chapters:
            images = sum(item.get("media-type", "").startswith("image/") for item in self._items.values())
            raise BookError(f"{name}: no text in {len(documents)} documents, and {images} images; wanted a book with "
                            "text: pages that were only scanned need OCR first")  # fmt: skip
        return Book(title, self._stated("creator"), self._stated("language") or "en", chapters, cover)

    def _all(self, path: str) -> list[Any]:
        steps = "/".join(f"*[local-name()='{step}']" for step in path.split("/"))
        found: list[Any] = self._root.xpath(f"./{steps}")
        return found

    def _stated(self, what: str) -> str:
        texts = (" ".join("".join(element.itertext()).split()) for element in self._all(f"metadata/{what}"))
        return next((text for text in texts if text), "")

    def _spine(self) -> list[str]:
        """Paths of the documents in reading order, without the table of contents."""
        refs = [ref for ref in self._all("spine/itemref") if ref.get("linear") != "no"]
        items = [self._items[ref.get("idref")] for ref in refs if ref.get("idref") in self._items]
        return [self._resolve(item) for item in items if "nav" not in (item.get("properties") or "").split()]

    def _resolve(self, item: Any) -> str:
        href = unquote(item.get("href", "")).partition("#")[0]
        return posixpath.normpath(posixpath.join(posixpath.dirname(self._path), href))

    def _document(self, path: str) -> list[Paragraph]:
        return list(paragraphs(self._archive.xml(path)))

    def _cover(self) -> bytes:
        """EPUB 3 marks the cover as a property, EPUB 2 by a `meta`."""
        named = {meta.get("content") for meta in self._all("metadata/meta") if meta.get("name") == "cover"}
        for key, item in self._items.items():
            is_cover = "cover-image" in (item.get("properties") or "").split() or key in named
            if is_cover and item.get("media-type") in _COVERS and self._archive.has(self._resolve(item)):
                return self._archive.read(self._resolve(item))
        return b""

    def _refuse_encrypted(self) -> None:
        """Fonts may be obfuscated; text that is encrypted cannot be read."""
        path = "META-INF/encryption.xml"
        if not self._archive.has(path):
            return
        locked = {unquote(element.get("URI", "")) for element in self._archive.xml(path).iter(tag("CipherReference"))}
        if locked & set(self._spine()):
            raise BookError(f"{self._archive.name}: its text is encrypted (DRM); wanted a book without")


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
