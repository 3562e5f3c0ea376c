"""What the columns of a metadata file without a standard are: its first lines, and the audio that is there, tell.

A column of which files exist is the id. A text beside a text is the raw and the normalised one, when they share most of
their words; few distinct values without spaces are a speaker. What cannot be told is asked for, never guessed.
"""

import csv
import re
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

from wg2.config import Column
from wg2.errors import CorpusError

SAMPLE_LINES = 100
"""Lines that decide."""
_SEPARATORS = ("|", "\t", ";", ",")
_NAMES: dict[str, Column] = {
    **dict.fromkeys(("id", "utt_id", "utterance_id", "file", "filename", "file_name", "wav", "wav_filename", "audio",
                     "audio_file", "path", "name"), "id"),
    **dict.fromkeys(("text", "raw", "raw_text", "transcript", "transcription", "sentence"), "text"),
    **dict.fromkeys(("text_norm", "normalised", "normalized", "norm", "text_normalized", "normalized_text",
                     "normalized_transcription", "normalized_transcript"), "text_norm"),
    **dict.fromkeys(("speaker", "speaker_id", "speaker_name", "spk", "spk_id"), "speaker"),
}  # fmt: skip
"""What a header calls the columns."""
_SHOWN = {"text": "raw", "text_norm": "normalised"}
_FEW_ROWS = 10
"""Below this a token beside a text counts as a speaker, however many there are."""
_WORD = re.compile(r"[^\W\d_]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2}(?:[-_][A-Za-z]{2})?")
_NUMBER = re.compile(r"-?\d*\.\d+")


@dataclass(frozen=True)
class Table:
    """How a metadata file is to be read.

    Attributes:
        columns: what they are.
        separator: between them.
        quoted: fields may stand in double quotes.
        header: the first line is no utterance.
        why: the evidence, for a person.
    """

    columns: tuple[Column, ...]
    separator: str = "|"
    quoted: bool = False
    header: bool = False
    why: str = ""

    def fields(self, line: str) -> list[str]:
        """The fields of a line, without the spaces around them."""
        return _split(line, self.separator, self.quoted)

    def wanted(self) -> str:
        """The columns as 'id|raw|normalised'."""
        return self.separator.join(_SHOWN.get(column, column) for column in self.columns)

    def __str__(self) -> str:
        notes = [f"separated by {self.separator!r}"] if self.separator != "|" else []
        notes += ["quoted"] * self.quoted + ["a header"] * self.header + [self.why] * bool(self.why)
        return f"columns {'|'.join(self.columns)}{' (' + ', '.join(notes) + ')' if notes else ''}"


def decide(lines: Sequence[str], audio: Container[str], file: str, columns: tuple[Column, ...] = ()) -> Table:
    """How to read a file that begins with these lines.

    Args:
        lines: the first ones that are not blank.
        audio: what names an audio file.
        file: for messages.
        columns: what the user says they are.
    Raises:
        CorpusError: nobody can tell.
    """
    separator = next((sep for sep in _SEPARATORS if 2 * sum(sep in line for line in lines) >= max(len(lines), 1)), "|")
    quoted = separator == "," or _are_quoted([line.split(separator) for line in lines])
    rows = [_split(line, separator, quoted) for line in lines]
    named = _header(rows[0], audio) if rows else ()
    header, rows = bool(named), rows[1:] if named else rows
    why = "as corpus.columns says" if columns else ""
    if not columns and "id" in named and "text" in named:
        columns, why = named, "as its header says"
    if not columns:
        width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 1
        columns, why = _of_contents([row for row in rows if len(row) == width], width, audio)
    if not columns:
        raise CorpusError(
            f"{file}:{1 + header}: got {len(rows[0])} fields, wanted id|raw|normalised or id|speaker|text, and the "
            f"first {len(rows)} lines do not tell; name them in corpus.columns ({', '.join(get_args(Column))}): "
            f"{separator.join(rows[0])[:60]!r}"
        )
    return Table(columns, separator, quoted, header, why)


def _split(line: str, separator: str, quoted: bool) -> list[str]:
    try:
        fields = next(csv.reader([line], delimiter=separator), []) if quoted else line.split(separator)
    except csv.Error:  # a carriage return in the middle: whoever counts the fields names the line
        fields = [line]
    return [field.strip() for field in fields]


