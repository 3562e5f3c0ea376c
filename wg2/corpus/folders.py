"""Folders of audio with a transcript beside each file: `NAME.wav` and `NAME.lab` or `NAME.txt`, at any depth.

The first folder below the root is the speaker, as the Montreal Forced Aligner has it. Ids are paths below the root:
'ann/01.wav' is 'ann-01'. A text without a recording (a README) is no utterance.
"""

from collections.abc import Iterator

from wg2 import storage
from wg2.corpus.recording import (
    AUDIO_FORMATS,
    PLAIN_FOLDERS,
    SPEAKER,
    Ids,
    Recording,
    id_of_path,
    is_better,
    split_name,
)
from wg2.corpus.sidecar import read_texts

TRANSCRIPTS = ("lab", "txt")
"""In order of preference."""


def read(root: str) -> Iterator[Recording]:
    """The recordings, folder by folder, by name.

    Raises:
        CorpusError: two of them have the same id.
    """
    ids = Ids()
    for recording in _folder(root, ""):
        ids.add(recording.utt_id, recording.uri, 1)
        yield recording


def _folder(root: str, below: str) -> Iterator[Recording]:
    folder = storage.join(root, below).rstrip("/")
    audio: dict[str, tuple[str, str]] = {}
    texts: dict[str, str] = {}
    folders: list[str] = []
    for item in storage.scan(folder):
        stem, suffix = split_name(item.name)
        if item.name.startswith("."):
            continue
        if item.is_folder:
            folders.append(item.name)
        elif suffix.lower() in AUDIO_FORMATS and is_better(suffix, audio.get(stem, (None,))[0]):
            audio[stem] = (suffix, item.version)
        elif suffix in TRANSCRIPTS and texts.get(stem) != TRANSCRIPTS[0]:
            texts[stem] = suffix
    stems = sorted(audio)
    said = read_texts(storage.join(folder, f"{stem}.{texts[stem]}") if stem in texts else "" for stem in stems)
    for stem, (text, fault) in zip(stems, said, strict=True):
        suffix, version = audio[stem]
        yield Recording(id_of_path(f"{below}/{stem}.{suffix}"), storage.join(folder, f"{stem}.{suffix}"), text, "",
                        _speaker(below), version=version, fault=fault)  # fmt: skip
    for name in sorted(folders):
        yield from _folder(root, f"{below}/{name}".lstrip("/"))


def _speaker(below: str) -> str:
    return next((name for name in below.split("/") if name and name.lower() not in PLAIN_FOLDERS), SPEAKER)
