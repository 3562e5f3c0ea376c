"""Imported alignments: TextGrids as the Montreal Forced Aligner writes them and as people save them.

textgrid_format.py reads the files, textgrid_labels.py knows names of tiers, marks of silence and phones.

A TextGrid is in the time of the source recording; `AlignmentRequest.offset_s` says what trimming took away in front.
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

from wg2 import storage
from wg2.alignment import Alignment, AlignmentRequest, Interval, WordAlignment
from wg2.alignment.textgrid_format import Tiers, decoded, parse
from wg2.alignment.textgrid_labels import Tier, is_pause, is_unknown, speakers, spoken
from wg2.errors import AlignmentError, StorageError
from wg2.text.phonemes import Word

_SUFFIX = ".textgrid"


class TextGrids:
    """The TextGrids of a folder and of the folders in it, by the names of their utterances.

    `UTT.TextGrid`, in any case, is the utterance UTT's; `SPEAKER/N.TextGrid` is also SPEAKER-N's and SPEAKER_N's.

    Args:
        folder: a path or s3:// prefix, listed once; '' holds none.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._found: dict[str, list[tuple[str, str]]] = {}
        for path, version in sorted(_walk(folder, "")) if folder else ():
            for name in _names(path):
                self._found.setdefault(name, []).append((path, version))

    def identity(self, utt_id: str) -> str:
        """Changes with the utterance's TextGrid; '' where there is none."""
        return " ".join(f"{path}:{version}" for path, version in self._nearest(utt_id))

    def uri(self, utt_id: str) -> str:
        """Where the utterance's TextGrid is.

        Raises:
            AlignmentError: there is none, or there are two.
        """
        found = [storage.join(self._folder, path) for path, _ in self._nearest(utt_id)]
        if not found:
            raise AlignmentError(f"no TextGrid, wanted {storage.join(self._folder, utt_id)}.TextGrid or the same in a "
                                 "folder of its speaker; put it there or choose another prepare.aligner")  # fmt: skip
        if len(found) > 1:
            raise AlignmentError(f"{len(found)} TextGrids have its name: {', '.join(found[:3])}; leave one")
        return found[0]

    def _nearest(self, utt_id: str) -> list[tuple[str, str]]:
        """Those that are fewest folders deep."""
        found = self._found.get(unicodedata.normalize("NFC", utt_id), [])
        depth = min((path.count("/") for path, _ in found), default=0)
        return [(path, version) for path, version in found if path.count("/") == depth]


def _walk(folder: str, below: str) -> Iterator[tuple[str, str]]:
    """Path below the folder, and version, of each TextGrid."""
    for item in storage.scan(storage.join(folder, below) if below else folder):
        path = f"{below}/{item.name}".lstrip("/")
        if item.is_folder:
            yield from _walk(folder, path)
        elif item.name.lower().endswith(_SUFFIX) and not item.name.startswith("."):
            yield path, item.version


def _names(path: str) -> set[str]:
    """What an utterance with this TextGrid may be called."""
    *folders, stem = unicodedata.normalize("NFC", path)[: -len(_SUFFIX)].split("/")
    return {stem, *(f"{folder}{mark}{stem}" for folder in folders[-1:] for mark in "-_")}


class TextGridAligner:
    """Takes the alignment of each utterance from its TextGrid in a folder; listens to nothing.

    Phones are the TextGrid's; words are matched to the request's in order, whatever their case. A TextGrid has no
    score: it is 0.
    """

    def __init__(self, folder: str) -> None:
        self._grids = TextGrids(folder)

    def align(self, requests: Sequence[AlignmentRequest]) -> list[Alignment | AlignmentError]:
        """Import a batch: one result for each request, in order; a failure does not disturb the others."""
        return [self._result(request) for request in requests]

    def _result(self, request: AlignmentRequest) -> Alignment | AlignmentError:
        where = request.utt_id
        try:
            uri = self._grids.uri(request.utt_id)
            data = storage.read_bytes(uri)
            where = f"{where}: {uri}"
            return to_alignment(request, parse(decoded(data)))
        except (AlignmentError, StorageError) as error:
            return AlignmentError(f"{where}: {error}")


