"""Text to words: normalised, split, pronounced, each with the mark that follows it."""

import re
from collections.abc import Iterator
from dataclasses import replace

from wg2.config import TextConfig
from wg2.errors import TextError
from wg2.text.lexicon import Lexicon
from wg2.text.normalize import Normalizer
from wg2.text.phonemes import BRACED, Word

_WORD = re.compile(rf"{BRACED.pattern}|'?[^\W\d_]+(?:['-][^\W\d_]+)*'?")
_STRONGEST_FIRST = ("?", "!", ".", "—", ";", ":", ",")
_SHOWN = 60
"""Characters of a text that an error message shows."""


class Frontend:
    """The one way from text to phones, for alignment and for synthesis. Cheap to construct."""

    def __init__(self, config: TextConfig, lexicon: str = "") -> None:
        """Set up normaliser and lexicon; grammar, dictionary and G2P model are loaded when a text first needs them.

        Args:
            config: how text is read.
            lexicon: own pronunciations that a voice brings along, as lines; those of `config.lexicon` win over them.
        Raises:
            ConfigError: a lexicon has a bad line.
        """
        self._normalize = Normalizer(config.grammar_cache, config.hundreds_and)
        self._lexicon = Lexicon(config.lexicon, lexicon)

    def spoken(self, text: str) -> str:
        """The text as it is spoken: numbers and abbreviations in words, punctuation kept."""
        return self._normalize(text)

    def words(self, text: str) -> tuple[Word, ...]:
        """The words of `text` (written or already spoken form) with pronunciations and marks.

        Brackets are read as commas, quotes are dropped, of several marks in a row the strongest stays. A hyphenated
        word is two words, unless the user's lexicon has it. Phones in braces, '{HH AH0 L OW1}', are a word as it is.

        Raises:
            TextError: no pronounceable word at all, or a word of another script, which would be lost in silence.
        """
        return self.spoken_words(self.spoken(text), text)

    def spoken_words(self, spoken: str, text: str) -> tuple[Word, ...]:
        """The words of what `spoken` made of `text`, which errors show.

        Raises:
            TextError: as `words` does.
        """
        found = [item for match in _WORD.finditer(spoken) for item in self._parts(match)]
        if not any(self._lexicon.can_pronounce(word) for word, _, _ in found):
            raise TextError(f"no pronounceable word in the text {_shown(text)}; wanted words in Latin letters")
        try:
            words = tuple(self._pronounced(found, spoken))
        except TextError as error:
            raise TextError(f"{error}: in the text {_shown(text)}") from error
        if len(words) == 1 and words[0].text in ("A", "a") and not self._lexicon.in_user_file(words[0].text):
            return (replace(words[0], pronunciations=(("EY1",),)),)  # alone it is the letter, not the article
        return words

    def _pronounced(self, found: list[tuple[str, int, int]], spoken: str) -> Iterator[Word]:
        next_starts = [start for _, start, _ in found[1:]] + [len(spoken)]
        for (word, _, end), next_start in zip(found, next_starts, strict=True):
            yield Word(word, self._lexicon.pronounce(word), _mark(spoken[end:next_start]))

    def _parts(self, match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
        """(word, start, end) of a match: whole, or cut at its hyphens."""
        if self._lexicon.in_user_file(match[0]):
            yield match[0], *match.span()
            return
        for part in re.finditer(r"[^-]+", match[0]):
            start = match.start() + part.start()
            yield self._without_quotes(part[0]), start, start + len(part[0])

    def _without_quotes(self, word: str) -> str:
        """An apostrophe at the edge stays where it belongs to the word: 'tis, 'em."""
        bare = word.strip("'")
        if bare == word or (word[0] == "'" and word[-1] != "'" and self._lexicon.lists(word)):
            return word
        return bare


def _mark(between: str) -> str:
    return next((mark for mark in _STRONGEST_FIRST if mark in between), "")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
