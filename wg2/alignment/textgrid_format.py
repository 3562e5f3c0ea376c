"""The TextGrid files of Praat: long and short text format, and JSON.

Praat reads its text formats as a sequence of free-standing numbers, quoted texts and <flags>; all other words are there
for people. So do we: the long format is the short one with more words.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from praatio.utilities import errors as praatio_errors
from praatio.utilities import textgrid_io

from wg2.alignment import Interval
from wg2.errors import AlignmentError

_DAMAGE = (praatio_errors.PraatioException, ValueError, IndexError, KeyError, TypeError, AttributeError)
_VALUES = "-0123456789<"
"""How a free-standing number or flag begins."""
_POINTS = "TextTier"

Tiers = dict[str, tuple[Interval, ...]]


def decoded(data: bytes) -> str:
    """The text of a TextGrid file: Praat writes UTF-8, or UTF-16 with a byte order mark.

    Raises:
        AlignmentError: it is neither.
    """
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise AlignmentError(f"not {encoding} text: {error}; export it again") from error


def parse(text: str) -> Tiers:
    """The interval tiers of a TextGrid (long, short or JSON format), by name, with their empty intervals.

    A name that comes again is numbered as a speaker ('2 - words'); a tier of points is there as 'NAME (points)', empty.

    Raises:
        AlignmentError: it is not a TextGrid, or it is truncated: fewer tiers or intervals than it announces.
    """
    try:
        tiers = _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_text(text)
    except _DAMAGE as error:
        raise AlignmentError(f"not a TextGrid, or damaged: {error or type(error).__name__}; export it again") from error
    named: Tiers = {}
    for name, intervals in tiers:
        number = sum(other == name or other.endswith(f" - {name}") for other in named)
        named[f"{number + 1} - {name}" if name in named else name] = intervals
    return named


def _from_json(text: str) -> list[tuple[str, tuple[Interval, ...]]]:
    tiers = textgrid_io.parseTextgridStr(text, includeEmptyIntervals=True)["tiers"]
    return [(f"{tier['name']} (points)", ()) if tier["class"] == _POINTS else (str(tier["name"]), _entries(tier))
            for tier in tiers]  # fmt: skip


def _entries(tier: Any) -> tuple[Interval, ...]:
    return tuple(Interval(str(label), float(start), float(end)) for start, end, label in tier["entries"])


def _from_text(text: str) -> list[tuple[str, tuple[Interval, ...]]]:
    tokens = _Tokens(_tokens(text))
    if tokens.take(2)[1] != '"TextGrid':
        raise ValueError('no object class "TextGrid"')
    *_, exists, size = tokens.take(4)
    return [_tier(tokens) for _ in range(int(size))] if exists == "<exists>" else []


def _tokens(text: str) -> list[str]:
    """Numbers and flags as they are, texts behind a quotation mark."""
    tokens: list[str] = []
    *pieces, end = text.split('"')
    if len(pieces) % 2:
        raise ValueError("truncated: its last text has no end")
    for place, (words, quoted) in enumerate(zip(pieces[::2], pieces[1::2], strict=True)):
        if place and not words:  # a doubled mark is one within the text
            tokens[-1] += f'"{quoted}'
        else:
            tokens += [word for word in words.replace("=", " ").split() if word[0] in _VALUES]
            tokens.append(f'"{quoted}')
    return [*tokens, *(word for word in end.split() if word[0] in _VALUES)]


def _tier(tokens: "_Tokens") -> tuple[str, tuple[Interval, ...]]:
    kind, name, _, _, size = tokens.take(5)
    if _label(kind) == _POINTS:
        tokens.take(2 * int(size))
        return f"{_label(name)} (points)", ()
    entries = tokens.take(3 * int(size))
    rows = zip(entries[2::3], entries[0::3], entries[1::3], strict=True)
    return _label(name), tuple(Interval(_label(label), float(start), float(end)) for label, start, end in rows)


@dataclass
class _Tokens:
    """Numbers, texts and flags, in order."""

    tokens: Sequence[str]
    place: int = 0

    def take(self, count: int) -> Sequence[str]:
        """The next `count`, all of which a complete file has."""
        found = self.tokens[self.place : self.place + count]
        if len(found) < count:
            raise ValueError("truncated: it announces more tiers or intervals than it has")
        self.place += count
        return found


def _label(token: str) -> str:
    if token[:1] != '"':
        raise ValueError(f"got {token}, wanted a text in quotes")
    return token[1:].strip()
