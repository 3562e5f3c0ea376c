"""One utterance of a corpus, and what every reader asks of its metadata."""

import re
from dataclasses import dataclass

from wg2.errors import CorpusError

SPEAKER = "single"
"""The one speaker of a corpus that names none."""
AUDIO_FORMATS = ("wav", "flac", "aiff", "aif", "w64", "caf", "au", "sph", "mp3", "ogg", "oga", "opus", "m4a", "aac",
                 "webm")  # fmt: skip
"""In order of preference, where an utterance is there in several."""
_LINE_BITS = 40
_SURROGATES = re.compile("[\ud800-\udfff]")


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
        fault: why it is refused before anything is read, '' when it is not.
        notes: what was found in its transcript, as 'tag,entity': see `wg2.corpus.transcripts`.
    """

    utt_id: str
    uri: str
    text: str
    text_norm: str
    speaker: str
    start_s: float = 0.0
    end_s: float = 0.0
    version: str = ""
    fault: str = ""
    notes: str = ""


class Ids:
    """The ids of a corpus: safe file names, each once. About 200 bytes an id."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, utt_id: str) -> bool:
        return utt_id in self._places

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


def broken_unicode(text: str) -> str:
    """The first half of a surrogate pair in a text, or the first byte that is not UTF-8, as 'U+D83D'; '' if none."""
    found = _SURROGATES.search(text)
    if not found:
        return ""
    code = ord(found[0])
    return f"the byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"half a character, U+{code:04X}"


def without_surrogates(text: str) -> str:
    """A name that can be stored: '_' for what is no Unicode."""
    return _SURROGATES.sub("_", text)


def id_of_path(path: str) -> str:
    """An id from where a file lies below its corpus: 'ann/01.wav' to 'ann-01', 'p225/p225_001.wav' to 'p225_001'."""
    *folders, name = (part for part in path.split("/") if part not in ("", ".", ".."))
    stem = audio_stem(name)
    named = [folder for folder in folders if folder.lower() not in PLAIN_FOLDERS and not stem.startswith(folder)]
    return "-".join([*named, stem])


PLAIN_FOLDERS = {"wavs", "wav", "flac", "mp3", "clips", "audio", "data"}
"""Folders that tell no two recordings apart."""


def audio_stem(name: str) -> str:
    """'A-1.wav' and 'A-1' to 'A-1'; 'Mr.X' stays: X is no format of audio."""
    stem, suffix = split_name(name)
    return stem if suffix.lower() in AUDIO_FORMATS and stem else name


def is_better(suffix: str, other: str | None) -> bool:
    """Whether a recording in this format is preferred to the one in the other."""
    return other is None or AUDIO_FORMATS.index(suffix.lower()) < AUDIO_FORMATS.index(other.lower())


def split_name(name: str) -> tuple[str, str]:
    """'A-1.wav' to ('A-1', 'wav')."""
    stem, _, suffix = name.rpartition(".")
    return stem, suffix
