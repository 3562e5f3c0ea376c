"""What people write into TextGrids: names of tiers, marks of silence, phones."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from wg2.alignment import Interval
from wg2.errors import AlignmentError
from wg2.text.g2p import arpabet
from wg2.text.phonemes import PHONES, VOWELS

_PAUSE = re.compile(
    r"|(?:sil(?:_[bies])?|sp|pau|pause|silence|h?#|_|-|\.\.\.)|[\[<({](?:sil|sp|eps|pau?|pause|silence|p:|/?s)[\])}>]",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"[\[<({]?(?:spn|nsn|unk|oov)[\])}>]?", re.IGNORECASE)
_BETWEEN = r"[-_:/|.()\[\]\s]+"
_BESIDE = r"(?:(?P<before>.+?){0})?(?:{1})(?:{0}(?P<behind>.*))?"
_WORDS = re.compile(_BESIDE.format(_BETWEEN, "words?|wrd"), re.IGNORECASE)
_PHONES = re.compile(_BESIDE.format(_BETWEEN, "phones?|phonemes?|phns?|segments?"), re.IGNORECASE)
_IPA_STRESS = ("\u02c8", "\u02cc")

Tier = tuple[Interval, ...]


def is_pause(label: str) -> bool:
    """Whether it may be a mark of silence; in a tier of words it may be a word all the same ('sil', 'pause')."""
    return _PAUSE.fullmatch(label) is not None


def is_unknown(label: str) -> bool:
    """Whether it may be the mark of what an aligner could not pronounce."""
    return _UNKNOWN.fullmatch(label) is not None


def speakers(tiers: Mapping[str, Tier]) -> dict[str, tuple[Tier, Tier]]:
    """Words and phones of each speaker, '' where the tiers name none: 'word', 'Anna - words', 'phones_Anna' are known.

    Raises:
        AlignmentError: there is no such pair of tiers.
    """
    words, phones = (dict(_named(tiers, pattern)) for pattern in (_WORDS, _PHONES))
    if len(words) == len(phones) == 1:  # whatever stands beside their names
        phones = dict(zip(words, phones.values(), strict=True))
    both = {speaker: (tiers[name], tiers[phones[speaker]]) for speaker, name in words.items() if speaker in phones}
    if not both:
        raise AlignmentError(f"got the tiers {sorted(tiers)}, wanted 'words' and 'phones', of each speaker where there "
                             "are several ('Anna - words'); export it with word and phone tiers")  # fmt: skip
    return both


def _named(tiers: Iterable[str], pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for name in tiers:
        if found := pattern.fullmatch(name.strip()):
            yield (found["before"] or found["behind"] or "").casefold(), name


def spoken(labels: Sequence[str], pronunciations: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """ARPAbet phones with stress for the labels of a word, which are ARPAbet or IPA, in either case with stress or not.

    Where the labels tell no stress, the lexicon does: its nearest pronunciation with as many vowels.

    Args:
        labels: of the phones of a word.
        pronunciations: of that word, ARPAbet with stress.
    Returns:
        The phones of each label: two for a syllabic consonant, else one.
    Raises:
        KeyError: a label is no phone of American English.
    """
    marked = any(label.startswith(_IPA_STRESS) for label in labels)
    phones = [_phones(label, marked) for label in labels]
    if not any(phone in VOWELS for group in phones for phone in group):
        return phones
    stress = _stress([phone for group in phones for phone in group], pronunciations)
    digits = iter(stress)
    return [tuple(_stressed(phone, next(digits)) if phone[:2] in VOWELS else phone for phone in group)
            for group in phones]  # fmt: skip


def _phones(label: str, marked: bool) -> tuple[str, ...]:
    name = re.sub(r"_[BIES]$", "", label).upper()
    if name in PHONES or name in VOWELS:
        return (name,)
    phones = arpabet(label)
    return phones if marked or len(phones) > 1 else (phones[0].rstrip("012"),)


def _stressed(vowel: str, digit: str) -> str:
    return vowel + digit if vowel in VOWELS else vowel


def _stress(phones: Sequence[str], pronunciations: Sequence[tuple[str, ...]]) -> str:
    """A digit for each vowel of `phones`."""
    bare = [phone.rstrip("012") for phone in phones]
    vowels = sum(phone in VOWELS for phone in bare)
    fitting = [said for said in pronunciations if sum(phone[:2] in VOWELS for phone in said) == vowels]
    if not fitting:
        return "1" + "0" * (vowels - 1)
    nearest = max(fitting, key=lambda said: _likeness(bare, said))
    return "".join(phone[-1] for phone in nearest if phone[:2] in VOWELS)


def _likeness(bare: Sequence[str], said: Sequence[str]) -> float:
    return SequenceMatcher(None, bare, [phone.rstrip("012") for phone in said], autojunk=False).ratio()
