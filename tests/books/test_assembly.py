"""Chapters: order, loudness, times, and a memory that does not grow."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wg2 import audio
from wg2.books.blocks import Blocks, pending_blocks
from wg2.books.narrator import Take
from wg2.books.plan import pause_s
from wg2.config import TextConfig
from wg2.errors import StorageError
from wg2.text.frontend import Frontend


def test_a_chapter_is_its_sentences_in_order_with_their_pauses(spoken_book):
    rate = 24_000
    for number, chapter in enumerate(spoken_book.chapters):
        samples, found_rate = soundfile.read(chapter.flac, dtype="float32")
        mine = [sentence for sentence in spoken_book.sentences if sentence.chapter == number]
        assert found_rate == rate
        assert [timed.sentence for timed in chapter.sentences] == mine
        assert len(samples) == round(chapter.seconds * rate)
        end = 0
        for timed in chapter.sentences:
            row = spoken_book.rows[timed.sentence.index]
            start = round(timed.start_s * rate)
            assert start == end
            spoken = samples[start : start + row.num_samples]
            original = spoken_book.blocks.waveform(row)
            assert np.corrcoef(spoken, original)[0, 1] > 0.999
            pause = round(pause_s(timed.sentence.pause, spoken_book.config) * rate)
            end = start + row.num_samples + pause
            assert not samples[end - pause : end].any()
        assert end == len(samples)


def test_the_book_has_the_wanted_loudness(spoken_book):
    whole = np.concatenate([soundfile.read(chapter.flac, dtype="float32")[0] for chapter in spoken_book.chapters])
    at_peak = np.abs(whole).max() > audio.PEAK - 0.01
    assert at_peak or audio.loudness(whole, 24_000) == pytest.approx(spoken_book.config.target_lufs, abs=1.0)


def test_every_word_of_the_source_has_its_time_in_order(spoken_book):
    frontend = Frontend(TextConfig())
    for chapter in spoken_book.chapters:
        wanted = [word.text for timed in chapter.sentences for word in frontend.words(timed.sentence.text)]
        words = [word for timed in chapter.sentences for word in timed.words]
        assert [word.label for word in words] == wanted
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= chapter.seconds


def test_a_block_counts_only_with_its_manifest_and_its_audio(tmp_path: Path):
    blocks = Blocks(str(tmp_path))
    takes = [Take(index, np.full(2400, 0.1 * index, np.float32)) for index in range(4)]
    rows = blocks.commit(takes[:2], 24_000) + blocks.commit(takes[2:], 24_000)
    assert sorted(blocks.committed()) == [0, 1, 2, 3]
    assert list(blocks.committed().values()) == rows
    (tmp_path / "000000-000001.json").unlink()
    (tmp_path / "000002-000003.flac").unlink()
    assert blocks.committed() == {}


def test_the_same_takes_make_the_same_bytes(tmp_path: Path):
    takes = [Take(0, np.linspace(-0.5, 0.5, 4800, dtype=np.float32))]
    for folder in ("a", "b"):
        Blocks(str(tmp_path / folder)).commit(takes, 24_000)
    for name in ("000000-000000.flac", "000000-000000.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_damaged_blocks_are_refused(tmp_path: Path):
    blocks = Blocks(str(tmp_path))
    (row,) = blocks.commit([Take(0, np.ones(100, np.float32) / 2)], 24_000)
    (tmp_path / "000000-000000.flac").write_bytes(b"fLaC")
    with pytest.raises(StorageError, match="not those of its manifest"):
        blocks.waveform(row)
    (tmp_path / "000000-000000.json").write_text(json.dumps({"sentences": [{"index": 0, "what": 1}]}))
    with pytest.raises(StorageError, match="damaged manifest"):
        blocks.committed()


def test_a_resumed_book_has_the_blocks_of_an_uninterrupted_one(spoken_book):
    whole = pending_blocks(spoken_book.sentences, (), 3)
    assert [sentence for block in whole for sentence in block] == list(spoken_book.sentences)
    rest = pending_blocks(spoken_book.sentences, [s.index for s in whole[1]], 3)
    assert rest == [whole[0], *whole[2:]]
