"""The layouts of LibriSpeech and LibriTTS: folders speaker/chapter, at any depth below the root.

LibriSpeech: `SPEAKER-CHAPTER.trans.txt` with lines `ID TEXT` (capitals, no marks) beside `ID.flac`.
LibriTTS: `ID.normalized.txt` and `ID.original.txt` beside `ID.wav`.

The speaker is the id up to its first '-' or '_'. A recording without a transcript, and a transcript without a
recording, are utterances too: they end in the rejects.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from wg2 import storage
from wg2.corpus.recording import AUDIO_FORMATS, Ids, Recording, decode, is_better, split_name
from wg2.errors import CorpusError

_THREADS = 16
"""Folders that are listed at the same time: S3 answers each after tens of milliseconds."""


@dataclass(frozen=True)
class _Transcript:
    """What is said in an utterance, and where that is written."""

    text: str = ""
    text_norm: str = ""
    file: str = ""
    line: int = 1


@dataclass(frozen=True)
class _Folder:
    """A folder of recordings.

    Attributes:
        uri: where it is.
        folders: uris of the folders in it, sorted.
        audio: utterance id to (suffix, version).
        transcripts: by utterance id.
    """

    uri: str
    folders: list[str] = field(default_factory=list)
    audio: dict[str, tuple[str, str]] = field(default_factory=dict)
    transcripts: dict[str, _Transcript] = field(default_factory=dict)

    def recordings(self) -> Iterator[tuple[Recording, _Transcript]]:
        """By id."""
        for utt_id in sorted({*self.audio, *self.transcripts}):
            suffix, version = self.audio.get(utt_id, ("flac", ""))
            said = self.transcripts.get(utt_id, _Transcript(file=self.uri))
            uri = storage.join(self.uri, f"{utt_id}.{suffix}")
            yield Recording(utt_id, uri, said.text, said.text_norm, _speaker(utt_id), version=version), said


def read_librispeech(root: str) -> Iterator[Recording]:
    """The recordings, folder by folder, by id.

    Raises:
        CorpusError: an id that is no file name or is there twice, or a transcript that is not UTF-8.
    """
    return _read(root, _transcripts_of_chapter)


def read_libritts(root: str) -> Iterator[Recording]:
    """The recordings, folder by folder, by id; raises as `read_librispeech`."""
    return _read(root, _transcripts_of_utterances)


_Transcripts = Callable[[str, Sequence[str]], dict[str, _Transcript]]
"""From a folder's uri and the names of its files."""


def _read(root: str, transcripts: _Transcripts) -> Iterator[Recording]:
    ids = Ids()
    with ThreadPoolExecutor(_THREADS) as pool:
        for folder in _walk([root], transcripts, pool):
            for recording, said in folder.recordings():
                ids.add(recording.utt_id, said.file, said.line)
                yield recording


def _walk(uris: Sequence[str], transcripts: _Transcripts, pool: ThreadPoolExecutor) -> Iterator[_Folder]:
    """Folder by folder, those of one parent some at a time, so that no more than these are in memory."""
    for start in range(0, len(uris), _THREADS):
        for folder in pool.map(lambda uri: _visit(uri, transcripts), uris[start : start + _THREADS]):
            yield folder
            yield from _walk(folder.folders, transcripts, pool)


def _visit(uri: str, transcripts: _Transcripts) -> _Folder:
    """List a folder and read its transcripts."""
    items = [item for item in storage.scan(uri) if not item.name.startswith(".")]
    folders = sorted(storage.join(uri, item.name) for item in items if item.is_folder)
    audio: dict[str, tuple[str, str]] = {}
    for item in items:
        stem, suffix = split_name(item.name)
        if not item.is_folder and suffix.lower() in AUDIO_FORMATS and is_better(suffix, audio.get(stem, (None,))[0]):
            audio[stem] = (suffix, item.version)
    return _Folder(uri, folders, audio, transcripts(uri, [item.name for item in items]))


def _transcripts_of_chapter(uri: str, names: Sequence[str]) -> dict[str, _Transcript]:
    """LibriSpeech's: one file for a chapter. Its capitals are lowered in `text_norm`, since they tell nothing."""
    found: dict[str, _Transcript] = {}
    for name in sorted(name for name in names if name.endswith(".trans.txt")):
        file = storage.join(uri, name)
        for number, line in enumerate(storage.read_lines(file), 1):
            utt_id, _, text = decode(line, file, number).strip().partition(" ")
            if utt_id in found:
                raise CorpusError(f"{file}:{number}: utterance {utt_id!r} is already in line {found[utt_id].line}")
            if utt_id:
                found[utt_id] = _Transcript(text, text.lower(), file, number)
    return found


def _transcripts_of_utterances(uri: str, names: Sequence[str]) -> dict[str, _Transcript]:
    """LibriTTS's: up to two files for an utterance."""
    there = set(names)
    stems = {name.rsplit(".", 2)[0] for name in names if name.endswith((".normalized.txt", ".original.txt"))}
    found: dict[str, _Transcript] = {}
    for utt_id in stems:
        original, normalised = (
            _text(uri, name) if name in there else "" for name in (f"{utt_id}.original.txt", f"{utt_id}.normalized.txt")
        )
        found[utt_id] = _Transcript(original or normalised, normalised, storage.join(uri, f"{utt_id}.normalized.txt"))
    return found


def _text(uri: str, name: str) -> str:
    file = storage.join(uri, name)
    lines = [decode(line, file, number) for number, line in enumerate(storage.read_lines(file), 1)]
    return " ".join(" ".join(lines).split())


def _speaker(utt_id: str) -> str:
    return re.split(r"[-_]", utt_id)[0]
