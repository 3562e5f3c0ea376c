"""Mozilla Common Voice: `validated.tsv` with `client_id`, `path` and `sentence`, beside `clips/`.

The validated clips are read; without that file those of train, dev and test. `corpus.root` may name another .tsv.
Sentences are not quoted, but some have the quotes of an earlier CSV around them.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace

from wg2 import storage
from wg2.corpus import tables
from wg2.corpus.recording import Recording

FILES = (("validated.tsv",), ("train.tsv", "dev.tsv", "test.tsv"))
_NAMES = tables.Names(uri=("path",), text=("sentence",), speaker=("client_id",))


def read(root: str) -> Iterator[Recording]:
    """The recordings in the order of the table; the speaker is the `client_id`.

    Raises:
        CorpusError: one of its lines is malformed (with the line's number).
    """
    folder = tables.folder_of(root) if root.endswith(".tsv") else root
    files = [root] if root.endswith(".tsv") else _files(root)
    table = tables.Table(storage.join(folder, "clips"), _NAMES)
    for file in files:
        for recording in table.read(file, storage.join(folder, "clips"), csv.QUOTE_NONE):
            yield replace(recording, text=_unquoted(recording.text))


def _files(root: str) -> list[str]:
    names = {item.name for item in storage.scan(root)}
    there = next((group for group in FILES if names.intersection(group)), FILES[0])
    return [storage.join(root, name) for name in there if name in names or len(there) == 1]


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if quoted else text
