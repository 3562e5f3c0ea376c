"""One utterance of a corpus, and what every reader asks of its metadata."""

import re
from dataclasses import dataclass

from wg2.errors import CorpusError

SPEAKER = "single"
"""The one speaker of a corpus that names none."""
AUDIO_FORMATS = ("wav", "flac", "mp3", "ogg", "opus")
"""In order of preference, where an utterance is there in several."""
_LINE_BITS = 40


@dataclass(frozen=True, slots=True)
class Recording:
    """One utterance of a corpus.

    Attributes:
        utt_id: its name, which is a safe file name.
        uri: its audio, a path or s3:// uri.
        text: what is said, as written; '' where the corpus has no transcript.
        text_norm: the corpus' own normalised transcript, '' when it has none.
        speaker: who says it.
        start_s: where it starts in the audio, seconds.
        end_s: where it ends, seconds; 0 is the end of the audio.
        version: changes with the audio file: its size and the time of its last change.
    """

    utt_id: str
    uri: str
    text: str
    text_norm: str
    speaker: str
    start_s: float = 0.0
    end_s: float = 0.0
    version: str = ""


class Ids:
    """The ids of a corpus: safe file names, each once. About 200 bytes an id."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, utt_id: str, file: str, line: int) -> None:
        """One more, from a line of a metadata file.

        Raises:
            CorpusError: the id is no safe file name, or was there before.
        """
        if not is_file_name(utt_id):
            raise CorpusError(
                f"{file}:{line}: utterance id {utt_id!r} is not a file name; use letters, digits, '-' and '_'"
            )
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        place = (len(self._files) - 1 << _LINE_BITS) | line
        first = self._places.setdefault(utt_id, place)
        if first != place:
            raise CorpusError(f"{file}:{line}: utterance {utt_id!r} is already in {self._where(first, file)}; "
                              "ids must be unique")  # fmt: skip

    def _where(self, place: int, file: str) -> str:
        name, line = self._files[place >> _LINE_BITS], place & (1 << _LINE_BITS) - 1
        return f"line {line}" if name == file else f"{name}:{line}"


def is_file_name(utt_id: str) -> bool:
    """Whether an id can name a file: no path, no control characters, not hidden."""
    safe = utt_id.isprintable() and not utt_id.startswith(".") and not re.search(r"\.\.|[/\\]", utt_id)
    return bool(utt_id) and safe


def decode(line: bytes, file: str, number: int) -> str:
    """A line of a metadata file as text.

    Raises:
        CorpusError: it is not UTF-8.
    """
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{file}:{number}: byte {error.start + 1} of the line is not UTF-8; convert the file to UTF-8"
        ) from error


def is_better(suffix: str, other: str | None) -> bool:
    """Whether a recording in this format is preferred to the one in the other."""
    return other is None or AUDIO_FORMATS.index(suffix.lower()) < AUDIO_FORMATS.index(other.lower())


def split_name(name: str) -> tuple[str, str]:
    """'A-1.wav' to ('A-1', 'wav')."""
    stem, _, suffix = name.rpartition(".")
    return stem, suffix