def _are_quoted(rows: Sequence[Sequence[str]]) -> bool:
    """Whether some column stands in quotes in every line, of two at least."""
    columns = zip(*rows, strict=False)
    return len(rows) > 1 and any(all(re.fullmatch(r'\s*".*"\s*', field) for field in column) for column in columns)


def _header(row: Sequence[str], audio: Container[str]) -> tuple[Column, ...]:
    """The columns that a header names; () when the line is none."""
    names = tuple(_NAMES.get(re.sub(r"[\s-]+", "_", field.lower()), "ignore") for field in row)
    known = len(names) - names.count("ignore")
    if known < 2 or 2 * known < len(names) or row[0] in audio:
        return ()
    return tuple(name if name not in names[:place] else "ignore" for place, name in enumerate(names))


def _of_contents(rows: Sequence[Sequence[str]], width: int, audio: Container[str]) -> tuple[tuple[Column, ...], str]:
    """The columns, and why; () when that cannot be told."""
    if width < 2:
        return ("id", "text", "text_norm"), ""
    values = list(zip(*rows, strict=True))
    hits = [sum(value in audio for value in column) for column in values]
    key = hits.index(max(hits))
    rest = [place for place in range(width) if place != key]
    found: dict[int, Column] = {key: "id"}
    why = ""
    if texts := _texts(values, rest):
        found |= dict(zip(texts, ("text", "text_norm"), strict=False))
        speaker = _speaker(values, [place for place in rest if place not in found])
        if speaker is not None:
            found[speaker] = "speaker"
            why = f"column {speaker + 1} has {_count(values[speaker])} in {len(rows)} lines"
    return (tuple(found.get(place, "ignore") for place in range(width)), why) if texts else ((), "")


def _texts(values: Sequence[Sequence[str]], rest: Sequence[int]) -> tuple[int, ...]:
    """The column of the text, and that of the normalised one; () when that cannot be told."""
    if len(rest) == 1:
        return (rest[0],)
    pairs = [(one, other) for one, other in combinations(rest, 2) if _are_the_same(values[one], values[other])]
    if len(pairs) == 1:
        first, second = pairs[0]
        return (second, first) if _has_digits(values[second]) and not _has_digits(values[first]) else (first, second)
    texts = [place for place in rest if _is_prose(values[place])]
    if len(texts) != 1:  # names with a space in them; or single words, yes and no and stop
        texts = [place for place in texts or rest if not _is_few(values[place])]
    return (texts[0],) if len(texts) == 1 and not pairs else ()


def _speaker(values: Sequence[Sequence[str]], rest: Sequence[int]) -> int | None:
    """The column with few distinct values; one of languages or numbers only if there is no other."""
    few = [place for place in rest if any(values[place]) and not all(_NUMBER.fullmatch(v) for v in values[place])
           and (len(values[place]) < _FEW_ROWS or _is_few(values[place]))]  # fmt: skip
    names = [place for place in few if not all(_LANGUAGE.fullmatch(value) for value in values[place])]
    return max(names or few, key=lambda place: len(set(values[place])), default=None)


def _is_prose(column: Sequence[str]) -> bool:
    filled = [value for value in column if value]
    return bool(filled) and 2 * sum(" " in value for value in filled) >= len(filled)


def _is_few(column: Sequence[str]) -> bool:
    return len(set(column)) <= max(1, len(column) // 2)


def _are_the_same(raw: Sequence[str], normalised: Sequence[str]) -> bool:
    """Whether the texts of two columns share half of their words, where they can be compared."""
    shares = []
    for first, second in zip(raw, normalised, strict=True):
        one, other = (set(_WORD.findall(text.lower())) for text in (first, second))
        if first and first == second:
            shares.append(1.0)
        elif one and other:
            shares.append(len(one & other) / min(len(one), len(other)))
    if shares:
        return sum(shares) >= 0.5 * len(shares)
    return not any(normalised) or not (_is_few(raw) or _is_few(normalised))


def _has_digits(column: Sequence[str]) -> bool:
    return any(re.search(r"\d", value) for value in column)


def _count(column: Sequence[str]) -> str:
    number = len(set(column))
    return f"{number} distinct value{'s' * (number != 1)}"
