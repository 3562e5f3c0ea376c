"""Reading along: each chapter as WebVTT, and the book as an EPUB 3 with media overlays, exact to the word.

The voice's durations say when each word begins. In the EPUB the clips of a chapter cover its audio without a gap (a
word's clip ends where the next one begins), because reading systems play clip after clip and would skip the pauses.

WebVTT: https://www.w3.org/TR/webvtt1/; media overlays: https://www.w3.org/TR/epub-33/#sec-media-overlays.
"""

import html
import io
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wg2 import storage
from wg2.books.assembly import ChapterAudio, Timed
from wg2.books.book import Book, Paragraph
from wg2.books.m4b import PNG
from wg2.books.words import Span, locate

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all files in the archive: the same book, the same bytes."""
_SHORTEST_CLIP_MS = 10


@dataclass(frozen=True)
class Piece:
    """A piece of a sentence's text.

    Attributes:
        text: as written.
        id: of a spoken word; '' for what stands between words.
    """

    text: str
    id: str = ""


@dataclass(frozen=True)
class Clip:
    """A spoken word in the chapter's audio.

    Attributes:
        id: of the word in the text.
        begin_s: where its clip begins.
        end_s: where it ends, which is where the next one begins.
    """

    id: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Line:
    """A paragraph as a page shows it.

    Attributes:
        kind: of the paragraph.
        sentences: (id, pieces) of each.
    """

    kind: str
    sentences: tuple[tuple[str, tuple[Piece, ...]], ...]


def write_vtt(chapter: ChapterAudio) -> None:
    """Write a chapter's subtitles: a cue a sentence, with the time of every word in it.

    Raises:
        StorageError: the place is not writable.
    """
    cues = [_cue(timed) for timed in chapter.sentences if timed.words]
    storage.write_bytes(chapter.vtt, ("\n\n".join(["WEBVTT", *cues]) + "\n").encode())


def write_epub(uri: str, book: Book, chapters: Sequence[ChapterAudio], identity: str) -> None:
    """Write the read-along book, with the chapters' M4As in it.

    Args:
        uri: of the file.
        book: its text, title and cover.
        chapters: the audio and its times.
        identity: of this recording; the same one, the same identifier.
    Raises:
        StorageError: an M4A cannot be read, or the place is not writable.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        _add(target, "mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        for name, data in _text_files(book, chapters, identity):
            _add(target, name, data.encode(), zipfile.ZIP_DEFLATED)
        if book.cover:
            _add(target, f"EPUB/{_cover_name(book)}", book.cover, zipfile.ZIP_STORED)
        for chapter in _with_words(chapters):
            _add(target, f"EPUB/{_name(chapter)}.m4a", storage.read_bytes(chapter.m4a), zipfile.ZIP_STORED)
    storage.write_bytes(uri, archive.getvalue())


def clips(chapter: ChapterAudio) -> tuple[Clip, ...]:
    """The words of a chapter in time, covering its audio from beginning to end.

    A word of 0 frames takes 10 ms of its neighbours': EPUB wants a clip to end after it begins.
    """
    found = [(_word_id(timed, index), span.start_s)
             for timed in chapter.sentences for index, span in enumerate(_spans(timed))]  # fmt: skip
    edges = [0, *(round(1000 * start) for _, start in found[1:]), round(1000 * chapter.seconds)]
    edges = _apart(edges) if found else []
    return tuple(Clip(name, a / 1000, b / 1000) for (name, _), a, b in zip(found, edges, edges[1:], strict=False))


def _apart(edges: list[int]) -> list[int]:
    """Growing by `_SHORTEST_CLIP_MS` or more between the same ends, or by as much as there is room for."""
    last, first, count = edges[-1], edges[0], len(edges) - 1
    step = min(_SHORTEST_CLIP_MS, (last - first) // count)
    apart: list[int] = []
    for number, edge in enumerate(edges):
        least = apart[-1] + step if apart else first
        apart.append(min(max(edge, least), last - (count - number) * step))
    return apart


def lines(book: Book, chapter: ChapterAudio) -> tuple[Line, ...]:
    """The chapter as it is shown: every paragraph of the source, words marked where they were spoken."""
    paragraphs = book.chapters[chapter.sentences[0].sentence.chapter].paragraphs
    timed = {index: list(group) for index, group in groupby(chapter.sentences, key=lambda t: t.sentence.paragraph)}
    return tuple(_line(paragraph, timed.get(index, [])) for index, paragraph in enumerate(paragraphs))


def _line(paragraph: Paragraph, timed: Iterable[Timed]) -> Line:
    sentences = tuple((f"s{entry.sentence.index}", _pieces(entry)) for entry in timed)
    if not sentences and paragraph.text:
        return Line(paragraph.kind, (("", (Piece(paragraph.text),)),))
    return Line(paragraph.kind, sentences)


def _pieces(timed: Timed) -> tuple[Piece, ...]:
    """The sentence's text, cut at its words."""
    text, pieces, end = timed.sentence.text, [], 0
    for index, span in enumerate(_spans(timed)):
        pieces += [Piece(text[end : span.start]), Piece(text[span.start : span.end], _word_id(timed, index))]
        end = span.end
    return tuple(piece for piece in (*pieces, Piece(text[end:])) if piece.text)


def _spans(timed: Timed) -> tuple[Span, ...]:
    return locate(timed.sentence.text, timed.words)


def _word_id(timed: Timed, index: int) -> str:
    return f"w{timed.sentence.index}-{index}"


def _name(chapter: ChapterAudio) -> str:
    return f"{chapter.number:03d}"


def _cover_name(book: Book) -> str:
    return "cover.png" if book.cover.startswith(PNG) else "cover.jpg"


# ------------------------------------------------------------------------------------------------------------ WebVTT


def _cue(timed: Timed) -> str:
    return f"{_timestamp(timed.start_s)} --> {_timestamp(timed.end_s)}\n{_timed_text(timed)}"


def _timed_text(timed: Timed) -> str:
    """The text with a timestamp before each word; WebVTT wants them to grow, and to lie inside the cue."""
    text, parts, end, last = timed.sentence.text, [], 0, _timestamp(timed.start_s)
    for span in _spans(timed):
        stamp = _timestamp(span.start_s)
        mark = f"<{stamp}>" if last < stamp < _timestamp(timed.end_s) else ""
        parts += [html.escape(text[end : span.start], quote=False), mark,
                  html.escape(text[span.start : span.end], quote=False)]  # fmt: skip
        end, last = span.end, max(last, stamp)
    return "".join([*parts, html.escape(text[end:], quote=False)])


def _timestamp(seconds: float) -> str:
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


# -------------------------------------------------------------------------------------------------------------- EPUB


def _text_files(book: Book, chapters: Sequence[ChapterAudio], identity: str) -> Iterable[tuple[str, str]]:
    templates = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True,
                            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    shared = {
        "book": book,
        "chapters": chapters,
        "cover": _cover_name(book) if book.cover else "",
        "identifier": uuid.uuid5(uuid.NAMESPACE_URL, identity).urn,
        "seconds": sum(chapter.seconds for chapter in _with_words(chapters)),
    }
    for name in ("container.xml", "package.opf", "nav.xhtml", "style.css"):
        folder = "META-INF" if name == "container.xml" else "EPUB"
        yield f"{folder}/{name}", templates.get_template(name).render(shared)
    for chapter in chapters:
        page = {**shared, "chapter": chapter, "lines": lines(book, chapter), "clips": clips(chapter)}
        for suffix in ("xhtml", "smil") if chapter.words else ("xhtml",):
            yield f"EPUB/{_name(chapter)}.{suffix}", templates.get_template(f"chapter.{suffix}").render(page)


def _with_words(chapters: Iterable[ChapterAudio]) -> list[ChapterAudio]:
    return [chapter for chapter in chapters if chapter.words]


def _add(target: zipfile.ZipFile, name: str, data: bytes, compression: int) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = compression
    target.writestr(info, data)
