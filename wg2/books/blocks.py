"""What has been spoken of a book: blocks of sentences, each committed by its manifest, written last.

    FOLDER/KEY/000000-000015.flac    the sentences of a block, one after the other, 16 bit
    FOLDER/KEY/000000-000015.json    its manifest: where each sentence lies, and when each word is spoken

KEY follows from everything that the sound follows from (voice, sentences, steps, pace, seed, checks), so what is there
is right, and blocks of other settings never mix. The same block has the same bytes, whoever makes it.

Shapes: S samples.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.alignment import Interval
from wg2.books.narrator import Take
from wg2.books.plan import Sentence
from wg2.errors import StorageError


@dataclass(frozen=True)
class Row:
    """A committed sentence.

    Attributes:
        index: of the sentence.
        block: name of its block; '' where it was left out.
        start: its first sample in the block.
        num_samples: its length.
        words: when each word is spoken, from the sentence's start.
        attempt: which one this is, from 0.
        wer: word error rate, None where nobody listened.
        lufs: loudness, None for silence.
        peak: highest absolute sample.
        problem: why a listener should check this sentence, or ''.
    """

    index: int
    block: str = ""
    start: int = 0
    num_samples: int = 0
    words: tuple[Interval, ...] = ()
    attempt: int = 0
    wer: float | None = None
    lufs: float | None = None
    peak: float = 0.0
    problem: str = ""


class Blocks:
    """The blocks of one book, spoken with one set of settings.

    Args:
        folder: folder or s3:// prefix; it ends in the key of the settings.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._last: tuple[str, bytes] = ("", b"")

    def commit(self, takes: Sequence[Take], sampling_rate: int) -> list[Row]:
        """Write a block: the audio, then the manifest that makes it count."""
        name = f"{takes[0].index:06d}-{takes[-1].index:06d}"
        flac = audio.encode_flac(np.concatenate([take.waveform for take in takes]), sampling_rate)
        starts = np.cumsum([0, *(len(take.waveform) for take in takes[:-1])])
        rows = [_row(take, name, int(start)) for take, start in zip(takes, starts, strict=True)]
        manifest = {
            "sha256": hashlib.sha256(flac).hexdigest(),
            "sampling_rate": sampling_rate,
            "sentences": [asdict(row) for row in rows],
        }
        storage.write_bytes(self._uri(name, "flac"), flac)
        storage.write_bytes(self._uri(name, "json"), (json.dumps(manifest) + "\n").encode())
        return rows

    def committed(self) -> dict[int, Row]:
        """The sentences that are done, by index.

        Raises:
            StorageError: a manifest is damaged.
        """
        uris = storage.list_files(self.folder, ".json")
        present = {uri.removesuffix(".flac") for uri in storage.list_files(self.folder, ".flac")}
        with ThreadPoolExecutor(16) as pool:
            blocks = pool.map(_read_manifest, [uri for uri in uris if uri.removesuffix(".json") in present])
            return {row.index: row for rows in blocks for row in rows}

    def waveform(self, row: Row) -> NDArray[np.float32]:
        """The audio of a sentence, [S]; read in order, each block is fetched once.

        Raises:
            StorageError: the block's audio is not what its manifest says.
        """
        if not row.num_samples:
            return np.zeros(0, np.float32)
        if self._last[0] != row.block:
            self._last = (row.block, self._checked(row.block))
        return audio.decode_flac(self._last[1], row.start, row.num_samples)

    def _checked(self, name: str) -> bytes:
        data = storage.read_bytes(self._uri(name, "flac"))
        wanted = json.loads(storage.read_bytes(self._uri(name, "json")))["sha256"]
        if hashlib.sha256(data).hexdigest() != wanted:
            uri = self._uri(name, "flac")
            raise StorageError(f"{uri}: its {len(data)} bytes are not those of its manifest; delete it and run again")
        return data

    def _uri(self, name: str, suffix: str) -> str:
        return storage.join(self.folder, f"{name}.{suffix}")


def pending_blocks(sentences: Iterable[Sentence], done: Iterable[int], size: int) -> list[tuple[Sentence, ...]]:
    """The sentences still to speak, in blocks on a fixed grid: resumed or not, a book has the same blocks."""
    grid: dict[int, list[Sentence]] = {}
    finished = set(done)
    for sentence in sentences:
        if sentence.index not in finished:
            grid.setdefault(sentence.index // size, []).append(sentence)
    return [tuple(block) for block in grid.values()]


def _row(take: Take, block: str, start: int) -> Row:
    facts: dict[str, Any] = {key: value for key, value in vars(take).items() if key != "waveform"}
    return Row(block=block, start=start, num_samples=len(take.waveform), **facts)


def _read_manifest(uri: str) -> list[Row]:
    try:
        rows = json.loads(storage.read_bytes(uri))["sentences"]
        return [Row(**{**row, "words": tuple(Interval(**word) for word in row["words"])}) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{uri}: damaged manifest ({error!r}); delete it and run again") from error
