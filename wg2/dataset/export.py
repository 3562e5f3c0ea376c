"""A data set as other programs read it: the sound, and lists of what is said in it.

    ljspeech   wavs/ID.wav; metadata.csv (id|raw|normalised) of all, metadata_SPLIT.csv of each split, speakers.csv
    nemo       audio/ID.flac; SPLIT_manifest.json (a JSON object a line), speakers.json (name to number)
    hf         data/train|validation|test-NUMBER.parquet, all columns and the sound: as Hugging Face's Hub keeps it

Outliers that readers skip are not exported. What is written is whole or not there, lists come last, and the same
command finishes an export that was stopped. (Folders of audio files are read by Hugging Face `datasets` too, but only
where torchcodec loads.)
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from wg2 import audio, storage
from wg2.dataset.card import SPLITS
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.errors import DatasetError

_MARKER = ".wg2-export.json"
"""Says whose export a folder is; hidden, so that no reader takes it for data."""
_COLUMNS = ["utt_id", "text", "text_norm", "speaker", "split", "num_samples", "audio"]
_AT_ONCE = 64
"""Utterances in memory."""


@dataclass(frozen=True)
class Item:
    """An utterance without its sound.

    Attributes:
        utt_id: its name.
        text: as written.
        text_norm: as spoken.
        speaker: who says it.
        split: 'train', 'val' or 'test'.
        seconds: of audio.
        file: its audio below the export.
    """

    utt_id: str
    text: str
    text_norm: str
    speaker: str
    split: str
    seconds: float
    file: str


def export(root: str, out: str, to: str) -> int:
    """Write the data set at `root` into the folder `out`; how many utterances that were.

    Args:
        root: folder or s3:// prefix of the data set.
        out: empty or new folder or s3:// prefix, or one that holds a part of the same export.
        to: 'ljspeech', 'nemo' or 'hf'.
    Raises:
        DatasetError: there is no data set at `root`, or something else in `out`.
        StorageError: one of the two cannot be read or written.
    """
    info = open_dataset(root)
    there = _begin(out, {"dataset": info.identity, "to": to})
    with tqdm(total=info.num_utterances, desc="export", unit="utt", disable=None) as bar:
        if to == "hf":
            _tables(info, out, there, bar)
        else:
            _files(info, out, there, bar, *_LISTS[to])
    return info.num_utterances


def _begin(out: str, marker: Mapping[str, str]) -> set[str]:
    """Claim the folder; the files that are there already.

    Raises:
        DatasetError: they are another's.
    """
    there, uri = set(storage.walk(out)), storage.join(out, _MARKER)
    if there and (_MARKER not in there or json.loads(storage.read_bytes(uri)) != marker):
        raise DatasetError(f"{out}: holds {len(there)} files of something else ({min(there - {_MARKER}, default='')} "
                           "...), wanted an empty folder or the same export begun; name another")  # fmt: skip
    storage.write_bytes(uri, json.dumps(marker).encode())
    return there


def _tables(info: DatasetInfo, out: str, there: set[str], bar: Any) -> None:
    """A file for each shard and split; the schema has the Audio feature already."""
    for number, uri in enumerate(info.shards):
        table = pa.concat_tables(map(pa.Table.from_batches, ([batch] for batch in _batches(info, uri, None))))
        for split, hf in SPLITS.items():
            part, name = table.filter(pc.field("split") == split), f"data/{hf}-{number:05d}.parquet"
            if part.num_rows and name not in there:
                sink = pa.BufferOutputStream()
                pq.write_table(part, sink, row_group_size=_AT_ONCE, compression="zstd")
                storage.write_bytes(storage.join(out, name), memoryview(sink.getvalue()))
        bar.update(table.num_rows)


def _files(info: DatasetInfo, out: str, there: set[str], bar: Any, file: str, lists: "_Lists") -> None:
    """A file for each utterance, then the lists."""
    items: list[Item] = []
    with ThreadPoolExecutor(16) as pool:
        for batch in (batch for uri in info.shards for batch in _batches(info, uri, _COLUMNS)):
            rows = batch.to_pylist()
            found = [_item(row, info, file) for row in rows]
            missing = [pair for pair in zip(found, rows, strict=True) if pair[0].file not in there]
            list(pool.map(lambda pair: _write(out, pair[0], pair[1]["audio"]["bytes"], info.sampling_rate), missing))
            items += found
            bar.update(len(found))
    for name, text in lists(items):
        storage.write_bytes(storage.join(out, name), text.encode())


def _batches(info: DatasetInfo, uri: str, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a shard that readers get, some at a time."""
    skipped = pa.array(sorted(info.excluded), pa.string())
    try:
        shard = pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri)))
        for batch in shard.iter_batches(_AT_ONCE, columns=columns):
            yield batch.filter(pc.invert(pc.is_in(batch["utt_id"], skipped)))
    except pa.ArrowException as error:
        raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error


def _item(row: Mapping[str, Any], info: DatasetInfo, file: str) -> Item:
    own = PurePosixPath(row["audio"]["path"]).suffix
    texts = (row["utt_id"], row["text"], row["text_norm"], row["speaker"], row["split"])
    seconds = round(row["num_samples"] / info.sampling_rate, 6)
    return Item(*texts, seconds, file.format(utt_id=row["utt_id"], own=own))


def _write(out: str, item: Item, data: bytes, rate: int) -> None:
    """The file as the data set has it, or as WAV."""
    uri = storage.join(out, item.file)
    if item.file.endswith(".wav"):
        audio.write(uri, audio.decode_flac(data), rate)
    else:
        storage.write_bytes(uri, data)


def _by_split(items: Sequence[Item]) -> dict[str, list[Item]]:
    """In the order of SPLITS; those without utterances are left out."""
    splits = sorted({item.split for item in items}, key=list(SPLITS).index)
    return {split: [item for item in items if item.split == split] for split in splits}


def _ljspeech(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """One list more than LJSpeech has says who speaks: its three columns have no room for it."""
    lines = {item.utt_id: "|".join(map(_field, (item.utt_id, item.text, item.text_norm))) for item in items}
    yield "speakers.csv", _lines(f"{_field(item.utt_id)}|{_field(item.speaker)}" for item in items)
    for split, part in _by_split(items).items():
        yield f"metadata_{split}.csv", _lines(lines[item.utt_id] for item in part)
    yield "metadata.csv", _lines(lines.values())


def _nemo(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """NeMo numbers speakers and has a file for the names; its paths are relative to the manifest."""
    numbers = {name: number for number, name in enumerate(sorted({item.speaker for item in items}))}
    yield "speakers.json", json.dumps(numbers, ensure_ascii=False, indent=1) + "\n"
    for split, part in _by_split(items).items():
        yield f"{split}_manifest.json", _lines(
            _json(audio_filepath=item.file, duration=item.seconds, text=item.text, normalized_text=item.text_norm,
                  speaker=numbers[item.speaker]) for item in part)  # fmt: skip


def _field(text: str) -> str:
    """A text between bars: on one line, without a bar of its own."""
    return " ".join(text.replace("|", " ").split())


def _json(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


_Lists = Callable[[Sequence[Item]], Iterator[tuple[str, str]]]
_LISTS: Mapping[str, tuple[str, _Lists]] = {
    "ljspeech": ("wavs/{utt_id}.wav", _ljspeech),
    "nemo": ("audio/{utt_id}{own}", _nemo),
}
"""Where an utterance's file is, and the lists by name."""
