"""The embedded aligner: pocketsphinx with the US-English acoustic model of its wheel.

Two passes: the first finds the words and their pronunciations in the sound (`set_align_text`), the second the phones
(`set_alignment`). Both see the same audio at 16 kHz, in frames of 10 ms.

Results depend on the utterance alone, not on what was aligned before it, so a batch equals its singles and a resumed
job equals a whole one: the front end, whose state pocketsphinx carries over otherwise, is reset before each pass.

Shapes: S samples.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path

from wg2 import audio
from wg2.alignment import Alignment, AlignmentRequest, Interval, WordAlignment
from wg2.errors import AlignmentError
from wg2.text.phonemes import Word

SAMPLING_RATE = 16_000
"""What the acoustic model was trained on, Hz."""
FRAME_S = 0.01
"""The decoder's frame, seconds."""
EARLINESS_S = 0.007
"""Boundaries come this much early: the median over the bundled corpus against the synthesiser's own labels
(benchmarks/alignment.py). A frame is named by its start, but hears what lies about its middle. Added to all times."""
PADDING_S = 0.1
"""Silence added at both edges. Without it the first word swallows the silence before it (up to 0.2 s in the bundled
corpus) whenever that is too short for the decoder's own silence; with it, its start is within 0.05 s."""
SCORE_NATS = 1024 * math.log(1.0001)
"""pocketsphinx's unit of acoustic score, in nats: logarithms to the base 1.0001, divided by 2 ** 10."""

Phones = tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """A word or a filler (<sil>, [NOISE]) in time; frames are the decoder's."""

    name: str
    duration: int
    score: int
    phones: tuple[tuple[str, int, int], ...]
    """Name, first frame, one past the last frame."""


class SphinxAligner:
    """Forced alignment by pocketsphinx. Not to be shared by threads.

    `score` of its alignments is the mean acoustic log-likelihood a frame (nats), relative to the frame's best state, so
    0 is the best there is; pauses and padding do not count.
    """

    def __init__(self) -> None:
        self._reset()

    def align(self, requests: Sequence[AlignmentRequest]) -> list[Alignment | AlignmentError]:
        """Align a batch: one result for each request, in order; a failure does not disturb the others."""
        return [self._result(request) for request in requests]

    def _reset(self) -> None:
        """A new decoder, without `bestpath`: that search in the word lattice loses one utterance in ten."""
        model = f"{get_model_path()}/en-us/en-us"
        self._decoder: Any = Decoder(
            hmm=model, dict=None, lm=None, bestpath=False, loglevel="FATAL", samprate=SAMPLING_RATE
        )
        self._names: dict[tuple[Phones, ...], str] = {}

    def _result(self, request: AlignmentRequest) -> Alignment | AlignmentError:
        try:
            _check(request)
            names = [self._name(word, request.utt_id) for word in request.words]
            found = self._entries(" ".join(names), _pcm(request.waveform, request.sampling_rate))
            return _alignment(request, names, found)
        except AlignmentError as error:
            return error
        except (RuntimeError, IndexError) as error:
            self._reset()  # the decoder may be stuck between two calls
            return _misfit(request, f"pocketsphinx: {error}")

    def _name(self, word: Word, utt_id: str) -> str:
        """The name of `word` in the decoder's dictionary, which knows words by how they sound: w0, w1 ..."""
        variants = _variants(word)
        if variants not in self._names:
            name = f"w{len(self._names)}"
            for index, phones in enumerate(variants):
                self._add(name if index == 0 else f"{name}({index + 1})", phones, word.text, utt_id)
            self._names[variants] = name
        return self._names[variants]

    def _add(self, name: str, phones: Phones, text: str, utt_id: str) -> None:
        try:
            self._decoder.add_word(name, " ".join(phones), False)
        except RuntimeError as error:
            self._reset()  # half of a word's variants may be known
            raise AlignmentError(
                f"{utt_id}: sphinx does not know a phone of '{text}': got {' '.join(phones) or 'none'}, "
                "wanted ARPAbet; correct the lexicon"
            ) from error

    def _entries(self, text: str, pcm: bytes) -> list[_Entry]:
        """Words and fillers in time."""
        self._decoder.set_align_text(text)
        self._decode(pcm)
        self._decoder.set_alignment()
        self._decode(pcm)
        alignment = self._decoder.get_alignment()
        return [_copy(entry) for entry in alignment]  # an entry dies when its iterator moves on

    def _decode(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()


def _copy(entry: Any) -> _Entry:
    phones = tuple((phone.name, phone.start, phone.start + phone.duration) for phone in entry)
    return _Entry(entry.name, entry.duration, entry.score, phones)


def _check(request: AlignmentRequest) -> None:
    if not request.words:
        raise AlignmentError(f"{request.utt_id}: no words to align; check its transcript")
    wordless = next((word.text for word in request.words if not word.pronunciations), None)
    if wordless is not None:
        raise AlignmentError(f"{request.utt_id}: '{wordless}' has no pronunciation; add it to the lexicon")


def _misfit(request: AlignmentRequest, reason: str) -> AlignmentError:
    seconds = len(request.waveform) / request.sampling_rate
    return AlignmentError(
        f"{request.utt_id}: cannot fit {len(request.words)} words to {seconds:.2f} s of audio ({reason}); "
        "check that the transcript says what is spoken"
    )


def _without_stress(phones: Phones) -> Phones:
    return tuple(phone.rstrip("012") for phone in phones)


def _variants(word: Word) -> tuple[Phones, ...]:
    """The pronunciations as sphinx tells them apart: without stress, each once."""
    return tuple(dict.fromkeys(_without_stress(phones) for phones in word.pronunciations))


def _pcm(waveform: NDArray[np.float32], sampling_rate: int) -> bytes:
    """16-bit samples at the decoder's rate, with silence at both edges."""
    samples = audio.resample(waveform, sampling_rate, SAMPLING_RATE)
    padded = np.pad(samples, round(PADDING_S * SAMPLING_RATE))
    scaled: NDArray[np.int16] = np.clip(np.rint(padded * 32_768), -32_768, 32_767).astype(np.int16)
    return scaled.tobytes()


def _alignment(request: AlignmentRequest, names: list[str], entries: list[_Entry]) -> Alignment:
    """The entries that are words, with the stress of the pronunciation that was spoken."""
    spoken = [entry for entry in entries if re.fullmatch(r"w\d+(\(\d+\))?", entry.name)]
    if [entry.name.partition("(")[0] for entry in spoken] != names:
        raise _misfit(request, f"sphinx found {len(spoken)} of them")
    seconds = len(request.waveform) / request.sampling_rate
    words = [_word(word, entry, seconds) for word, entry in zip(request.words, spoken, strict=True)]
    frames = sum(entry.duration for entry in spoken)
    score = sum(entry.score for entry in spoken) / max(1, frames) * SCORE_NATS
    return Alignment(tuple(words), score, "sphinx")


def _word(word: Word, entry: _Entry, seconds: float) -> WordAlignment:
    names = tuple(name for name, _, _ in entry.phones)
    stressed = next(phones for phones in word.pronunciations if _without_stress(phones) == names)
    intervals = [
        Interval(phone, _seconds(start, seconds), _seconds(end, seconds))
        for phone, (_, start, end) in zip(stressed, entry.phones, strict=True)
    ]
    return WordAlignment(word.text, tuple(intervals))


def _seconds(frame: int, seconds: float) -> float:
    """The time of the decoder's frame in the audio that was given."""
    return min(max(0.0, frame * FRAME_S + EARLINESS_S - PADDING_S), seconds)
