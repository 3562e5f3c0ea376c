"""The LJSpeech layout: `metadata.csv` (UTF-8, `id|raw|normalised` or other columns) beside `wavs/ID.wav`.

Also `id|speaker|text`, `id.wav|text`, `wav/` for `wavs/`, a header, quotes, tabs, semicolons: the first hundred lines
decide (columns.py). Another format than WAV will do; a recording without a line in the metadata is no utterance.
"""

from collections.abc import Iterator
from itertools import chain, islice

from wg2 import storage
from wg2.config import Column
from wg2.corpus.columns import SAMPLE_LINES, Table, decide
from wg2.corpus.files import AudioFolder
from wg2.corpus.recording import SPEAKER, Ids, Recording, decode
from wg2.errors import CorpusError, MissingError

METADATA = "metadata.csv"
NAMES = (METADATA, "metadata.txt", "metadata.tsv")
"""What the file may be called."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(root: str, columns: tuple[Column, ...] = ()) -> Iterator[Recording]:
    """The recordings in the order of the metadata.

    Args:
        root: the folder.
        columns: what the columns are; () has the first lines tell.
    Raises:
        CorpusError: there is no corpus, or a line of its metadata is malformed (with the line's number).
    """
    metadata = _metadata(root)
    lines = _lines(metadata)
    sample = list(islice(lines, SAMPLE_LINES))
    audio, ids = AudioFolder(root), Ids()
    table = decide([line for _, line in sample], audio, metadata, columns)
    for number, line in islice(chain(sample, lines), table.header, None):
        fields = table.fields(line)
        _check_count(fields, table, f"{metadata}:{number}", line)
        row = dict(zip(table.columns, fields, strict=True))
        utt_id, uri, version = audio.take(row["id"])
        ids.add(utt_id, metadata, number)
        speaker = row.get("speaker") or SPEAKER
        yield Recording(utt_id, uri, row["text"], row.get("text_norm", ""), speaker, version=version)


def saw(root: str, columns: tuple[Column, ...] = ()) -> str:
    """What the metadata was found to be, for a person; raises as `read`."""
    metadata = _metadata(root)
    sample, audio = [line for _, line in islice(_lines(metadata), SAMPLE_LINES)], AudioFolder(root)
    return f"{decide(sample, audio, metadata, columns)} in {metadata}, audio in {audio.folder}"


def _metadata(root: str) -> str:
    found = (storage.join(root, name) for name in NAMES[1:] if not storage.exists(storage.join(root, METADATA)))
    return next((uri for uri in found if storage.exists(uri)), storage.join(root, METADATA))


def _lines(uri: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of the lines that are not blank."""
    try:
        for number, line in enumerate(storage.read_lines(uri), 1):
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line.strip():
                yield number, decode(line, uri, number)
    except MissingError as error:
        raise CorpusError(f"{error}; corpus.root must name a folder with {METADATA} and wavs/") from error


def _check_count(fields: list[str], table: Table, where: str, line: str) -> None:
    if len(fields) != len(table.columns):
        noun = "field" if len(fields) == 1 else "fields"
        raise CorpusError(f"{where}: got {len(fields)} {noun}, wanted {table.wanted()}: {line[:60]!r}")
