"""XML and XHTML of a stranger's book: parsed without entities, network or limits switched off, read block by block."""

# ruff: noqa: RUF001 (look-alike characters are the subject here)
import codecs
import html
import html.entities
import re
from typing import Any

from lxml import etree

from wg2.books.book import Kind, Paragraph
from wg2.errors import BookError

MOST_BYTES = 16 * 2**20
"""Of one document; the longest novels have a quarter of it."""
MOST_TAGS = 1_000_000
"""In one document: an element takes about 200 bytes of memory, and '<p>' has three."""
_TITLES, _HEADINGS = frozenset({"h1", "h2"}), frozenset({"h3", "h4", "h5", "h6"})
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em", "font", "i",
     "img", "ins", "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time",
     "tt", "u", "var", "wbr"}
)  # fmt: skip
"""Elements inside a paragraph; any other one begins or ends a paragraph."""
_SILENT = frozenset(
    {"head", "title", "script", "style", "nav", "rt", "rp", "svg", "math", "audio", "video", "object", "template"}
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_NOTES = frozenset({"footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes", "toc", "doc-footnote",
                    "doc-endnotes", "doc-toc"})  # fmt: skip
_NOTE_CLASS = re.compile(r"\b(?:footnotes?|fn|fnote)\b", re.I)
_MARKS = frozenset({"noteref", "pagebreak", "doc-noteref", "doc-pagebreak"})
_MARK_CLASS = re.compile(r"\b(?:fn(?:ote)?(?:ref|anchor)|noteref|page-?num(?:ber)?s?|page-?no)\b", re.I)
_NOTE_MARK = re.compile(r"[\[(]?(?:\d{1,4}|[a-z]|[*†‡§]+)[\])]?")
_LONGEST_MARK = 40
"""Characters, with the white space around it."""
_NUMBER_OR_SIGN = re.compile(r"(?:[-−–]?\d{1,4}|[\[(]\d{1,4}[\])]|[\[(]?[*†‡§]+[\])]?)")
_AFTER_A_WORD = re.compile(r"[^\W\d_]|[.,;:!?\"'”’)]")
_SUPERSCRIPTS = str.maketrans("0123456789-−–", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻⁻", "[]()*†‡§")
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"

_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\ud800-\udfff\ufffe\uffff]")
_FORBIDDEN_SPACE = re.compile("[\x0b\x0c\x1c-\x1f]")
_DECLARED = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([\w.-]+)|<meta[^>]*?\bcharset\s*=\s*["']?([\w.-]+)""")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>", re.I)
_HEAD = 20_000
"""Characters at the beginning, where a document's type is stated."""
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.S)
_AMPERSAND = re.compile(r"&(#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]*;)?")
_EMPTY = re.compile(r"""<([A-Za-z][\w:-]*)((?:[^<>"'/]|/(?!>)|"[^"]*"|'[^']*')*+)/>""")
_TITLE = re.compile(r"<title\b[^>]*>", re.I)
_LAST_TAGS = re.compile(r"</(?:body|html)\s*>", re.I)


def parse(data: bytes, name: str) -> Any:
    """The root element of an XML file that is not a page; what cannot be mended is left out.

    Raises:
        BookError: there is no element at all.
    """
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False
    )
    try:
        root = etree.fromstring(_without_entities(decode(data)).encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BookError(f"{name}: no readable XML ({error}); download the book again") from error
    if root is None:
        raise BookError(f"{name}: no XML in {len(data)} bytes; download the book again")
    return root


def parse_page(data: bytes, name: str) -> Any:
    """The root element of a page, or None if it is empty. What is no XML is read as HTML, which is never in error.

    Raises:
        BookError: it is far larger than any book's page, or nested too deep.
    """
    if len(data) > MOST_BYTES or data.count(b"<") > MOST_TAGS:
        raise BookError(f"{name}: a page of {len(data)} bytes and {data.count(b'<')} tags, wanted at most {MOST_BYTES} "
                        f"and {MOST_TAGS}; it was not read")  # fmt: skip
    text = _without_entities(decode(data))
    try:
        return etree.fromstring(text.encode(), etree.XMLParser(encoding="utf-8", resolve_entities=False))
    except etree.XMLSyntaxError:
        return _parse_html(text, name)


def _parse_html(text: str, name: str) -> Any:
    """As browsers do: 'x/>' ends only what is always empty, and there is text behind '</html>'."""
    text = _EMPTY.sub(lambda m: m[0] if m[1].lower() in _VOID else f"<{m[1]}{m[2]}></{m[1]}>", text)
    if "</title" not in text.lower():  # it would hold the rest of the page
        text = _TITLE.sub("", text)
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=True)  # huge: 2048 levels instead of 256
    try:
        root = etree.fromstring(_LAST_TAGS.sub("", text).encode(), parser)
    except etree.XMLSyntaxError:  # nothing in it
        return None
    if any("depth" in entry.message for entry in parser.error_log):
        raise BookError(f"{name}: elements inside one another, more than 2048 deep; download the book again")
    return root


