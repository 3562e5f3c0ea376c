"""Imported alignments: TextGrids as the Montreal Forced Aligner writes them, with tiers for words and phones.

A TextGrid is in the time of the source recording; `AlignmentRequest.offset_s` says what trimming took away in front.
"""

import codecs
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from praatio.utilities import errors as praatio_errors
from praatio.utilities import textgrid_io

from wg2 import storage
from wg2.alignment import Alignment, AlignmentRequest, Interval, WordAlignment
from wg2.errors import AlignmentError, StorageError
from wg2.text.phonemes import Word

PAUSES = frozenset({"", "sil", "sp", "<eps>"})
"""Labels of silence."""
UNKNOWN = frozenset({"spn", "<unk>"})
"""Labels of what the aligner could not pronounce."""
TOLERANCE_S = 1e-3
"""Times that should be equal may differ by this much: phone and word tiers are rounded separately."""

_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y",
    "Z", "ZH",
)  # fmt: skip
ARPABET = frozenset([*_CONSONANTS, *(f"{vowel}{stress}" for vowel in _VOWELS for stress in "012")])
"""The phones that are accepted."""
_DAMAGE = (praatio_errors.PraatioException, ValueError, IndexError, KeyError, TypeError, AttributeError)

_EDGES = r"xmin ?= ?-?([\d.]+)\s+xmax ?= ?([\d.]+)\s+"
_HEAD = re.compile(
    r'\s*File type ?= ?"ooTextFile"\s+Object class ?= ?"TextGrid"\s+'
    rf"{_EDGES}tiers\? <exists>\s+size ?= ?(?P<size>\d+)\s+item ?\[\]:?\s+"
)
_ENTRY = re.compile(rf'intervals ?\[\d+\]:?\s+{_EDGES}text ?= ?"((?:[^"]|"")*)"\s*')
_TIER = re.compile(
    r'item ?\[\d+\]:?\s+class ?= ?"IntervalTier"\s+name ?= ?"(?P<name>(?:[^"]|"")*)"\s+'
    r"xmin ?= ?-?[\d.]+\s+xmax ?= ?(?P<end>[\d.]+)\s+intervals ?: size ?= ?(?P<size>\d+)\s*"
    r'(?P<entries>(?:intervals ?\[\d+\]:?\s+xmin ?= ?-?[\d.]+\s+xmax ?= ?[\d.]+\s+text ?= ?"(?:[^"]|"")*"\s*)*)'
)

Tiers = Mapping[str, tuple[Interval, ...]]


class TextGridAligner:
    """Takes the alignment of `UTT` from `folder/UTT.TextGrid`; listens to nothing.

    Phones, with their stress, are the TextGrid's; words are matched to the request's in order, whatever their case.
    A TextGrid has no score: it is 0.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def align(self, requests: Sequence[AlignmentRequest]) -> list[Alignment | AlignmentError]:
        """Import a batch: one result for each request, in order; a failure does not disturb the others."""
        return [self._result(request) for request in requests]

    def _result(self, request: AlignmentRequest) -> Alignment | AlignmentError:
        uri = storage.join(self._folder, f"{request.utt_id}.TextGrid")
        try:
            return to_alignment(request, parse(decoded(storage.read_bytes(uri))))
        except StorageError as error:
            return AlignmentError(
                f"{request.utt_id}: {error}; put its TextGrid there or choose another prepare.aligner"
            )
        except AlignmentError as error:
            return AlignmentError(f"{request.utt_id}: {uri}: {error}")


def parse(text: str) -> Tiers:
    """The interval tiers of a TextGrid (long, short or JSON format), by name, with their empty intervals.

    Raises:
        AlignmentError: it is not a TextGrid, or it is truncated.
    """
    try:
        tiers = _long_tiers(text) or textgrid_io.parseTextgridStr(text, includeEmptyIntervals=True)["tiers"]
        parsed = {str(tier["name"]): _intervals(tier) for tier in tiers if tier["class"] == "IntervalTier"}
        ends = {str(tier["name"]): float(tier["xmax"]) for tier in tiers}
    except _DAMAGE as error:
        raise AlignmentError(f"not a TextGrid, or damaged: {error or type(error).__name__}; export it again") from error
    for name, intervals in parsed.items():
        _check_complete(name, intervals, ends[name])
    return parsed


def _long_tiers(text: str) -> list[dict[str, Any]]:
    """Tiers of the long format, as praatio gives them, at a sixth of its price; none where anything else is there."""
    head = _HEAD.match(text)
    tiers, end = [], head.end() if head else 0
    for tier in _TIER.finditer(text):
        entries = [(start, stop, _unquoted(label)) for start, stop, label in _ENTRY.findall(tier["entries"])]
        if tier.start() != end or len(entries) != int(tier["size"]):
            return []
        end = tier.end()
        tiers.append(
            {"class": "IntervalTier", "name": _unquoted(tier["name"]), "xmax": tier["end"], "entries": entries}
        )
    return tiers if head and end == len(text) and len(tiers) == int(head["size"]) else []


def _unquoted(label: str) -> str:
    return label.strip().replace('""', '"')


def _intervals(tier: Mapping[str, Sequence[tuple[str, str, str]]]) -> tuple[Interval, ...]:
    return tuple(Interval(label, float(start), float(end)) for start, end, label in tier["entries"])


def _check_complete(name: str, intervals: Sequence[Interval], end_s: float) -> None:
    """The intervals of a tier fill it: where they do not, the file was cut."""
    last = intervals[-1].end_s if intervals else 0.0
    if abs(last - end_s) > TOLERANCE_S:
        raise AlignmentError(
            f"truncated: the tier '{name}' ends at {last} s, its header says {end_s} s; export it again"
        )


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


def to_alignment(request: AlignmentRequest, tiers: Tiers) -> Alignment:
    """The request's words in the time of its waveform, from the tiers 'words' and 'phones'; score 0.

    Raises:
        AlignmentError: other words, unknown phones, or times outside the audio.
    """
    words = [interval for interval in _tier(tiers, "words") if interval.label not in PAUSES]
    phones = [interval for interval in _tier(tiers, "phones") if interval.label not in PAUSES]
    seconds = len(request.waveform) / request.sampling_rate
    aligned = []
    for word, interval in zip(request.words, _match(request.words, words), strict=True):
        spoken = tuple(_phones(interval, phones))
        aligned.append(WordAlignment(word.text, tuple(_shift(phone, request.offset_s, seconds) for phone in spoken)))
        _check_inside(aligned[-1], spoken, request.offset_s, seconds)
    return Alignment(tuple(aligned), 0.0, "textgrid")


def _tier(tiers: Tiers, name: str) -> tuple[Interval, ...]:
    """The tier `name`; with several speakers MFA calls it 'SPEAKER - words'."""
    found = [tier for tier in tiers if tier == name or tier.endswith(f" - {name}")]
    if len(found) != 1:
        raise AlignmentError(f"got the tiers {sorted(tiers)}, wanted '{name}'; export it with word and phone tiers")
    return tiers[found[0]]


def _key(text: str) -> str:
    """What is compared of a word: its letters and digits."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())


