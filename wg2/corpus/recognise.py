"""Which layout a corpus has: by its files' names, and by the columns that its tables begin with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from wg2 import storage
from wg2.config import Layout
from wg2.corpus import common_voice, folders, huggingface, kaldi, ljspeech, tables, vctk
from wg2.corpus.recording import AUDIO_FORMATS, split_name
from wg2.errors import CorpusError

_MOST_FOLDERS = 40
"""Folders that are looked into."""
_NAMES_SHOWN = 8
_OF_ONE_FOLDER = ("ljspeech", "manifest", "nemo")
"""Layouts that are read where they were found; others are of the whole corpus."""


@dataclass(frozen=True)
class Seen:
    """What a corpus was found to be.

    Attributes:
        layout: its name.
        root: what is to be read: the corpus, or a table in it.
        evidence: for a person.
    """

    layout: Layout
    root: str
    evidence: str


@dataclass(frozen=True)
class _Look:
    """What lies in a folder."""

    uri: str
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def with_suffix(self, *suffixes: str) -> list[str]:
        return [name for name in self.files if name.endswith(suffixes)]


def recognise(root: str) -> Seen:
    """The layout of the corpus at `root`, a folder or a file.

    Raises:
        CorpusError: there is nothing, or nothing that is known.
        StorageError: it cannot be listed.
    """
    if root.endswith((*tables.SUFFIXES, ".parquet")) and storage.exists(root):
        return _table(root) or _unknown(root, f"the columns {', '.join(tables.keys(root))[:200] or 'of no table'}")
    look = _look(root)
    for test in _FOLDERS:
        if seen := test(look):
            return seen
    for below in _below(look):
        for test in _NESTED:
            if seen := test(below):
                return seen if seen.layout in _OF_ONE_FOLDER else Seen(seen.layout, root, seen.evidence)
    if not look.files and not look.folders:
        why = "it is empty" if storage.exists(root) else "no such file or folder"
        raise CorpusError(
            f"{root}: {why}; corpus.root must name a folder with metadata.csv and wavs/, or another layout"
        )
    return _unknown(root, f"{', '.join([*look.files, *look.folders][:_NAMES_SHOWN])} ...")


def _unknown(root: str, got: str) -> Seen:
    raise CorpusError(
        f"{root}: got {got}, which is no corpus that corpus.layout auto knows; --help says at corpus.layout what "
        "each is recognised by; name the layout, or write a manifest with uri,text"
    )


def _look(uri: str) -> _Look:
    look = _Look(uri)
    for item in sorted(storage.scan(uri), key=lambda item: item.name):
        if not item.name.startswith("."):
            (look.folders if item.is_folder else look.files).append(item.name)
    return look


def _below(look: _Look) -> Iterator[_Look]:
    """The folder and those below it, the first ones to their bottom, until enough were looked into."""
    waiting, seen = [look.uri], 0
    while waiting and seen < _MOST_FOLDERS:
        current = _look(waiting.pop())
        yield current
        seen += 1
        waiting += [storage.join(current.uri, name) for name in reversed(current.folders)]


def _table(file: str) -> Seen | None:
    """The layout of a file, by its columns."""
    if file.endswith(".parquet"):
        return Seen("parquet", file, "the name")
    names = set(tables.keys(file))
    evidence = f"the columns {', '.join(sorted(names))[:120]}"
    if {"uri", "text"} <= names or (tables.is_json(file) and "uri" in names):
        return Seen("manifest", file, evidence)
    if "audio_filepath" in names:
        return Seen("nemo", file, evidence)
    if names & {"file_name", "audio_file_name"}:
        return Seen("huggingface", file, evidence)
    return Seen("common_voice", file, evidence) if {"path", "sentence"} <= names and file.endswith(".tsv") else None


def _metadata(look: _Look) -> Seen | None:
    """Hugging Face's metadata, or LJSpeech's."""
    for name in (*huggingface.METADATA, *ljspeech.NAMES):
        if name in look.files:
            seen = _table(storage.join(look.uri, name)) if name in huggingface.METADATA else None
            if seen and seen.layout != "common_voice":
                root = look.uri if seen.layout == "huggingface" else seen.root
                return Seen(seen.layout, root, f"{name}: {seen.evidence}")
            if name in ljspeech.NAMES:
                return Seen("ljspeech", look.uri, name)
    return None


def _kaldi(look: _Look) -> Seen | None:
    return Seen("kaldi", look.uri, f"{kaldi.WAVS} and text") if {kaldi.WAVS, "text"} <= {*look.files} else None


def _common_voice(look: _Look) -> Seen | None:
    there = next((name for group in common_voice.FILES for name in group if name in look.files), "")
    return Seen("common_voice", look.uri, f"{there} beside clips/") if there and "clips" in look.folders else None


def _vctk(look: _Look) -> Seen | None:
    folder = next((name for name in vctk.AUDIO_FOLDERS if name in look.folders), "")
    return Seen("vctk", look.uri, f"txt/ beside {folder}/") if folder and "txt" in look.folders else None


def _manifest(look: _Look) -> Seen | None:
    """The one table in a folder; of several nobody can say which."""
    seen = [found for name in look.with_suffix(*tables.SUFFIXES) if (found := _table(storage.join(look.uri, name)))]
    if len(seen) > 1:
        names = ", ".join(found.root.rpartition("/")[2] for found in seen)
        raise CorpusError(f"{look.uri}: got the manifests {names}; name the one that is wanted in corpus.root")
    return Seen(seen[0].layout, seen[0].root, f"{seen[0].root}: {seen[0].evidence}") if seen else None


def _parquet(look: _Look) -> Seen | None:
    names = look.with_suffix(".parquet")
    return Seen("parquet", look.uri, f"{names[0]} in {look.uri}") if names else None


def _trans(look: _Look) -> Seen | None:
    names = look.with_suffix(".trans.txt")
    return Seen("librispeech", look.uri, f"{names[0]} in {look.uri}") if names else None


def _normalized(look: _Look) -> Seen | None:
    names = look.with_suffix(".normalized.txt", ".original.txt")
    return Seen("libritts", look.uri, f"{names[0]} in {look.uri}") if names else None


def _beside(look: _Look) -> Seen | None:
    """A recording and a transcript of one name."""
    audio: Mapping[str, str] = {stem: suffix for stem, suffix in map(split_name, look.files)
                                if suffix.lower() in AUDIO_FORMATS}  # fmt: skip
    for name in look.with_suffix(*(f".{suffix}" for suffix in folders.TRANSCRIPTS)):
        stem, suffix = split_name(name)
        if stem in audio:
            return Seen("folders", look.uri, f"{stem}.{audio[stem]} beside {stem}.{suffix} in {look.uri}")
    return None


_Test = Callable[[_Look], Seen | None]
_FOLDERS: tuple[_Test, ...] = (_kaldi, _common_voice, _vctk, _metadata, _manifest)
"""What is recognised in the corpus' own folder."""
_NESTED: tuple[_Test, ...] = (_parquet, _trans, _normalized, _metadata, _beside)
"""What may be some folders down."""
