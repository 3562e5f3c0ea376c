"""A plain manifest: `corpus.root` names a CSV file with a header, or a JSONL file with an object a line.

    uri       the audio: s3://..., an absolute path, or a path from the manifest's folder
    text      what is said
    utt_id    optional; default: the name of the audio file, with the times of a part behind it
    speaker   optional
    text_norm optional: the normalised transcript
    start_s, end_s   optional: the utterance is this part (seconds) of a longer recording

Other columns are ignored. A row without text, or without audio, is an utterance too: it ends in the rejects.
"""

from collections.abc import Iterator

from wg2 import storage
from wg2.corpus import tables
from wg2.corpus.recording import Recording
from wg2.errors import CorpusError

_NAMES = tables.Names(uri=("uri",), text=("text",), text_norm=("text_norm",), utt_id=("utt_id",), speaker=("speaker",),
                      start_s=("start_s",), end_s=("end_s",))  # fmt: skip


def read(root: str) -> Iterator[Recording]:
    """The recordings in the order of the manifest.

    Raises:
        CorpusError: there is no manifest, or one of its lines is malformed (with the line's number).
    """
    folder = tables.folder_of(root)
    if not tables.is_json(root) and storage.exists(root):
        _check_header(root)
    yield from tables.Table(folder, _NAMES, plain_ids=True).read(root, folder)


def _check_header(root: str) -> None:
    got = tables.keys(root)
    missing = [name for name in ("uri", "text") if name not in got]
    if missing:
        raise CorpusError(
            f"{root}:1: no column {' and no column '.join(missing)}; wanted a header with uri,text, got "
            f"{','.join(got)[:80]!r}; rename the columns, or let corpus.layout auto look which layout this is"
        )
