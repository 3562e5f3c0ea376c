"""A data directory of Kaldi: `wav.scp`, `text`, and optionally `segments` and `utt2spk`, with 'ID REST' in each line.

Paths are from the directory, or from a folder above it (a recipe names them from its own). A recording may be a
command there: none is run, but the file behind `flac -dc FILE |`, `cat FILE |` or `sox FILE -t wav - |` is read; an
utterance of another command is a reject. Text, segments and speakers are in memory, some 300 bytes an utterance.
https://kaldi-asr.org/doc/data_prep.html
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wg2 import storage
from wg2.corpus.files import AudioFiles
from wg2.corpus.recording import SPEAKER, Ids, Recording, decode, split_name
from wg2.errors import CorpusError, MissingError

WAVS = "wav.scp"
_DECODERS = ("flac", "cat", "sox", "ffmpeg")
_PLAIN_OPTIONS = frozenset(("-d", "-c", "-s", "-dc", "-cd", "-dcs", "-cds", "--decode", "--stdout", "--silent", "-t",
                            "wav", "-", "-i", "-f", "-y", "-nostdin", "pipe:1"))  # fmt: skip
"""What changes nothing in the sound: sox with an effect is no decoder."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A recording or a part of it; seconds."""

    recording: str
    start_s: float = 0.0
    end_s: float = 0.0


def read(root: str) -> Iterator[Recording]:
    """The recordings, in the order of `segments`, else of `wav.scp`; what `text` alone has is last.

    Raises:
        CorpusError: there is no data directory, or a line is malformed (with its number).
    """
    texts, speakers = _entries(root, "text"), _entries(root, "utt2spk", needed=False)
    wavs, segments = _entries(root, WAVS), _entries(root, "segments", needed=False)
    ids, audio = Ids(), AudioFiles()
    parts = _parts(root, segments) if segments else ((utt_id, _Part(utt_id)) for utt_id in wavs)
    for number, (utt_id, part) in enumerate(parts, 1):
        ids.add(utt_id, storage.join(root, "segments" if segments else WAVS), number)
        text = texts.pop(utt_id, "")
        uri, version, fault = _audio(root, part.recording, wavs, audio)
        yield Recording(utt_id, uri, text, text.lower() if text.isupper() else "", speakers.get(utt_id, SPEAKER),
                        part.start_s, part.end_s, version, fault)  # fmt: skip
    for utt_id, text in texts.items():
        where = "segments" if segments else WAVS
        yield replace(Recording(utt_id, storage.join(root, utt_id), text, "", speakers.get(utt_id, SPEAKER)),
                      fault=f"{root}: utterance {utt_id!r} is in text but not in {where}; add it there")  # fmt: skip


def _entries(root: str, name: str, needed: bool = True) -> dict[str, str]:
    """The lines of a file by their first word."""
    file, found = storage.join(root, name), dict[str, str]()
    try:
        for number, line in enumerate(storage.read_lines(file), 1):
            key, _, rest = " ".join(decode(line, file, number).split()).partition(" ")
            if key and key in found:
                raise CorpusError(f"{file}:{number}: {key!r} is there twice; utils/fix_data_dir.sh mends that")
            if key:
                found[key] = rest
    except MissingError as error:
        if needed:
            raise CorpusError(f"{error}; corpus.root must name a data directory with {WAVS} and text") from error
    return found


def _parts(root: str, segments: dict[str, str]) -> Iterator[tuple[str, _Part]]:
    for number, (utt_id, line) in enumerate(segments.items(), 1):
        try:
            recording, start, end = line.split()[:3]
            part = _Part(recording, float(start), max(float(end), 0.0))  # -1 is the end of the recording
        except ValueError:
            part = _Part("", -1)
        if part.start_s < 0 or (part.end_s and part.end_s <= part.start_s):
            raise CorpusError(
                f"{root}/segments:{number}: got {line[:60]!r}, wanted a recording, its start and its end in seconds"
            )
        yield utt_id, part


def _audio(root: str, recording: str, wavs: dict[str, str], audio: AudioFiles) -> tuple[str, str, str]:
    """Uri, version and fault of a recording."""
    source = wavs.get(recording, "")
    path = _behind(source)
    if not path:
        uri = storage.join(root, recording)
        why = "is missing; add it"
        if source:
            why = f"is the command {source[:80]!r}, which is not run; decode it to a file"
        return uri, "", f"{root}/{WAVS}: recording {recording!r} {why}"
    for folder in (root, *(root.rsplit("/", up)[0] for up in (1, 2))):
        uri, version = audio.find(folder, path)
        if version:
            return uri, version, ""
    return audio.find(root, path)[0], "", ""


def _behind(source: str) -> str:
    """The file that a line of wav.scp is about; '' when that is the output of a command with a will of its own."""
    if not source.endswith("|"):
        return source if not source.partition(":")[0].endswith(".ark") else ""
    try:
        program, *words = shlex.split(source.rstrip("| "))
    except ValueError:
        return ""
    files = [word for word in words if word not in _PLAIN_OPTIONS]
    is_decoder = program.rpartition("/")[2] in _DECODERS and len(files) == 1 and bool(split_name(files[0])[0])
    return files[0] if is_decoder and not files[0].startswith("-") else ""
