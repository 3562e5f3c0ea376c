"""From spoken sentences to chapters: one loudness for the whole book, pauses, a FLAC file each, and exact times.

Sentences go through one at a time, so the memory that this takes does not grow with the book.

Shapes: S samples.
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import soundfile
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.alignment import Interval
from wg2.books.blocks import Blocks, Row
from wg2.books.book import Book
from wg2.books.plan import Sentence, pause_s
from wg2.config import BookConfig

_GATE_LU = 10.0
"""Sentences this much quieter than the mean do not count (the relative gate of ITU-R BS.1770-4)."""
_FULL_SCALE = 32_768


@dataclass(frozen=True)
class Timed:
    """A sentence in its chapter's audio.

    Attributes:
        sentence: what was spoken, or should have been.
        start_s: where its audio begins.
        end_s: where it ends, without the pause.
        words: in time from the chapter's start.
    """

    sentence: Sentence
    start_s: float
    end_s: float
    words: tuple[Interval, ...]


@dataclass(frozen=True)
class ChapterAudio:
    """A finished chapter.

    Attributes:
        number: from 1.
        title: of the chapter.
        flac: uri of its audio.
        seconds: its length.
        sentences: in order.
    """

    number: int
    title: str
    flac: str
    seconds: float
    sentences: tuple[Timed, ...]

    @property
    def words(self) -> int:
        """Words that are spoken in it."""
        return sum(len(timed.words) for timed in self.sentences)


def book_gain(rows: Iterable[Row], target_lufs: float) -> float:
    """The factor that brings the book to a loudness, or as near as its highest peak allows.

    The book's loudness is the mean power of its sentences' loudness, weighted by length, over those within 10 LU of
    the mean: BS.1770's own rule, on sentences instead of blocks of 0.4 s.
    """
    loud = [(row.lufs, row.num_samples, row.peak) for row in rows if row.lufs is not None and row.num_samples]
    if not loud:
        return 1.0
    gate = _mean_lufs(loud) - _GATE_LU
    lufs = _mean_lufs([entry for entry in loud if entry[0] >= gate])
    peak = max(peak for _, _, peak in loud)
    return min(math.pow(10.0, (target_lufs - lufs) / 20.0), audio.PEAK / peak)


def assemble(
    book: Book, sentences: Sequence[Sentence], rows: Mapping[int, Row], blocks: Blocks, config: BookConfig,
    sampling_rate: int, folder: str,
) -> Iterator[ChapterAudio]:  # fmt: skip
    """Write the chapters, in order.

    Args:
        book: for the titles.
        sentences: of the whole book, in order.
        rows: what was spoken, by sentence; one that is missing is left out.
        blocks: where it is.
        config: pauses and loudness.
        sampling_rate: Hz.
        folder: where the files go.
    Raises:
        StorageError: a block is damaged, or the folder is not writable.
    """
    gain = book_gain(rows.values(), config.target_lufs)
    spoken = (sentence for sentence in sentences)
    for number, (index, group) in enumerate(groupby(spoken, key=lambda sentence: sentence.chapter), 1):
        uri = storage.join(folder, f"{number:03d}.flac")
        chapter = _Chapter(sampling_rate, gain)
        for sentence in group:
            row = rows.get(sentence.index, Row(sentence.index))
            chapter.add(sentence, row, blocks.waveform(row), pause_s(sentence.pause, config))
        storage.write_bytes(uri, chapter.flac())
        yield ChapterAudio(number, book.chapters[index].title, uri, chapter.seconds, tuple(chapter.timed))


class _Chapter:
    """A chapter that grows, as FLAC in memory (a tenth of its samples as floats)."""

    def __init__(self, sampling_rate: int, gain: float) -> None:
        self._rate, self._gain = sampling_rate, gain
        self._stream = io.BytesIO()
        self._file = soundfile.SoundFile(self._stream, "w", sampling_rate, 1, "PCM_16", format="FLAC")
        self._samples = 0
        self.timed: list[Timed] = []

    @property
    def seconds(self) -> float:
        return self._samples / self._rate

    def add(self, sentence: Sentence, row: Row, waveform: NDArray[np.float32], pause: float) -> None:
        """A sentence and its pause; what was not spoken has neither sound nor pause, only its place."""
        start = self.seconds
        words = tuple(Interval(word.label, start + word.start_s, start + word.end_s) for word in row.words)
        self._write(_pcm(waveform * np.float32(self._gain)))
        self.timed.append(Timed(sentence, start, self.seconds, words))
        if len(waveform):
            self._write(np.zeros(round(pause * self._rate), np.int16))

    def flac(self) -> bytes:
        self._file.close()
        return self._stream.getvalue()

    def _write(self, pcm: NDArray[np.int16]) -> None:
        self._file.write(pcm)
        self._samples += len(pcm)


def _pcm(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    scaled: NDArray[np.int16] = np.clip(np.rint(waveform * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return scaled


def _mean_lufs(loud: Sequence[tuple[float, int, float]]) -> float:
    power = sum(length * 10.0 ** (lufs / 10.0) for lufs, length, _ in loud) / sum(length for _, length, _ in loud)
    return 10.0 * math.log10(power)
