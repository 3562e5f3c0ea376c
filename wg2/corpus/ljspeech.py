"""The LJSpeech layout: `metadata.csv` (UTF-8, no header, `id|raw|normalised`, no quoting) beside `wavs/ID.wav`.

Another format than WAV will do; a recording without a line in the metadata is no utterance of the corpus.
"""

from collections.abc import Iterator

from wg2 import storage
from wg2.corpus.recording import AUDIO_FORMATS, SPEAKER, Ids, Recording, decode, is_better, split_name
from wg2.errors import CorpusError, MissingError

METADATA = "metadata.csv"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(root: str) -> Iterator[Recording]:
    """The recordings in the order of the metadata.

    Raises:
        CorpusError: there is no corpus, or a line of its metadata is malformed (with the line's number).
    """
    metadata, wavs = storage.join(root, METADATA), storage.join(root, "wavs")
    ids, columns = Ids(), 0
    audio: dict[str, str] | None = None
    for number, line in _lines(metadata):
        audio = _audio_files(wavs) if audio is None else audio
        fields = [field.strip() for field in line.split("|")]
        columns = columns or len(fields)
        _check_count(fields, columns, f"{metadata}:{number}")
        utt_id, text, text_norm = (*fields, "")[:3]
        ids.add(utt_id, metadata, number)
        suffix, _, version = audio.pop(utt_id, "wav ").partition(" ")
        uri = storage.join(wavs, f"{utt_id}.{suffix}")
        yield Recording(utt_id, uri, text, text_norm, SPEAKER, version=version)


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


def _check_count(fields: list[str], columns: int, where: str) -> None:
    """A line has the fields of the first one, two or three."""
    if len(fields) not in (2, 3) or len(fields) != columns:
        noun = "field" if len(fields) == 1 else "fields"
        wanted = "id|raw" if columns == 2 and len(fields) != 2 else "id|raw|normalised"
        raise CorpusError(f"{where}: got {len(fields)} {noun}, wanted {wanted}: {'|'.join(fields)[:60]!r}")


def _audio_files(folder: str) -> dict[str, str]:
    """Utterance id to 'SUFFIX VERSION': one listing, instead of a question for each utterance."""
    found: dict[str, str] = {}
    for item in storage.scan(folder):
        stem, suffix = split_name(item.name)
        if not item.is_folder and suffix.lower() in AUDIO_FORMATS:
            other = found.get(stem)
            if is_better(suffix, other.partition(" ")[0] if other else None):
                found[stem] = f"{suffix} {item.version}"
    return found
