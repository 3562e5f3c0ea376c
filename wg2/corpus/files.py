"""Where audio files lie that metadata names, under that name or the same one in another Unicode form.

macOS and some archives spell 'é' as two characters (NFD), most metadata as one (NFC): either finds the other.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from wg2 import storage
from wg2.corpus.recording import AUDIO_FORMATS, audio_stem, id_of_path, is_better, split_name

_CACHED_FOLDERS = 4
_FOLDERS = ("wavs", "wav", "audio", "flac", "clips")


class AudioFiles:
    """Files by their path: a look at a local one, for S3 a look into the listing of its folder."""

    def __init__(self) -> None:
        self._local = lru_cache(maxsize=64)(storage.version)
        self._listing = lru_cache(maxsize=_CACHED_FOLDERS)(_list_versions)

    def find(self, folder: str, name: str) -> tuple[str, str]:
        """The uri and the version of a file.

        Args:
            folder: what a relative name is below.
            name: path or uri.
        Returns:
            The version is '' where there is no such file; the uri is then the one that was asked for.
        """
        for spelling in spellings(name):
            uri = spelling if spelling.startswith("/") or "://" in spelling else storage.join(folder, spelling)
            if version := self._version(uri):
                return uri, version
        return name if name.startswith("/") or "://" in name else storage.join(folder, name), ""

    def _version(self, uri: str) -> str:
        if storage.is_local(uri):
            return self._local(uri)
        parent, _, name = uri.rpartition("/")
        return self._listing(parent).get(name, "")


class AudioFolder:
    """The audio files of a corpus that names them by their ids, in `wavs/`, `wav/` or the corpus' own folder.

    One listing, instead of a question for each utterance.
    """

    def __init__(self, root: str) -> None:
        self._root, self._nested = root, AudioFiles()
        self.folder, self._found = storage.join(root, _FOLDERS[0]), dict[str, tuple[str, str]]()
        for folder in (*(storage.join(root, name) for name in _FOLDERS), root):
            if found := _audio_files(folder):
                self.folder, self._found = folder, found
                break

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, str)
        return self._spelled(name) in self._found or bool(self._below(name)[1])

    def take(self, name: str) -> tuple[str, str, str]:
        """Id, uri and version of a file, by its id, its name or its path; each is there once."""
        stem = self._spelled(name)
        if stem not in self._found and (nested := self._below(name))[1]:
            return id_of_path(name), *nested
        utt_id = audio_stem(name.rpartition("/")[2] if stem in self._found else name)
        suffix, version = self._found.pop(stem, ("wav", ""))
        return utt_id, storage.join(self.folder, f"{stem}.{suffix}"), version

    def _spelled(self, name: str) -> str:
        """The stem as the disk spells it."""
        stem = audio_stem(name.rpartition("/")[2])
        return next((spelling for spelling in spellings(stem) if spelling in self._found), audio_stem(name))

    def _below(self, name: str) -> tuple[str, str]:
        """Uri and version of a file in a folder of a folder, such as 'p225/p225_001.wav'."""
        if "/" in name and ".." not in name and not name.startswith("/"):
            for folder in (self._root, self.folder):
                for suffix in ("", *(f".{suffix}" for suffix in AUDIO_FORMATS[:2])):
                    uri, version = self._nested.find(folder, name + suffix)
                    if version:
                        return uri, version
        return "", ""


def spellings(name: str) -> Iterator[str]:
    """A name as it is, then in the other Unicode forms."""
    yield name
    if not name.isascii():
        yield from {unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)} - {name}


def _audio_files(folder: str) -> dict[str, tuple[str, str]]:
    """Stem to (suffix, version)."""
    found: dict[str, tuple[str, str]] = {}
    for item in storage.scan(folder):
        stem, suffix = split_name(item.name)
        if not item.is_folder and suffix.lower() in AUDIO_FORMATS and is_better(suffix, found.get(stem, (None,))[0]):
            found[stem] = (suffix, item.version)
    return found


def _list_versions(uri: str) -> dict[str, str]:
    return {item.name: item.version for item in storage.scan(uri) if not item.is_folder}
