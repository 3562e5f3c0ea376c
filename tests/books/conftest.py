"""A small book, spoken by a voice of random weights, for the tests of what is made of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_voice

from wg2 import Voice, load_voice
from wg2.books.assembly import ChapterAudio, book_gain, chapters_in_time, write_flac
from wg2.books.blocks import Blocks, Row
from wg2.books.book import Book
from wg2.books.m4b import write_m4a
from wg2.books.narrator import Narrator
from wg2.books.plan import Sentence, plan
from wg2.books.text import read_text
from wg2.config import BookConfig

TEXT = """Title: Small Birds
Author: A. Writer

CHAPTER I

Two birds sat on a wire. It was May 3, 1843! "Why not?" asked Mr. Brown.

They flew away—both of them.

* * *

The old-fashioned wire & its post stood still.

CHAPTER II: The End

Nobody spoke; nothing stirred.
"""


@dataclass(frozen=True)
class SpokenBook:
    book: Book
    sentences: tuple[Sentence, ...]
    rows: dict[int, Row]
    blocks: Blocks
    folder: Path
    chapters: tuple[ChapterAudio, ...]
    config: BookConfig


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    return load_voice(tiny_voice.save(tmp_path_factory.mktemp("voice") / "tiny"))


@pytest.fixture(scope="session")
def spoken_book(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> SpokenBook:
    folder, config = tmp_path_factory.mktemp("book"), BookConfig()
    book = read_text(TEXT.encode(), "birds.txt")
    sentences = plan(book, config.max_characters)
    narrator = Narrator(lambda sentences: [voice.say(text, 2, seed) for text, seed in sentences], None, 0, 1, 0.5)
    blocks = Blocks(f"{folder}/blocks")
    takes = narrator.narrate(sentences)
    rows = {row.index: row for part in (takes[:3], takes[3:]) for row in blocks.commit(part, 24_000)}
    chapters = chapters_in_time(book, sentences, rows, config, 24_000, str(folder))
    for chapter in chapters:
        write_flac(chapter, blocks, book_gain(rows.values(), config.target_lufs))
        write_m4a(chapter, config.bitrate)
    return SpokenBook(book, sentences, rows, blocks, folder, chapters, config)
