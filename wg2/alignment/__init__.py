"""Forced alignment: when in the sound each phone is spoken. Back ends share one protocol.

Shapes: S samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wg2.errors import AlignmentError
from wg2.text.phonemes import Word


@dataclass(frozen=True)
class Interval:
    """A label and the time that it takes, in seconds from the start of the audio that was aligned."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class WordAlignment:
    """One word and the phones that the speaker chose for it, in order, without silences."""

    word: str
    phones: tuple[Interval, ...]


@dataclass(frozen=True)
class Alignment:
    """The words of an utterance in time: what lies between two words is a pause.

    Attributes:
        words: one for each word of the request, in order; phones are ARPAbet with stress, from the request's own
            pronunciations.
        score: the back end's own figure of quality, higher is better (sphinx: mean acoustic log-likelihood a frame;
            mfa: the same over speech; textgrid: 0).
        backend: 'sphinx', 'mfa' or 'textgrid'.
    """

    words: tuple[WordAlignment, ...]
    score: float
    backend: str


@dataclass(frozen=True)
class AlignmentRequest:
    """One utterance to align.

    Attributes:
        utt_id: name of the utterance.
        waveform: mono float32 in [-1, 1], [S].
        sampling_rate: of `waveform`, Hz.
        words: the words spoken, with their possible pronunciations.
        offset_s: where `waveform` starts in the source recording (what trimming took away), for imported alignments.
        speaker: who speaks; of a TextGrid with several speakers it names the tiers.
    """

    utt_id: str
    waveform: NDArray[np.float32]
    sampling_rate: int
    words: tuple[Word, ...]
    offset_s: float = 0.0
    speaker: str = ""


class Aligner(Protocol):
    """What every back end offers."""

    def align(self, requests: Sequence[AlignmentRequest]) -> list[Alignment | AlignmentError]:
        """Align a batch: one result for each request, in order; a failure does not disturb the others."""
        ...
