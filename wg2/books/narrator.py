"""Speaking sentences until they are understood.

The noise of a sentence follows from the book's seed, the sentence's number and the attempt, and from nothing else: so
it is the same whichever worker speaks it, in whichever block, and however often the job was killed.

Shapes: S samples.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wg2 import audio
from wg2.alignment import Interval
from wg2.books.plan import Sentence
from wg2.errors import AudioError, TextError


class Spoken(Protocol):
    """What a voice returns: `wg2.synthesis.Speech`, which needs torch, or anything of its form."""

    @property
    def waveform(self) -> NDArray[np.float32]:
        """Samples in [-1, 1], [S]."""

    @property
    def sampling_rate(self) -> int:
        """Hz."""

    @property
    def words(self) -> Sequence[Interval]:
        """When each word is spoken."""


Say = Callable[[Sequence[tuple[str, int]]], Sequence[Spoken]]
"""(text, seed) of some sentences -> the speech of each."""
WordErrorRate = Callable[[NDArray[np.float32], int, Sequence[str]], float]
"""(waveform, sampling rate, words) -> how much of the words a recogniser did not hear, 0 for nothing."""


@dataclass(frozen=True)
class Take:
    """The best attempt at a sentence.

    Attributes:
        index: of the sentence.
        waveform: [S]; empty where the sentence could not be spoken.
        words: when each word is spoken.
        attempt: which it was, from 0.
        wer: word error rate, None where nobody listened.
        lufs: loudness, None for silence.
        peak: highest absolute sample.
        problem: why a listener should check this sentence, or ''.
    """

    index: int
    waveform: NDArray[np.float32]
    words: tuple[Interval, ...] = ()
    attempt: int = 0
    wer: float | None = None
    lufs: float | None = None
    peak: float = 0.0
    problem: str = ""


class Narrator:
    """Speaks sentences.

    Args:
        say: the voice.
        hear: the recogniser; None lets every first attempt pass.
        seed: of the book.
        attempts: at most, for each sentence.
        max_wer: up to which a sentence counts as understood; one word is always forgiven.
    """

    def __init__(self, say: Say, hear: WordErrorRate | None, seed: int, attempts: int, max_wer: float) -> None:
        self._say, self._hear, self._seed = say, hear, seed
        self._attempts = max(1, attempts) if hear else 1
        self._max_wer = max_wer

    def narrate(self, sentences: Sequence[Sentence]) -> list[Take]:
        """Of each sentence the first attempt that is understood, else the best one, with the problem named."""
        takes: dict[int, list[Take]] = {sentence.index: [] for sentence in sentences}
        left = list(sentences)
        for attempt in range(self._attempts):
            for sentence, take in zip(left, self._attempt(left, attempt), strict=True):
                takes[sentence.index].append(take)
            left = [sentence for sentence in left if _may_be_better(takes[sentence.index][-1])]
        return [_best(takes[sentence.index]) for sentence in sentences]

    def _attempt(self, sentences: Sequence[Sentence], attempt: int) -> list[Take]:
        """A sentence that cannot be spoken has an empty take; the others are spoken without it."""
        seeds = [sentence_seed(self._seed, sentence.index, attempt) for sentence in sentences]
        try:
            spoken = self._say([(sentence.spoken, seed) for sentence, seed in zip(sentences, seeds, strict=True)])
            return [self._take(*pair, attempt) for pair in zip(sentences, spoken, strict=True)]
        except (TextError, AudioError) as error:
            if len(sentences) > 1:
                return [take for sentence in sentences for take in self._attempt([sentence], attempt)]
            problem = f"{type(error).__name__}: {error}"
            return [Take(sentences[0].index, np.zeros(0, np.float32), problem=problem)]

    def _take(self, sentence: Sentence, speech: Spoken, attempt: int) -> Take:
        wer = self._error_rate(speech)
        lufs = audio.loudness(speech.waveform, speech.sampling_rate)
        return Take(
            index=sentence.index,
            waveform=speech.waveform,
            words=tuple(speech.words),
            attempt=attempt,
            wer=wer,
            lufs=lufs if lufs > audio.SILENCE_LUFS else None,
            peak=float(np.abs(speech.waveform).max(initial=0.0)),
            problem=self._problem(wer, len(speech.words)),
        )

    def _problem(self, wer: float | None, words: int) -> str:
        """One word is always forgiven: in a short sentence it would be a high rate."""
        if wer is None or wer <= max(self._max_wer, 1 / max(words, 1)):
            return ""
        return f"understood with a word error rate of {wer:.2f}"

    def _error_rate(self, speech: Spoken) -> float | None:
        if self._hear is None:
            return None
        return self._hear(speech.waveform, speech.sampling_rate, [word.label for word in speech.words])


def _may_be_better(take: Take) -> bool:
    """Whether another attempt may help: there is sound, and it was not understood."""
    return bool(take.problem) and take.wer is not None


def _best(takes: Sequence[Take]) -> Take:
    """The last one, if it was understood, else the one that was understood best."""
    return takes[-1] if not takes[-1].problem else min(takes, key=lambda take: take.wer or 0.0)


def sentence_seed(book_seed: int, index: int, attempt: int = 0) -> int:
    """The seed of a sentence's noise: 63 bits of SHA-256, so that no two sentences share their noise."""
    digest = hashlib.sha256(f"{book_seed}/{index}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
