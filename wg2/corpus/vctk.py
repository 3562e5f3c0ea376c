"""VCTK: `txt/SPEAKER/ID.txt` beside `wav48/SPEAKER/ID.wav`, or (0.92) `wav48_silence_trimmed/SPEAKER/ID_mic1.flac`.

Of two microphones the first is taken, which is the omnidirectional one; a recording of the second alone is taken too.
https://datashare.ed.ac.uk/handle/10283/3443
"""

import re
from collections.abc import Iterator

from wg2 import storage
from wg2.corpus.recording import AUDIO_FORMATS, Ids, Recording, split_name
from wg2.corpus.sidecar import read_texts
from wg2.errors import CorpusError

AUDIO_FOLDERS = ("wav48_silence_trimmed", "wav48", "wav24", "wav16", "wav22")
"""Versions of the corpus, the newest first."""
_MICROPHONE = re.compile(r"_mic[12]$")


def read(root: str) -> Iterator[Recording]:
    """The recordings, speaker by speaker, by id. One without a transcript ends in the rejects, and the other way round.

    Raises:
        CorpusError: there is no folder of recordings.
    """
    names = {item.name for item in storage.scan(root) if item.is_folder}
    folder = next((name for name in AUDIO_FOLDERS if name in names), "")
    if not folder:
        raise CorpusError(f"{root}: no folder of recordings; wanted {' or '.join(AUDIO_FOLDERS[:2])} beside txt")
    ids, audio = Ids(), storage.join(root, folder)
    places = [item for place in (audio, storage.join(root, "txt")) for item in storage.scan(place)]
    for speaker in sorted({item.name for item in places if item.is_folder}):
        texts = storage.join(root, "txt", speaker)
        for recording in _recordings(storage.join(audio, speaker), texts, speaker):
            ids.add(recording.utt_id, texts, 1)
            yield recording


def _recordings(audio: str, texts: str, speaker: str) -> Iterator[Recording]:
    files = _audio_files(audio)
    said = {split_name(item.name)[0] for item in storage.scan(texts) if item.name.endswith(".txt")}
    ids = sorted(said | set(files))
    read = read_texts(storage.join(texts, f"{utt_id}.txt") if utt_id in said else "" for utt_id in ids)
    for utt_id, (text, fault) in zip(ids, read, strict=True):
        name, version = files.get(utt_id, (f"{utt_id}.wav", ""))
        yield Recording(utt_id, storage.join(audio, name), text, "", speaker, version=version, fault=fault)


def _audio_files(folder: str) -> dict[str, tuple[str, str]]:
    """Id to (name, version), of the first microphone where there are two."""
    found: dict[str, tuple[str, str]] = {}
    for item in sorted(storage.scan(folder), key=lambda item: item.name):
        stem, suffix = split_name(item.name)
        if suffix.lower() in AUDIO_FORMATS:
            found.setdefault(_MICROPHONE.sub("", stem), (item.name, item.version))
    return found