def to_alignment(request: AlignmentRequest, tiers: Tiers) -> Alignment:
    """The request's words in the time of its waveform, from the tiers of words and phones; score 0.

    Of several speakers it is the one who says the words, the request's own first; else all of them together.

    Raises:
        AlignmentError: no such tiers, other words, unknown phones, or times outside the audio.
    """
    found = speakers(tiers)
    own = request.speaker.casefold()
    choices = [found[name] for name in sorted(found, key=lambda name: name != own)]
    if len(choices) > 1:
        choices.append((_together(words for words, _ in choices), _together(phones for _, phones in choices)))
    errors = []
    for words, phones in choices:
        try:
            return _aligned(request, words, phones)
        except AlignmentError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise AlignmentError(
        f"none of the {len(found)} speakers in the tiers {sorted(tiers)} says these words: {errors[0]}"
    )


def _together(tiers: Iterator[Tier]) -> Tier:
    return tuple(sorted(chain.from_iterable(tiers), key=attrgetter("start_s")))


def _aligned(request: AlignmentRequest, word_tier: Tier, phone_tier: Tier) -> Alignment:
    phones = [interval for interval in phone_tier if not is_pause(interval.label)]
    words = [interval for interval in word_tier if not _is_silent(interval, phones)]
    seconds = len(request.waveform) / request.sampling_rate
    aligned = []
    for word, interval in zip(request.words, _match(request.words, words), strict=True):
        said = tuple(_phones(word, interval, phones))
        aligned.append(WordAlignment(word.text, tuple(_shift(phone, request.offset_s, seconds) for phone in said)))
        _check_inside(aligned[-1], said, request.offset_s, seconds)
    return Alignment(tuple(aligned), 0.0, "textgrid")


def _is_silent(word: Interval, phones: Sequence[Interval]) -> bool:
    """Whether it is a mark of silence: the spoken word 'sil' has phones."""
    return not word.label or (is_pause(word.label) and all(is_unknown(p.label) for p in _inside(word, phones)))


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
    other = _key(got) != _key(word.text)
    if other and any(is_unknown(part.label) for part in taken):
        raise AlignmentError(f"word {index + 1}, '{word.text}', is '{got}' there; add it to the aligner's dictionary")
    if other or not taken or (last and rest):
        surplus = f" and {len(rest)} more words" if last and rest else ""
        raise AlignmentError(
            f"word {index + 1} is '{got or 'missing'}'{surplus} there, wanted '{word.text}'; "
            "is it another utterance's, or was it made from another transcript?"
        )
    return Interval(word.text, taken[0].start_s, taken[-1].end_s)


def _middle(phone: Interval) -> float:
    return (phone.start_s + phone.end_s) / 2


def _inside(word: Interval, phones: Sequence[Interval]) -> Sequence[Interval]:
    """The phones, which are in order, whose middle lies in `word`."""
    first = bisect_left(phones, word.start_s, key=_middle)
    return phones[first : bisect_right(phones, word.end_s, lo=first, key=_middle)]


def _phones(word: Word, interval: Interval, phones: Sequence[Interval]) -> Iterator[Interval]:
    """The phones of a word, as ARPAbet with stress."""
    inside = _inside(interval, phones)
    unknown = next((phone.label for phone in inside if is_unknown(phone.label)), None)
    if unknown is not None:
        raise AlignmentError(f"'{word.text}' is spoken '{unknown}' there; add it to the aligner's dictionary")
    if not inside:
        raise AlignmentError(f"'{word.text}' has no phones there; export it with a phone tier that is filled")
    try:
        groups = spoken([phone.label for phone in inside], word.pronunciations)
    except KeyError as error:
        raise AlignmentError(
            f"'{word.text}' has a phone that is neither ARPAbet nor IPA of American English ({error}) among "
            f"{[phone.label for phone in inside]}; use MFA's dictionary english_us_arpa or english_us_mfa"
        ) from error
    for phone, group in zip(inside, groups, strict=True):
        step = (phone.end_s - phone.start_s) / len(group)
        for place, label in enumerate(group):
            end = phone.end_s if place == len(group) - 1 else phone.start_s + step * (place + 1)
            yield Interval(label, phone.start_s + step * place, end)


def _shift(phone: Interval, offset_s: float, seconds: float) -> Interval:
    """`phone` in the time of the waveform, clipped to it."""
    start, end = (min(max(0.0, time - offset_s), seconds) for time in (phone.start_s, phone.end_s))
    return Interval(phone.label, start, end)


def _check_inside(word: WordAlignment, said: Sequence[Interval], offset_s: float, seconds: float) -> None:
    if word.phones[0].start_s >= seconds or word.phones[-1].end_s <= 0.0:
        raise AlignmentError(
            f"'{word.word}' is spoken at {said[0].start_s:.2f} s, outside the kept part of the recording "
            f"({offset_s:.2f} to {offset_s + seconds:.2f} s); is it another recording's? Else raise audio.trim_db"
        )
