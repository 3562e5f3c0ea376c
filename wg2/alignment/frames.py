"""From times in seconds to frames of the model: the durations of the token sequence.

Every boundary is rounded by itself to the nearest frame, and durations are differences of rounded boundaries. Rounding
each duration instead would let the error grow along the sentence.

Shapes: S samples, N tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from wg2.alignment import Alignment, Interval, WordAlignment
from wg2.errors import AlignmentError
from wg2.text.phonemes import BOUNDARY, SILENCE, Word


@dataclass(frozen=True)
class TimedTokens:
    """The token sequence of an utterance (text/phonemes.py) with its durations.

    Attributes:
        phones: tokens, [N].
        durations: frames of each token; they sum to ceil(num_samples / samples_per_frame), [N].
        words: the spoken words, in seconds, inside the audio.
    """

    phones: tuple[str, ...]
    durations: tuple[int, ...]
    words: tuple[Interval, ...]


def to_frames(
    words: Sequence[Word], alignment: Alignment, num_samples: int, sampling_rate: int, samples_per_frame: int
) -> TimedTokens:
    """The tokens that were spoken, and how many frames each takes.

    A boundary in the audio moves by no more than half a frame; one outside it is brought to its edge first. Within a
    word, what lies between two phones belongs to the first of them.

    Args:
        words: the words of the request.
        alignment: where they are; one entry for each word.
        num_samples: length of the audio, S.
        sampling_rate: of the audio, Hz.
        samples_per_frame: the model's hop.
    Raises:
        AlignmentError: alignment and words do not correspond.
    """
    _check(words, alignment)
    seconds = num_samples / sampling_rate
    spoken = tuple(_in_order(alignment.words, seconds))
    per_second = sampling_rate / samples_per_frame
    total = ceil(num_samples / samples_per_frame)
    tokens, ends = _tokens(words, spoken, [[round(edge * per_second) for edge in _edges(word)] for word in spoken])
    ends[-1] = total
    durations = tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
    return TimedTokens(tuple(tokens), durations, tuple(_interval(word) for word in spoken))


def _check(words: Sequence[Word], alignment: Alignment) -> None:
    if not words or len(words) != len(alignment.words):
        raise AlignmentError(f"{alignment.backend}: aligned {len(alignment.words)} words, wanted {len(words)}")
    for word, aligned in zip(words, alignment.words, strict=True):
        if not aligned.phones:
            raise AlignmentError(f"{alignment.backend}: the word '{word.text}' has no phones")


def _in_order(words: Sequence[WordAlignment], seconds: float) -> Iterator[WordAlignment]:
    """The same words inside [0, seconds], with no time before the one that precedes it."""
    now = 0.0
    for word in words:
        phones = []
        for phone in word.phones:
            start = min(max(now, phone.start_s), seconds)
            now = min(max(start, phone.end_s), seconds)
            phones.append(Interval(phone.label, start, now))
        yield WordAlignment(word.word, tuple(phones))


def _edges(word: WordAlignment) -> list[float]:
    """Where the phones start, and where the last one ends, in seconds."""
    return [*(phone.start_s for phone in word.phones), word.phones[-1].end_s]


def _tokens(
    words: Sequence[Word], spoken: Sequence[WordAlignment], edges: Sequence[Sequence[int]]
) -> tuple[list[str], list[int]]:
    """The tokens and the frame in which each ends; the last end is left for the caller to set."""
    tokens, ends = [SILENCE], [edges[0][0]]
    for index, (word, aligned) in enumerate(zip(words, spoken, strict=True)):
        tokens += [phone.label for phone in aligned.phones]
        ends += edges[index][1:]
        last = index == len(words) - 1
        next_start = ends[-1] if last else edges[index + 1][0]
        tokens.append(word.mark or (SILENCE if last or next_start > ends[-1] else BOUNDARY))
        ends.append(next_start)
    return tokens, ends


def _interval(word: WordAlignment) -> Interval:
    return Interval(word.word, word.phones[0].start_s, word.phones[-1].end_s)
