"""Where the words that were spoken stand in the text as it is written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from wg2.alignment import Interval

_WRITTEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001


@dataclass(frozen=True)
class Span:
    """A piece of the text and when it is spoken.

    Attributes:
        start: its first character.
        end: one past its last character.
        start_s: when it begins.
        end_s: when it ends.
    """

    start: int
    end: int
    start_s: float
    end_s: float


def locate(text: str, spoken: Sequence[Interval]) -> tuple[Span, ...]:
    """The written words with their times, in order.

    Words that are written as they are spoken have their own time. Where they differ ('1843', 'Mr.', '&'), the words
    pair up if there are as many on both sides; else the whole piece has the time of all that is spoken for it.
    """
    atoms = list(_WRITTEN.finditer(text))
    if not atoms or not spoken:
        return ()
    written, heard = [_key(atom[0]) for atom in atoms], [_key(word.label) for word in spoken]
    spans: list[Span] = []
    for operation, a, b, c, d in SequenceMatcher(None, written, heard, autojunk=False).get_opcodes():
        if b - a == d - c:
            spans += [_span(atoms[i : i + 1], spoken[j : j + 1]) for i, j in zip(range(a, b), range(c, d), strict=True)]
        elif operation == "replace":
            spans.append(_span(atoms[a:b], spoken[c:d]))
        elif spans:  # only written, or only spoken: it belongs to what came before
            end, end_s = (atoms[b - 1].end(), spans[-1].end_s) if b > a else (spans[-1].end, spoken[d - 1].end_s)
            spans[-1] = replace(spans[-1], end=end, end_s=end_s)
    if not spans:
        return (_span(atoms, spoken),)
    return (replace(spans[0], start=atoms[0].start(), start_s=spoken[0].start_s), *spans[1:])


def _span(atoms: Sequence[re.Match[str]], spoken: Sequence[Interval]) -> Span:
    return Span(atoms[0].start(), atoms[-1].end(), spoken[0].start_s, spoken[-1].end_s)


def _key(word: str) -> str:
    return re.sub(r"\W", "", word).casefold()
