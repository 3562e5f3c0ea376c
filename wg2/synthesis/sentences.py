"""What is to be spoken: a text's sentences, and what makes one speakable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wg2.errors import ConfigError, TextError
from wg2.text.phonemes import BOUNDARY, MARKS, SILENCE, Word

PAUSES = frozenset((*MARKS, BOUNDARY, SILENCE))
"""Tokens that are no sound."""

MOST_SEEDS = 2**63
_SENTENCE_ENDS = (".", "?", "!")


@dataclass(frozen=True)
class Line:
    """What `Voice.say` speaks in one go.

    Attributes:
        text: what to say, any number of sentences.
        seed: of the noise, >= 0.
        pace: 2.0 speaks twice as fast.
        durations: frames of each token, instead of the voice's own choice.
        phones: tokens to speak instead of `text`, as one sentence.
    """

    text: str = ""
    seed: int = 0
    pace: float = 1.0
    durations: Sequence[int] | None = None
    phones: Sequence[str] | None = None


@dataclass(frozen=True)
class Sentence:
    """A sentence ready for the model.

    Attributes:
        phones: tokens of the voice's inventory.
        labels: the words, as they are written.
        durations: frames of each token; None lets the voice decide.
        seed: of the noise.
        start: index of its first sample in that noise.
        pace: 2.0 speaks twice as fast; given durations are kept.
    """

    phones: tuple[str, ...]
    labels: tuple[str, ...] = ()
    durations: tuple[int, ...] | None = None
    seed: int = 0
    start: int = 0
    pace: float = 1.0


def split_sentences(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Cut after each full stop, question mark and exclamation mark; what has no mark at its end gets a full stop.

    Voices learn the ends of sentences from marks: "No" without one is heard as "nope" (docs/LOG.md).
    """
    sentences: list[list[Word]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if word.mark in _SENTENCE_ENDS:
            sentences.append([])
    return [(*sentence[:-1], _closed(sentence[-1])) for sentence in sentences if sentence]


def _closed(last: Word) -> Word:
    return last if last.mark else replace(last, mark=".")


def with_durations(sentences: Sequence[Sentence], durations: Sequence[int]) -> list[Sentence]:
    """Give each sentence its share of the durations of the whole text."""
    wanted = sum(len(sentence.phones) for sentence in sentences)
    if len(durations) != wanted:
        raise ConfigError(f"durations: got {len(durations)}, wanted {wanted}: one for each token")
    rest = iter(durations)
    return [replace(s, durations=tuple(int(next(rest)) for _ in s.phones)) for s in sentences]


def check(sentence: Sentence) -> None:
    """Refuse a sentence that cannot be spoken.

    Raises:
        ConfigError: its seed, pace or durations are out of range.
        TextError: there is no sound in it.
    """
    if not 0 <= sentence.seed < MOST_SEEDS:
        raise ConfigError(f"seed: got {sentence.seed}, wanted 0 or more, and less than 2**63")
    if not (math.isfinite(sentence.pace) and sentence.pace > 0):
        raise ConfigError(f"pace: got {sentence.pace}, wanted more than 0 (2.0 speaks twice as fast)")
    if not any(phone not in PAUSES for phone in sentence.phones):
        raise TextError("there is nothing to pronounce: got no phone")
    frames = sentence.durations
    if frames is not None and (len(frames) != len(sentence.phones) or min(frames) < 0 or sum(frames) < 1):
        raise ConfigError(
            f"durations: got {len(frames)} that sum to {sum(frames)} (least {min(frames)}), wanted "
            f"{len(sentence.phones)}, none below 0 and at least one frame in all"
        )
