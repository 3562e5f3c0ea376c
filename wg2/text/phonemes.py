"""Tokens: the phones, marks and boundaries that the model reads.

`phones` of a data set are ARPAbet with stress (`AH0`), punctuation marks, `_` (word boundary) and `sil`. A mark owns
the pause after it, `sil` a pause without one. The order is fixed:

    sil  HH AH0 L OW1  ,  D AA1 K T ER0  _  S M IH1 TH  .
    ^ always first        ^ mark           ^ no mark      ^ always last: a mark, or sil where there is none

Between two words stands exactly one of: a mark, `_`, or (only in aligned speech) `sil` for a pause without a mark.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from wg2.errors import DatasetError

SILENCE = "sil"
BOUNDARY = "_"
MARKS = (",", ".", "?", "!", ";", ":", "—")

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
"""Without stress; in use a digit follows: 0 none, 1 primary, 2 secondary."""
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y",
    "Z", "ZH",
)  # fmt: skip
PHONES = frozenset(CONSONANTS) | {vowel + stress for vowel in VOWELS for stress in "012"}
"""All ARPAbet phones with stress."""
ALL_SYMBOLS = tuple(sorted({*PHONES, *MARKS, SILENCE, BOUNDARY}))
"""Every token there can be."""


BRACED = re.compile(r"\{\s*[A-Z]{1,2}[0-2]?(?:\s+[A-Z]{1,2}[0-2]?)*\s*\}")
"""Phones in a text, which are spoken as they are: '{HH AH0 L OW1}'."""


def not_a_phone(symbols: Iterable[str]) -> str:
    """What is wrong with the first symbol that is no ARPAbet phone with stress; '' where nothing is."""
    unknown = next((symbol for symbol in symbols if symbol not in PHONES), "")
    if unknown in VOWELS:
        return f"vowel {unknown!r} without stress; write {unknown}0, {unknown}1 or {unknown}2"
    return f"unknown phone {unknown!r}; wanted ARPAbet with stress, as in HELLO: HH AH0 L OW1" if unknown else ""


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


@dataclass(frozen=True)
class Inventory:
    """The symbols that a data set has and a model knows, in order: it travels in both.

    Attributes:
        symbols: without duplicates; the first has id 1, since 0 is padding.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self._ids) != len(self.symbols):
            raise DatasetError(f"phone inventory of {len(self.symbols)} symbols: {self._duplicate()!r} is there twice")

    @property
    def num_tokens(self) -> int:
        """Rows of the embedding: the symbols and the padding."""
        return len(self.symbols) + 1

    def ids(self, sequence: Iterable[str]) -> list[int]:
        """Ids of a token sequence.

        Raises:
            DatasetError: a symbol that is not in the inventory.
        """
        try:
            return [self._ids[symbol] for symbol in sequence]
        except KeyError as error:
            raise DatasetError(
                f"symbol {error.args[0]!r} is not among the {len(self.symbols)} of the phone inventory; prepare the "
                "data set again and train on it, or use a voice trained on data that has it"
            ) from error

    def nearest(self, sequence: Iterable[str], unseen: Sequence[str] = ()) -> tuple[str, ...]:
        """The sequence with what a voice cannot speak replaced, for speaking with a voice of a small corpus.

        A vowel takes another stress, a mark a similar mark or `sil`. Other symbols stay, and `ids` names them.

        Args:
            sequence: tokens.
            unseen: symbols of the inventory that training never met.
        """
        known = self._ids.keys() - set(unseen)
        return tuple(symbol if symbol in known else self._replacement(symbol, known) for symbol in sequence)

    def _replacement(self, symbol: str, known: Set[str]) -> str:
        if symbol in MARKS:
            choices = [*_SIMILAR_MARKS[symbol], SILENCE]
        else:
            choices = [symbol[:-1] + stress for stress in ("210" if symbol.endswith("1") else "021")]
        return next((choice for choice in choices if choice in known), symbol)

    def _duplicate(self) -> str:
        return next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols, 1)}


_SIMILAR_MARKS = {
    ",": ";:—.", ".": "!?;,", "?": ".!,", "!": ".?,", ";": ":,.—", ":": ";,.—", "—": ",;:.",
}  # fmt: skip
