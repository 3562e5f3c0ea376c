"""Text as written to text as spoken: numbers, dates, money and abbreviations become words; punctuation stays.

Plain text is only cleaned. Where there are digits or symbols, those words and their neighbours go to the weighted
finite-state grammar of `nemo_text_processing`, which is compiled once (about 40 s) and kept on disk:

    python -m wg2.text.normalize        # what `make install` runs; nothing is downloaded
"""

import contextlib
import fcntl
import importlib.metadata
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from wg2.text import abbreviations
from wg2.text.cleaning import clean
from wg2.text.phonemes import BRACED

CONTEXT_WORDS = 2
"""Words on each side of a number that the grammar sees: 'May 3', '20 kg', '5 million dollars'."""

_log = logging.getLogger(__name__)
_HOLDER = "\ue000"
"""A character of no script, in the place of phones in braces, which no rule touches."""
_NEEDS_GRAMMAR = re.compile(r"[\d$€£¥%@+=°]")
_CLOSING = ".!?;:\"'"
_MONTH = re.compile(r"\b(january|february|april|june|july|august|september|october|november|december)\b")
_AND = re.compile(
    r"(?<=hundred|housand|million)\s+and(?=\s+(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"\w+teen|\w+ty)\b)"
)
"""The grammar's own 'and', in a number. (All that stands before it has seven letters, as a look-behind must.)"""
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Normalizer:
    """Turns written English into spoken English. Cheap to construct: the grammar loads when a text first needs it."""

    def __init__(self, cache_dir: str = "", hundreds_and: bool = True) -> None:
        """Remember where the compiled grammar is.

        Args:
            cache_dir: folder of compiled grammars; default: $WG2_CACHE, else ~/.cache/wg2.
            hundreds_and: 'one hundred and twenty'; else 'one hundred twenty'.
        """
        self._cache_dir = cache_dir
        self._hundreds_and = hundreds_and

    def __call__(self, text: str) -> str:
        """The spoken form, with its punctuation; normalising it again changes nothing. Phones in braces stay."""
        held = [f"{{{' '.join(group.strip('{}').split())}}}" for group in BRACED.findall(text)]
        spoken = self._spoken(BRACED.sub(_HOLDER, text) if held else text)
        return re.sub(_HOLDER, lambda _: held.pop(0), spoken) if held else spoken

    def _spoken(self, text: str) -> str:
        text = abbreviations.expand(clean(text))
        if not _NEEDS_GRAMMAR.search(text):
            return text
        return clean("".join(self._parts(text)))

    def _parts(self, text: str) -> Iterator[str]:
        end = 0
        for start, stop in _spans(text):
            yield text[end:start]
            span = text[start:stop]
            spoken = _speak(span, self._cache_dir)
            yield spoken if self._hundreds_and or " and " in span else _AND.sub("", spoken)
            end = stop
        yield text[end:]


def needs_grammar(text: str) -> bool:
    """Whether a text has digits or symbols that only the grammar can read."""
    return _NEEDS_GRAMMAR.search(abbreviations.expand(clean(BRACED.sub(_HOLDER, text)))) is not None


def compile_grammar(cache_dir: str = "") -> Path:
    """Compile the grammar unless it is there. Processes that ask at the same time wait for the first.

    Returns:
        The folder of the compiled grammar; it appears complete or not at all.
    """
    folder = _grammar_folder(cache_dir)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            _compile_into(folder)
    return folder


def _grammar_folder(cache_dir: str) -> Path:
    """One folder for each version of the grammar and of its compiler."""
    base = cache_dir or os.environ.get("WG2_CACHE") or "~/.cache/wg2"
    versions = "-".join(importlib.metadata.version(name) for name in ("nemo_text_processing", "pynini"))
    return Path(base).expanduser() / f"grammar-en-{versions}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _compile_into(folder: Path) -> None:
    _log.warning("compiling the grammar of numbers and dates into %s (once, about 40 s)", folder)
    temporary = Path(tempfile.mkdtemp(prefix=".grammar-", dir=folder.parent))
    try:
        _open_grammar(temporary)
        temporary.chmod(0o755)  # mkdtemp's own folders are closed to other users of a shared cache
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_grammar(folder: Path) -> Any:
    """NeMo's normaliser on the grammars in `folder`, which it compiles when they are missing."""
    # It announces every call at INFO and resets its own level, hence a filter instead of setLevel.
    logging.getLogger("NeMo-text-processing").addFilter(_only_errors)
    from nemo_text_processing.text_normalization.normalize import Normalizer as Grammar

    return Grammar(input_case="cased", lang="en", cache_dir=str(folder), overwrite_cache=False)


def _only_errors(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


@lru_cache(maxsize=2)
def _grammar(cache_dir: str) -> Any:
    return _open_grammar(compile_grammar(cache_dir))


def _spans(text: str) -> list[tuple[int, int]]:
    """Character ranges of the words that need the grammar with their neighbours; ranges that meet are one.

    Neighbours are of the same clause: given '411 Elm Street. End', the grammar swallows the full stop.
    """
    words = [match.span() for match in re.finditer(r"\S+", text)]
    closes = [text[end - 1] in _CLOSING for _, end in words]
    chosen: set[int] = set()
    for index, (start, end) in enumerate(words):
        if _NEEDS_GRAMMAR.search(text, start, end):
            chosen |= _neighbourhood(index, closes)
    ranges: list[tuple[int, int]] = []
    for index in sorted(chosen):
        joined = index - 1 in chosen and not closes[index - 1]
        ranges.append((ranges.pop()[0] if joined else words[index][0], words[index][1]))
    return ranges


def _neighbourhood(index: int, closes: list[bool]) -> set[int]:
    first = last = index
    while first > max(0, index - CONTEXT_WORDS) and not closes[first - 1]:
        first -= 1
    while last < min(len(closes) - 1, index + CONTEXT_WORDS) and not closes[last]:
        last += 1
    return set(range(first, last + 1))


@lru_cache(maxsize=4096)
def _speak(span: str, cache_dir: str) -> str:
    body = span.rstrip(_CLOSING)
    spoken = str(_grammar(cache_dir).normalize(body, punct_post_process=True)) + span[len(body) :]
    spoken = _MONTH.sub(lambda month: month[0].capitalize(), spoken)  # the grammar lowers them
    for month in ("May", "March"):
        if month in span:
            spoken = re.sub(rf"\b{month.lower()}\b", month, spoken)
    # What the grammar leaves is read digit by digit: nothing is lost in silence.
    return re.sub(r"\d", lambda digit: f" {_DIGITS[int(digit[0])]} ", spoken)


def main() -> None:
    """Compile the grammar and say where it is."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    print(f"text normalisation grammar: {compile_grammar()}")


if __name__ == "__main__":
    main()
