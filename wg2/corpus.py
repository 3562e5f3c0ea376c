"""Corpus readers: the recordings of a corpus and what is said in them, without opening any audio.

The LJSpeech layout is `metadata.csv` (UTF-8, no header, `id|raw|normalised`, no quoting) beside `wavs/ID.wav` or
another format. A recording that is missing is no error here: it becomes a reject when it is read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wg2 import bundled, storage
from wg2.config import BUNDLED, CorpusConfig
from wg2.errors import CorpusError, StorageError

METADATA = "metadata.csv"
SPEAKER = "single"
"""The one speaker of an LJSpeech layout, which has no name there."""
AUDIO_FORMATS = ("wav", "flac", "mp3", "ogg", "opus", "m4a")
"""In order of preference, where an utterance is there in several."""


@dataclass(frozen=True)
class Recording:
    """One utterance of a corpus.

    Attributes:
        utt_id: its name, which is a safe file name.
        uri: its audio, a path or s3:// uri.
        text: what is said, as written.
        text_norm: the corpus' own normalised transcript, '' when it has none.
        speaker: who says it.
    """

    utt_id: str
    uri: str
    text: str
    text_norm: str
    speaker: str


def read(config: CorpusConfig) -> Iterator[Recording]:
    """The recordings in the order of the metadata.

    Raises:
        CorpusError: there is no corpus, it is empty, or a line of its metadata is malformed (with the line's number).
    """
    root = str(bundled.CORPUS) if config.root == BUNDLED else storage.absolute(config.root)
    lines = _metadata_lines(root)
    audio = _audio_files(storage.join(root, "wavs"))
    seen: dict[str, int] = {}
    columns = 0
    for number, line in lines:
        where = f"{storage.join(root, METADATA)}:{number}"
        fields = [field.strip() for field in line.split("|")]
        columns = columns or len(fields)
        _check(fields, columns, where)
        utt_id, text, text_norm = (*fields, "")[:3]
        if utt_id in seen:
            raise CorpusError(f"{where}: utterance {utt_id!r} is already in line {seen[utt_id]}; ids must be unique")
        seen[utt_id] = number
        uri = audio.get(utt_id) or storage.join(root, "wavs", f"{utt_id}.wav")
        yield Recording(utt_id, uri, text, text_norm, SPEAKER)
        if len(seen) == config.limit:
            return
    if not seen:
        raise CorpusError(f"{storage.join(root, METADATA)}: no line with an utterance; wanted id|raw|normalised")


def _metadata_lines(root: str) -> Iterable[tuple[int, str]]:
    """(line number, text) of the lines that are not blank."""
    uri = storage.join(root, METADATA)
    try:
        data = storage.read_bytes(uri)
    except StorageError as error:
        raise CorpusError(f"{error}; corpus.root must name a folder with {METADATA} and wavs/") from error
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, _decode(line, f"{uri}:{number}")


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start + 1} of the line is not UTF-8; convert {METADATA} to UTF-8"
        ) from error


def _check(fields: list[str], columns: int, where: str) -> None:
    """A line has the fields of the first one, two or three, and an id that is a safe file name."""
    if len(fields) not in (2, 3) or len(fields) != columns:
        noun = "field" if len(fields) == 1 else "fields"
        wanted = "id|raw" if columns == 2 and len(fields) != 2 else "id|raw|normalised"
        raise CorpusError(f"{where}: got {len(fields)} {noun}, wanted {wanted}: {'|'.join(fields)[:60]!r}")
    utt_id = fields[0]
    safe = utt_id.isprintable() and not utt_id.startswith(".") and not re.search(r"\.\.|[/\\]", utt_id)
    if not utt_id or not safe:
        raise CorpusError(f"{where}: utterance id {utt_id!r} is not a file name; use letters, digits, '-' and '_'")


def _audio_files(folder: str) -> dict[str, str]:
    """Utterance id to uri: one listing, instead of a question for each utterance."""
    found: dict[str, str] = {}
    for uri in storage.list_files(folder):
        stem, _, suffix = uri.rpartition("/")[2].rpartition(".")
        if suffix.lower() in AUDIO_FORMATS and _better(suffix, found.get(stem)):
            found[stem] = uri
    return found


def _better(suffix: str, other: str | None) -> bool:
    if other is None:
        return True
    return AUDIO_FORMATS.index(suffix.lower()) < AUDIO_FORMATS.index(other.rpartition(".")[2].lower())
