"""The manifest of NeMo: a JSON object a line, with `audio_filepath` (absolute, or from the manifest's folder), `text`.

Optional are `duration`, `offset`, `speaker` and `normalized_text`. Where a row has an `offset`, the utterance is the
`duration` seconds from there; a row without one is its whole file, and the rounded `duration` says nothing new.
https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html
"""

from collections.abc import Iterator

from wg2.corpus import tables
from wg2.corpus.recording import Recording

_NAMES = tables.Names(uri=("audio_filepath",), text=("text", "raw_text", "original_text"), utt_id=("utt_id",),
                      text_norm=tables.TEXT_NORM, start_s=("offset",), duration=("duration",))  # fmt: skip


def read(root: str) -> Iterator[Recording]:
    """The recordings in the order of the manifest.

    Raises:
        CorpusError: there is no manifest, or one of its lines is malformed (with the line's number).
    """
    folder = tables.folder_of(root)
    return tables.Table(folder, _NAMES).read(root, folder)
