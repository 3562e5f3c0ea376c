"""Tokens: the phones, marks and boundaries that the model reads.

`phones` of a data set are ARPAbet with stress (`AH0`), punctuation marks, `_` (word boundary) and `sil`. A mark owns
the pause after it, `sil` a pause without one. The order is fixed:

    sil  HH AH0 L OW1  ,  D AA1 K T ER0  _  S M IH1 TH  .
    ^ always first        ^ mark           ^ no mark      ^ always last: a mark, or sil where there is none

Between two words stands exactly one of: a mark, `_`, or (only in aligned speech) `sil` for a pause without a mark.
"""

from dataclasses import dataclass

SILENCE = "sil"
BOUNDARY = "_"
MARKS = (",", ".", "?", "!", ";", ":", "—")


@dataclass(frozen=True)
class Word:
    """A spoken word.

    Attributes:
        text: as written after normalisation, without punctuation.
        pronunciations: one or more, the preferred first; each a tuple of ARPAbet phones with stress.
        mark: the punctuation mark after the word, or ''.
    """

    text: str
    pronunciations: tuple[tuple[str, ...], ...]
    mark: str = ""


def tokens(words: tuple[Word, ...]) -> tuple[str, ...]:
    """The token sequence of text that is to be spoken: preferred pronunciations, no pause without a mark."""
    sequence = [SILENCE]
    for index, word in enumerate(words):
        last = index == len(words) - 1
        sequence += [*word.pronunciations[0], word.mark or (SILENCE if last else BOUNDARY)]
    return tuple(sequence)