def decode(data: bytes) -> str:
    """The text of an XML file: UTF-8 before what it declares, and single bytes of Windows-1252 inside UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        found = _DECLARED.search(data[:2000])
        declared = (found[1] or found[2]).decode() if found else "utf-8"
    if declared.lower().replace("-", "") != "utf8":
        try:
            return data.decode(declared)
        except (LookupError, ValueError):  # no such encoding, or not in it
            pass
    return data.decode("utf-8-sig", "wg2-windows-1252")


def printable(text: str) -> str:
    """Without the characters that no XML file may have."""
    return _FORBIDDEN.sub("", _FORBIDDEN_SPACE.sub(" ", text))


def tag(name: str) -> str:
    """`name` in any namespace, for lxml's `iter`."""
    return "{*}" + name


def paragraphs(root: Any) -> list[Paragraph]:
    """The blocks of text, in order, each on one line; notes, page numbers and tables of contents are left out."""
    return _Reader().read(root)


class _Reader:
    """Walks through a page and gathers what is said in it."""

    def __init__(self) -> None:
        self._found: list[Paragraph] = []
        self._words: list[str] = []  # of the paragraph so far
        self._open: list[tuple[Kind, bool]] = [("text", True)]  # elements; whether each is a paragraph of its own

    def read(self, root: Any) -> list[Paragraph]:
        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walk:
            if event == "start":
                if not self._begin(element, _name(element)):
                    walk.skip_subtree()  # its end and its tail come all the same
                continue
            if event == "end":
                self._end()
            if element is not root:
                self._say(element.tail or "")
        self._close()
        return self._found

    def _begin(self, element: Any, name: str) -> bool:
        """Whether to go inside."""
        kind = self._open[-1][0]
        if _is_silent(element, name) or self._is_note(element, name):
            self._open.append((kind, False))
            return False
        block = name not in _INLINE
        if block:
            self._close()
        self._open.append((_kind(name, kind), block))
        if name == "hr":
            self._found.append(Paragraph("", "break"))
        raised = name == "sup" and _NUMBER_OR_SIGN.fullmatch(_text(element)) is not None
        # raised numbers stay raised: `furniture` knows notes from exponents
        self._say(_text(element).translate(_SUPERSCRIPTS) if raised else " " if name == "br" else element.text or "")
        return not raised

    def _end(self) -> None:
        if self._open[-1][1]:
            self._close()
        self._open.pop()

    def _say(self, text: str) -> None:
        if text:
            self._words.append(text)

    def _close(self) -> None:
        text = " ".join(printable("".join(self._words)).split())
        if text:
            self._found.append(Paragraph(text, self._open[-1][0]))
        self._words.clear()

    def _is_note(self, element: Any, name: str) -> bool:
        """Whether it is the mark of a note: a link that is raised, or that follows a word without a space."""
        if name not in ("sup", "a") or not _NOTE_MARK.fullmatch(_text(element)):
            return False
        if name == "sup":
            return _name(element.getparent()) == "a" or next(element.iter(tag("a")), None) is not None
        before = self._words[-1][-1] if self._words else ""
        raised = next(element.iter(tag("sup")), None) is not None
        return raised or ("#" in element.get("href", "") and _AFTER_A_WORD.match(before) is not None)


def _kind(name: str, outside: Kind) -> Kind:
    if name in _TITLES:
        return "title"
    return "heading" if name in _HEADINGS else outside


def _name(element: Any) -> str:
    """Local name in lower case; '' for none, for comments and for instructions."""
    return element.tag.rpartition("}")[2].lower() if element is not None and isinstance(element.tag, str) else ""


def _text(element: Any) -> str:
    """What stands in it; no more than shows that it is too long for a mark: elements nest by the thousand."""
    text = ""
    for piece in element.itertext():
        text += piece
        if len(text) > _LONGEST_MARK:
            break
    return text.strip()


def _is_silent(element: Any, name: str) -> bool:
    types = {*(element.get(_EPUB_TYPE) or element.get("epub:type") or "").split(), *(element.get("role") or "").split()}
    classes = element.get("class") or ""
    if name in _SILENT or element.get("hidden") is not None or types & _NOTES or _NOTE_CLASS.search(classes):
        return True
    is_mark = bool(types & _MARKS) or _MARK_CLASS.search(classes) is not None
    return is_mark and len(_text(element)) < _LONGEST_MARK  # one that nobody closed holds the rest of the page


def _without_entities(text: str) -> str:
    """Markup with HTML's named characters as numbers, and no declaration of any other entity."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", printable(text))
    text = _DOCTYPE.sub("", text[:_HEAD], count=1) + text[_HEAD:]
    end = text.rfind("]]>") + len("]]>")  # a beginning without an end is not searched for one
    text = _CDATA.sub(lambda match: html.escape(match[1]), text[:end]) + text[end:]
    return _AMPERSAND.sub(_character, text).strip()


def _character(entity: re.Match[str]) -> str:
    """A character that is named or numbered as a number that XML allows; any other '&' as itself."""
    name = entity[1] or ""
    if name.startswith("#"):
        text = printable(html.unescape(entity[0]).replace("\ufffd", ""))
    else:
        text = html.entities.html5.get(name, f"&{name}")
    return "".join(f"&#{ord(letter)};" if letter in "&<>" or letter > "~" else letter for letter in text)


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "ignore"), error.end


codecs.register_error("wg2-windows-1252", _windows_1252)
