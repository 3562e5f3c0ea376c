"""An AudioFolder of Hugging Face `datasets`: `metadata.csv` or `metadata.jsonl` with `file_name` and a transcript.

The file lies beside its audio, in the corpus' folder or in one for each split; `file_name` is a path from there.
https://huggingface.co/docs/datasets/audio_dataset#audiofolder
"""

from collections.abc import Iterator

from wg2 import storage
from wg2.corpus import tables
from wg2.corpus.recording import Recording

METADATA = ("metadata.csv", "metadata.jsonl")
_NAMES = tables.Names(uri=("file_name", "audio_file_name"), text=tables.TEXT, text_norm=tables.TEXT_NORM,
                      utt_id=("utt_id",))  # fmt: skip


def read(root: str) -> Iterator[Recording]:
    """The recordings, file by file, in the order of the metadata.

    Raises:
        CorpusError: one of its lines is malformed (with the line's number).
    """
    files = [root] if root.endswith(tables.SUFFIXES) else list(_files(root))
    table = tables.Table(tables.folder_of(root) if files == [root] else root, _NAMES)
    for file in files:
        yield from table.read(file, tables.folder_of(file))


def _files(root: str) -> Iterator[str]:
    """The metadata of a folder and of those below it, as far as the next one down."""
    items = sorted(storage.scan(root), key=lambda item: item.name)
    found = [item.name for item in items if item.name in METADATA]
    if found:
        yield storage.join(root, found[0])
        return
    for item in items:
        if item.is_folder and not item.name.startswith("."):
            yield from _files(storage.join(root, item.name))
