"""What was spoken: a waveform [S], its phones, and when each word is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wg2 import audio
from wg2.alignment import Interval
from wg2.synthesis.sentences import PAUSES

FADE_S = 0.01
"""Fade at both ends of a spoken sentence, seconds: what noise is left there is heard as a click where sound begins."""


@dataclass(frozen=True)
class Speech:
    """What was spoken.

    Attributes:
        waveform: float32 in [-1, 1], [S]; S is exactly `samples_per_frame * sum(durations)`.
        sampling_rate: Hz.
        phones: the tokens that were spoken.
        durations: frames of each.
        words: when each word is spoken, in seconds.
    """

    waveform: NDArray[np.float32]
    sampling_rate: int
    phones: tuple[str, ...]
    durations: tuple[int, ...]
    words: tuple[Interval, ...]

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / self.sampling_rate

    def save(self, path: str | Path) -> None:
        """Write a WAV, FLAC, Ogg or MP3 file, as its suffix says, whole or not at all."""
        audio.write(str(path), self.waveform, self.sampling_rate)


def faded(waveform: NDArray[np.float32], sampling_rate: int) -> NDArray[np.float32]:
    """The waveform with a raised-cosine fade of `FADE_S` at each end, [S]; of half its length where it is shorter."""
    length = min(round(FADE_S * sampling_rate), len(waveform) // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))).astype(np.float32)
    middle = np.ones(len(waveform) - 2 * length, dtype=np.float32)
    return waveform * np.concatenate((ramp, middle, ramp[::-1]))


def word_intervals(
    phones: Sequence[str], durations: Sequence[int], frame_s: float, labels: Sequence[str] = ()
) -> tuple[Interval, ...]:
    """When each word is spoken.

    Args:
        phones: tokens; a word is a run of them without marks, boundaries and silences.
        durations: frames of each.
        frame_s: seconds of a frame.
        labels: the words; without them, they are named by their phones.
    """
    words: list[tuple[list[str], int, int]] = []
    inside, end = False, 0
    for phone, frames in zip(phones, durations, strict=True):
        start, end = end, end + frames
        speaks = phone not in PAUSES
        if speaks and inside:
            words[-1] = ([*words[-1][0], phone], words[-1][1], end)
        elif speaks:
            words.append(([phone], start, end))
        inside = speaks
    names = labels or [" ".join(run) for run, _, _ in words]
    return tuple(Interval(name, a * frame_s, b * frame_s) for name, (_, a, b) in zip(names, words, strict=True))


def join(parts: Sequence[Speech]) -> Speech:
    """One after the other: the pause between two sentences is the first one's mark and the second one's silence."""
    words: list[Interval] = []
    offset_s = 0.0
    for part in parts:
        words += [Interval(word.label, word.start_s + offset_s, word.end_s + offset_s) for word in part.words]
        offset_s += part.seconds
    return Speech(
        waveform=np.concatenate([part.waveform for part in parts]),
        sampling_rate=parts[0].sampling_rate,
        phones=tuple(phone for part in parts for phone in part.phones),
        durations=tuple(frames for part in parts for frames in part.durations),
        words=tuple(words),
    )