def _match(words: Sequence[Word], intervals: Sequence[Interval]) -> list[Interval]:
    """For each word the interval in which it is spoken; a compound may be several intervals of the TextGrid.

    Raises:
        AlignmentError: the TextGrid says other words.
    """
    rest = list(intervals)
    return [_take(word, rest, index, last=index == len(words) - 1) for index, word in enumerate(words)]


def _take(word: Word, rest: list[Interval], index: int, last: bool) -> Interval:
    taken: list[Interval] = []
    while rest and (not taken or len(_key("".join(part.label for part in taken))) < len(_key(word.text))):
        taken.append(rest.pop(0))
    got = " ".join(part.label for part in taken)
    if any(part.label in UNKNOWN for part in taken):
        raise AlignmentError(f"word {index + 1}, '{word.text}', is '{got}' there; add it to the aligner's dictionary")
    if _key(got) != _key(word.text) or not taken or (last and rest):
        surplus = f" and {len(rest)} more words" if last and rest else ""
        raise AlignmentError(
            f"word {index + 1} is '{got or 'missing'}'{surplus} there, wanted '{word.text}'; "
            "is it another utterance's, or was it made from another transcript?"
        )
    return Interval(word.text, taken[0].start_s, taken[-1].end_s)


def _middle(phone: Interval) -> float:
    return (phone.start_s + phone.end_s) / 2


def _phones(word: Interval, phones: Sequence[Interval]) -> Sequence[Interval]:
    """The phones, which are in order, whose middle lies in `word`."""
    first = bisect_left(phones, word.start_s, key=_middle)
    inside = phones[first : bisect_right(phones, word.end_s, lo=first, key=_middle)]
    strange = next((phone.label for phone in inside if phone.label not in ARPABET), None)
    if strange in UNKNOWN:
        raise AlignmentError(f"'{word.label}' is spoken '{strange}' there; add it to the aligner's dictionary")
    if strange is not None or not inside:
        raise AlignmentError(
            f"'{word.label}' has {f'the phone {strange!r}' if inside else 'no phones'}, "
            "wanted ARPAbet with stress (MFA's dictionary english_us_arpa)"
        )
    return inside


def _shift(phone: Interval, offset_s: float, seconds: float) -> Interval:
    """`phone` in the time of the waveform, clipped to it."""
    start, end = (min(max(0.0, time - offset_s), seconds) for time in (phone.start_s, phone.end_s))
    return Interval(phone.label, start, end)


def _check_inside(word: WordAlignment, spoken: Sequence[Interval], offset_s: float, seconds: float) -> None:
    if word.phones[0].start_s >= seconds or word.phones[-1].end_s <= 0.0:
        raise AlignmentError(
            f"'{word.word}' is spoken at {spoken[0].start_s:.2f} s, outside the kept part of the recording "
            f"({offset_s:.2f} to {offset_s + seconds:.2f} s); is it another recording's? Else raise audio.trim_db"
        )
