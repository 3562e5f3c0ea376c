"""What is in a data set, in figures for a reader."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import storage
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.manifest import in_words
from wg2.dataset.pitch import CEIL_HZ
from wg2.errors import DatasetError

_COLUMNS = ("utt_id", "num_samples", "speaker", "phones")
_SPEAKERS_SHOWN = 8
_HZ = int(CEIL_HZ) + 1
"""Whole numbers of Hz that a pitch may have; 0 is unvoiced."""


def dataset_facts(info: DatasetInfo) -> dict[str, str]:
    """Names and readable values; every row but the outliers is looked at, no audio.

    Raises:
        DatasetError: a shard is damaged.
        StorageError: a shard is missing.
    """
    lengths, speakers, phones = list[Any](), Counter[str](), Counter[str]()
    pitches = np.zeros(_HZ, dtype=np.int64)
    for uri in info.shards:
        table = _light(uri, info)
        if "f0" in table.column_names:
            pitches += np.histogram(pc.list_flatten(table["f0"]).to_numpy(), _HZ, (0, _HZ))[0]
        lengths.append(table["num_samples"].to_numpy() / info.sampling_rate)
        speakers.update(_counts(table["speaker"]))
        phones.update(_counts(pc.list_flatten(table["phones"])))
    return {
        "utterances": f"{info.num_utterances:,}",
        "hours": f"{info.hours:.3f}",
        "splits": ", ".join(f"{name} {count:,}" for name, count in info.splits.items()),
        "speakers": _shown(speakers),
        "seconds": _spread(np.concatenate(lengths)),
        "f0": _pitch(pitches),
        "rejects": f"{info.rejects:,} ({in_words(info.rejects_by_reason)})",
        "sampling_rate": f"{info.sampling_rate} Hz",
        "audio": f"{info.loss}, lossy" if info.loss else "FLAC, lossless",
        "samples_per_frame": str(info.samples_per_frame),
        "phones": " ".join(f"{phone} {phones[phone]:,}" for phone in info.phones),
        "shards": str(len(info.shards)),
        "identity": info.identity,
    }


def _light(uri: str, info: DatasetInfo) -> pa.Table:
    columns = [*_COLUMNS, "f0"] if info.schema_version >= 3 else list(_COLUMNS)
    try:
        table = pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri))).read(columns)
        return table.filter(~pc.field("utt_id").isin(pa.array(sorted(info.excluded), pa.string())))
    except pa.ArrowException as error:
        raise DatasetError(f"{uri}: no Parquet file ({error}); run prepare again") from error


def _counts(column: Any) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}


def _shown(speakers: Counter[str]) -> str:
    """How many, and the most frequent ones."""
    names = ", ".join(f"{name} {count:,}" for name, count in speakers.most_common(_SPEAKERS_SHOWN))
    return f"{len(speakers):,} ({names}{', ...' if len(speakers) > _SPEAKERS_SHOWN else ''})"


def _spread(seconds: NDArray[np.float64]) -> str:
    least, middle, most = np.min(seconds), np.median(seconds), np.max(seconds)
    return f"{least:.2f} min, {middle:.2f} median, {most:.2f} max"


def _pitch(counts: NDArray[np.int64]) -> str:
    """Of frames with so many Hz, [`_HZ`]."""
    voiced = np.cumsum(counts[1:])
    if not voiced[-1]:
        return "none"
    low, middle, high = np.searchsorted(voiced, voiced[-1] * np.array([0.05, 0.5, 0.95])) + 1
    return f"{low} Hz 5 %, {middle} median, {high} 95 %; {voiced[-1] / counts.sum():.0%} of the frames are voiced"
