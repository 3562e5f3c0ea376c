"""From spoken sentences to chapters: exact times, one loudness for the whole book, pauses, a FLAC file each.

The times follow from the lengths of the sentences and of the pauses alone, so no audio is read for them, and chapters
can be written side by side. Sentences go through one at a time: memory grows with a chapter's FLAC, not with the book.

Shapes: S samples.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

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
        row: where its audio is.
        silence: samples of the pause behind it.
    """

    sentence: Sentence
    start_s: float
    end_s: float
    words: tuple[Interval, ...]
    row: Row
    silence: int


@dataclass(frozen=True)
class ChapterAudio:
    """A finished chapter.

    Attributes:
        number: from 1.
        title: of the chapter.
        stem: uri of its files, without their suffix.
        sampling_rate: Hz.
        seconds: its length.
        sentences: in order.
    """

    number: int
    title: str
    stem: str
    sampling_rate: int
    seconds: float
    sentences: tuple[Timed, ...]

    @property
    def flac(self) -> str:
        """Uri of its audio."""
        return f"{self.stem}.flac"

    @property
    def m4a(self) -> str:
        """Uri of the same as AAC."""
        return f"{self.stem}.m4a"

    @property
    def vtt(self) -> str:
        """Uri of its subtitles."""
        return f"{self.stem}.vtt"

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


def chapters_in_time(
    book: Book, sentences: Sequence[Sentence], rows: Mapping[int, Row], config: BookConfig, sampling_rate: int,
    folder: str,
) -> tuple[ChapterAudio, ...]:  # fmt: skip
    """The chapters, in order, with the times that everything in them has; nothing is read or written.

    Args:
        book: for the titles.
        sentences: of the whole book, in order.
        rows: what was spoken, by sentence; one that is missing is left out: it has its place, and no sound or pause.
        config: pauses.
        sampling_rate: Hz.
        folder: where the files will be.
    """
    return tuple(
        _chapter(number, book.chapters[index].title, storage.join(folder, f"{number:03d}"), sampling_rate,
                 [_timed(sentence, rows, config, sampling_rate) for sentence in group])
        for number, (index, group) in enumerate(groupby(sentences, key=lambda sentence: sentence.chapter), 1)
    )  # fmt: skip


def write_flac(chapter: ChapterAudio, blocks: Blocks, gain: float) -> None:
    """Write the audio of a chapter.

    Args:
        chapter: what is in it.
        blocks: where its sentences are.
        gain: factor of every sample.
    Raises:
        StorageError: a block is damaged, or the folder is not writable.
    """
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", chapter.sampling_rate, 1, "PCM_16", format="FLAC") as file:
        for timed in chapter.sentences:
            file.write(_pcm(blocks.waveform(timed.row) * np.float32(gain)))
            file.write(np.zeros(timed.silence, np.int16))
    storage.write_bytes(chapter.flac, stream.getvalue())


def _timed(sentence: Sentence, rows: Mapping[int, Row], config: BookConfig, sampling_rate: int) -> Timed:
    """A sentence as if its chapter began with it."""
    row = rows.get(sentence.index, Row(sentence.index))
    silence = round(pause_s(sentence.pause, config) * sampling_rate) if row.num_samples else 0
    return Timed(sentence, 0.0, row.num_samples / sampling_rate, row.words, row, silence)


def _chapter(number: int, title: str, stem: str, sampling_rate: int, sentences: Sequence[Timed]) -> ChapterAudio:
    lengths = [timed.row.num_samples + timed.silence for timed in sentences]
    starts = [samples / sampling_rate for samples in accumulate(lengths, initial=0)]
    placed = tuple(_later(timed, start) for timed, start in zip(sentences, starts, strict=False))
    return ChapterAudio(number, title, stem, sampling_rate, starts[-1], placed)


def _later(timed: Timed, start: float) -> Timed:
    words = tuple(Interval(word.label, start + word.start_s, start + word.end_s) for word in timed.words)
    return replace(timed, start_s=start, end_s=start + timed.end_s, words=words)


def _pcm(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    scaled: NDArray[np.int16] = np.clip(np.rint(waveform * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return scaled


def _mean_lufs(loud: Sequence[tuple[float, int, float]]) -> float:
    power = sum(length * 10.0 ** (lufs / 10.0) for lufs, length, _ in loud) / sum(length for _, length, _ in loud)
    return 10.0 * math.log10(power)
