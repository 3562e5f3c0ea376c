"""Corpus readers: the recordings of a corpus and what is said in them, without opening any audio.

A recording that is missing, or that has no transcript, is no error here: it becomes a reject when it is read. The
readers stream: no list of a corpus' utterances is ever in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from wg2 import bundled, storage
from wg2.config import BUNDLED, CorpusConfig
from wg2.corpus import librispeech, ljspeech, manifest
from wg2.corpus.recording import SPEAKER, Recording
from wg2.errors import CorpusError

__all__ = ["SPEAKER", "Recording", "folder", "read"]

_READERS: Mapping[str, Callable[[str], Iterator[Recording]]] = {
    "ljspeech": ljspeech.read,
    "librispeech": librispeech.read_librispeech,
    "libritts": librispeech.read_libritts,
    "manifest": manifest.read,
}
_WANTED = {
    "ljspeech": f"a line id|raw|normalised in {ljspeech.METADATA}",
    "librispeech": "folders speaker/chapter with *.flac and *.trans.txt",
    "libritts": "folders speaker/chapter with *.wav and *.normalized.txt",
    "manifest": "rows with uri and text",
}


def read(config: CorpusConfig) -> Iterator[Recording]:
    """The recordings of a corpus, in an order that is always the same.

    Raises:
        CorpusError: there is no corpus, it is empty, or its metadata is malformed (with the line's number).
        StorageError: it cannot be listed or read.
    """
    empty = True
    for recording in islice(_READERS[config.layout](_root(config)), config.limit or None):
        empty = False
        yield recording
    if empty:
        raise CorpusError(f"{_root(config)}: no utterance; wanted {_WANTED[config.layout]}: see corpus.layout")


def folder(config: CorpusConfig) -> str:
    """The folder that sources are named from: the data set does not depend on where the corpus lies."""
    root = _root(config)
    return manifest.folder(root) if config.layout == "manifest" else root


def _root(config: CorpusConfig) -> str:
    return str(bundled.CORPUS) if config.root == BUNDLED else storage.absolute(config.root)
