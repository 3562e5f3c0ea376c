"""Pronunciations of words that no dictionary lists: gruut's grapheme-to-phoneme model, from IPA to ARPAbet.

The model (a conditional random field, MIT licence) lies in the wheel `gruut_lang_en`. Loading takes about 2 s, a word
1 ms.
"""

# ruff: noqa: RUF001, RUF002 (IPA looks like Latin)
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from wg2.text.phonemes import VOWELS

_STRESS = {"ˈ": "1", "ˌ": "2"}
_VOWELS = {
    "ɑ": "AA", "ɒ": "AA", "a": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɔ": "AO", "aʊ": "AW", "aɪ": "AY",
    "ɛ": "EH", "e": "EH", "ɚ": "ER", "ɝ": "ER", "ɜ": "ER", "eɪ": "EY", "ɪ": "IH", "ᵻ": "IH", "i": "IY", "oʊ": "OW",
    "o": "OW", "əʊ": "OW", "ɔɪ": "OY", "ʊ": "UH", "u": "UW",
    "aw": "AW", "aj": "AY", "ej": "EY", "ow": "OW", "əw": "OW", "ɔj": "OY", "ɨ": "IH", "ʉ": "UW",
}  # fmt: skip
_CONSONANTS = {
    "b": "B", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH", "j": "Y", "k": "K", "l": "L", "ɫ": "L",
    "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "θ": "TH",
    "v": "V", "w": "W", "z": "Z", "ʒ": "ZH", "dʒ": "JH", "ʤ": "JH", "tʃ": "CH", "ʧ": "CH",
    "c": "K", "ɟ": "G", "ç": "HH", "ɦ": "HH", "ɲ": "N", "ɱ": "M", "ʎ": "L", "ɻ": "R", "ʔ": "T",
}  # fmt: skip
_SYLLABIC = "\u0329"
_IGNORED = frozenset("\u0361ːˑʰʲʷˠ\u032a\u0325\u0303\u031a\u032f" + _SYLLABIC)
"""Ties, lengths, aspiration, palatal and other colours: the dictionary english_us_mfa has them."""


def arpabet(ipa: str) -> tuple[str, ...]:
    """One IPA phoneme as ARPAbet: 'ˈoʊ' is OW1, 't͡ʃ' is CH, the syllabic 'l̩' is AH0 L.

    Raises:
        KeyError: it is not a sound of American English.
    """
    stress = _STRESS.get(ipa[:1], "0")
    sound = unicodedata.normalize("NFD", ipa.lstrip("ˈˌ"))
    plain = "".join(char for char in sound if char not in _IGNORED)
    plain = unicodedata.normalize("NFC", plain)
    if plain in _VOWELS:
        return (_VOWELS[plain] + stress,)
    consonant = _CONSONANTS[plain]
    return ("AH0", consonant) if _SYLLABIC in sound else (consonant,)


def one_primary_stress(phones: Iterable[str]) -> tuple[str, ...]:
    """The first primary stress stays, later ones become secondary; without any the first vowel takes it."""
    result = list(phones)
    vowels = [index for index, phone in enumerate(result) if phone[:2] in VOWELS]
    primary = [index for index in vowels if result[index].endswith("1")] or vowels[:1]
    for index in primary:
        result[index] = result[index][:2] + ("1" if index == primary[0] else "2")
    return tuple(result)


def guess(word: str) -> tuple[str, ...]:
    """The most likely pronunciation of a lower-case word in Latin letters; empty when the model finds none."""
    return one_primary_stress(phone for ipa in _predict(word) for phone in arpabet(ipa))


def _predict(word: str) -> Sequence[str]:
    phones: Sequence[str] = _model()(word)
    return phones


@lru_cache(maxsize=1)
def _model() -> Any:
    from gruut.g2p import GraphemesToPhonemes  # 2 s, mostly of networkx: only when a word needs it

    with as_file(files("gruut_lang_en") / "g2p" / "model.crf") as path:
        return GraphemesToPhonemes(path)
