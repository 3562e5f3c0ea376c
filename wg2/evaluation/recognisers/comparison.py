"""Word and character error rates of what was heard, both sides in one spelling.

    WER = (substitutions + deletions + insertions) / words wanted

by the cheapest alignment (Levenshtein distance); CER is the same over characters, spaces included. Both by `jiwer`.
Insertions can take either above 1.

The spelling is that of Whisper's own English normaliser (Radford et al., "Robust speech recognition via large-scale
weak supervision", 2022, appendix C; `whisper_normalizer`): lower case, no marks, numbers in digits, American, titles
and contractions written out. So "twenty" and "20" are one word, "Mr." and "mister" too. Here a word that only one side
writes apart is one word as well: "to-day", "wood cutters", "A B C", "3:30".
"""

import re
from collections.abc import Callable, Collection, Sequence
from functools import cache

import jiwer

_SPELLINGS = {
    "ok": "okay", "til": "till", "missis": "missus", "etc": "et cetera", "ltd": "limited", "sgt": "sergeant",
    "mt": "mount", "vs": "versus",
}  # fmt: skip
"""What the normaliser leaves, and a recogniser writes either way."""
_BRACKETS = str.maketrans("()[]<>", " " * 6)  # the normaliser would drop what is between them
_CLOCK = re.compile(r"(?<=\d)\.(?=\d\d ?[ap]\.?m)", re.IGNORECASE)  # "5.30 pm" is no decimal
_WORD = re.compile(r"[\w']+")
_LONGEST = 3  # words that are one on the other side


def error_rates(wanted: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """`wer` and `cer` of what was heard.

    Args:
        wanted: words that were to be said, one or more.
        heard: words that were understood, perhaps none.
    """
    said, understood = _plain(wanted), _plain(heard)
    if not said:  # nothing is left of "um" and "hmm"
        said, understood = (_WORD.findall(" ".join(words).lower()) for words in (wanted, heard))
    target, hypothesis = " ".join(joined(said, understood)), " ".join(joined(understood, said))
    return {"wer": float(jiwer.wer(target, hypothesis)), "cer": float(jiwer.cer(target, hypothesis))}


def joined(words: Sequence[str], other: Collection[str]) -> list[str]:
    """`words`, two or three in a row made one where the other side has them as one."""
    found, place = list[str](), 0
    while place < len(words):
        lengths = (n for n in range(_LONGEST, 1, -1) if "".join(words[place : place + n]) in other)
        length = next(lengths, 1)
        found.append("".join(words[place : place + length]))
        place += length
    return found


def _plain(words: Sequence[str]) -> list[str]:
    spelled = _normaliser()(_CLOCK.sub(" ", " ".join(words).translate(_BRACKETS)))
    return " ".join(_SPELLINGS.get(word, word) for word in spelled.split()).split()


@cache
def _normaliser() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    spelled: Callable[[str], str] = EnglishTextNormalizer()
    return spelled
