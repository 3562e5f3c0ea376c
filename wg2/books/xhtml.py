"""XML and XHTML of a stranger's book: parsed without entities, network or limits switched off, read block by block."""

import html.entities
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from wg2.books.book import Kind, Paragraph
from wg2.errors import BookError

_TITLES, _HEADINGS = frozenset({"h1", "h2"}), frozenset({"h3", "h4", "h5", "h6"})
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
     "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u",
     "var", "wbr"}
)  # fmt: skip
"""Elements inside a paragraph; any other one begins or ends a paragraph."""
_SILENT = frozenset(
    {"head", "script", "style", "nav", "rt", "rp", "svg", "math", "audio", "video", "object", "template"}
)
_NOTES = frozenset({"noteref", "footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes", "pagebreak",
                    "toc", "doc-noteref", "doc-footnote", "doc-endnotes", "doc-pagebreak", "doc-toc"})  # fmt: skip
_NOTE_CLASS = re.compile(r"\b(?:footnotes?|fn(?:ote)?(?:ref|anchor)?|noteref|page-?num(?:ber)?s?)\b", re.I)
_NOTE_MARK = re.compile(r"[\[(]?(?:\d{1,4}|[*†‡§]+)[\])]?")
_AMPERSAND = re.compile(rb"&(?!#)([A-Za-z][A-Za-z0-9]*;)?")
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"


def parse(data: bytes, name: str) -> Any:
    """The root element. HTML's named characters are known, no other entity is; small damage is mended, as browsers do.

    Raises:
        BookError: there is no element at all.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)
    try:
        root = etree.fromstring(_AMPERSAND.sub(_character, data), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BookError(f"{name}: no readable XML ({error}); download the book again") from error
    if root is None:
        raise BookError(f"{name}: no XML in {len(data)} bytes; download the book again")
    return root


def tag(name: str) -> str:
    """`name` in any namespace, for lxml's `iter`."""
    return "{*}" + name


def paragraphs(root: Any) -> Iterator[Paragraph]:
    """The blocks of text, in order, each on one line; notes, page numbers and tables of contents are left out."""
    kind: Kind = "text"
    words = ""
    for event_kind, text in _events(root, "text"):
        if text is None:
            yield from _paragraph(words, kind)
            words = ""
            if event_kind == "break":
                yield Paragraph("", "break")
        else:
            kind, words = event_kind, words + text
    yield from _paragraph(words, kind)


def _paragraph(words: str, kind: Kind) -> Iterator[Paragraph]:
    text = " ".join(words.split())
    if text:
        yield Paragraph(text, kind)


def _events(element: Any, kind: Kind) -> Iterator[tuple[Kind, str | None]]:
    """(kind, piece of text), and (kind, None) where a paragraph ends."""
    name = _name(element)
    if name in _SILENT or _is_note(element, name):
        return
    if name == "br":
        yield kind, " "
        return
    inside = _kind(name, kind)
    block = name not in _INLINE
    if block:
        yield inside if name == "hr" else kind, None
    yield inside, element.text or ""
    for child in element:
        yield from _events(child, inside)
        yield inside, child.tail or ""
    if block:
        yield kind, None


def _kind(name: str, outside: Kind) -> Kind:
    if name in _TITLES:
        return "title"
    if name in _HEADINGS:
        return "heading"
    return "break" if name == "hr" else outside


def _name(element: Any) -> str:
    """Local name in lower case; '' for comments and instructions."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _is_note(element: Any, name: str) -> bool:
    if not name:
        return True
    types = {*(element.get(_EPUB_TYPE) or "").split(), *(element.get("role") or "").split()}
    if types & _NOTES or _NOTE_CLASS.search(element.get("class") or ""):
        return True
    return name == "sup" and _NOTE_MARK.fullmatch("".join(element.itertext()).strip()) is not None


def _character(entity: re.Match[bytes]) -> bytes:
    """A named character of HTML as a number, whatever the document's encoding; any other '&' as itself.

    Even '&amp;' becomes a number: after a page's first error, libxml2 drops the names.
    """
    name = (entity[1] or b"").decode()
    text = html.entities.html5.get(name)
    return "".join(f"&#{ord(letter)};" for letter in text).encode() if text else f"&#38;{name}".encode()
