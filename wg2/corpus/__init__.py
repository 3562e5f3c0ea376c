"""Corpus readers: the recordings of a corpus and what is said in them, without opening any audio.

A recording that is missing, or that has no transcript, is no error here: it becomes a reject when it is read. The
readers stream: no list of a corpus' utterances is ever in memory (but see kaldi.py).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from wg2 import bundled, storage
from wg2.config import BUNDLED, CorpusConfig
from wg2.corpus import (
    common_voice,
    folders,
    huggingface,
    kaldi,
    librispeech,
    ljspeech,
    manifest,
    nemo,
    parquet,
    tables,
    transcripts,
    vctk,
)
from wg2.corpus.parquet import read_audio
from wg2.corpus.recognise import recognise
from wg2.corpus.recording import SPEAKER, Recording
from wg2.errors import CorpusError

__all__ = ["SPEAKER", "Recording", "folder", "read", "read_audio", "recognised"]

_READERS: Mapping[str, Callable[[str], Iterator[Recording]]] = {
    "librispeech": librispeech.read_librispeech,
    "libritts": librispeech.read_libritts,
    "manifest": manifest.read,
    "nemo": nemo.read,
    "huggingface": huggingface.read,
    "parquet": parquet.read,
    "common_voice": common_voice.read,
    "vctk": vctk.read,
    "kaldi": kaldi.read,
    "folders": folders.read,
}
_WANTED = {
    "ljspeech": f"a line id|raw|normalised in {ljspeech.METADATA}",
    "librispeech": "folders speaker/chapter with *.flac and *.trans.txt",
    "libritts": "folders speaker/chapter with *.wav and *.normalized.txt",
    "manifest": "rows with uri and text",
    "nemo": "objects with audio_filepath and text",
    "huggingface": f"{' or '.join(huggingface.METADATA)} with file_name and transcription",
    "parquet": "*.parquet with audio bytes and text",
    "common_voice": "validated.tsv with path and sentence",
    "vctk": "recordings in wav48/speaker",
    "kaldi": f"lines in {kaldi.WAVS}",
    "folders": "audio with .lab or .txt beside it",
}


def recognised(config: CorpusConfig) -> tuple[CorpusConfig, str]:
    """The corpus with its layout, where that is 'auto', and what was seen, for a person.

    Raises:
        CorpusError: there is no corpus, or none that is known.
        StorageError: it cannot be listed.
    """
    config, evidence = _known(config)
    table = f": {ljspeech.saw(_root(config), config.columns)}" if config.layout == "ljspeech" else ""
    return config, f"layout {config.layout}{evidence}{table}"


def read(config: CorpusConfig) -> Iterator[Recording]:
    """The recordings of a corpus, in an order that is always the same, with transcripts as a reader would see them.

    Raises:
        CorpusError: there is no corpus, it is empty, or its metadata is malformed (with the line's number).
        StorageError: it cannot be listed or read.
    """
    (config, _), empty = _known(config), True
    for recording in islice(_recordings(config), config.limit or None):
        empty = False
        yield transcripts.checked(recording, config.markup)
    if empty:
        raise CorpusError(f"{_root(config)}: no utterance; wanted {_WANTED[config.layout]}: see corpus.layout")


def folder(config: CorpusConfig) -> str:
    """The folder that sources are named from: the data set does not depend on where the corpus lies."""
    config, _ = _known(config)
    root = _root(config)
    is_file = config.layout == "manifest" or root.endswith((*tables.SUFFIXES, ".parquet"))
    return tables.folder_of(root) if is_file else root


def _recordings(config: CorpusConfig) -> Iterator[Recording]:
    root = _root(config)
    return ljspeech.read(root, config.columns) if config.layout == "ljspeech" else _READERS[config.layout](root)


def _known(config: CorpusConfig) -> tuple[CorpusConfig, str]:
    """The corpus with its layout, and what that was told from."""
    if config.layout != "auto":
        return config, ""
    if config.root == BUNDLED:
        return replace(config, layout="ljspeech"), ""
    seen = recognise(_root(config))
    return replace(config, root=seen.root, layout=seen.layout), f", recognised by {seen.evidence}"


def _root(config: CorpusConfig) -> str:
    return str(bundled.CORPUS) if config.root == BUNDLED else storage.absolute(config.root)
