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
from wg2.errors import DatasetError

_COLUMNS = ["utt_id", "num_samples", "speaker", "phones"]
_SPEAKERS_SHOWN = 8


def dataset_facts(info: DatasetInfo) -> dict[str, str]:
    """Names and readable values; every row but the outliers is looked at, no audio.

    Raises:
        DatasetError: a shard is damaged.
        StorageError: a shard is missing.
    """
    lengths, speakers, phones = list[Any](), Counter[str](), Counter[str]()
    for uri in info.shards:
        table = _light(uri, info.excluded)
        lengths.append(table["num_samples"].to_numpy() / info.sampling_rate)
        speakers.update(_counts(table["speaker"]))
        phones.update(_counts(pc.list_flatten(table["phones"])))
    return {
        "utterances": f"{info.num_utterances:,}",
        "hours": f"{info.hours:.3f}",
        "splits": ", ".join(f"{name} {count:,}" for name, count in info.splits.items()),
        "speakers": _shown(speakers),
        "seconds": _spread(np.concatenate(lengths)),
        "rejects": f"{info.rejects:,} ({in_words(info.rejects_by_reason)})",
        "sampling_rate": f"{info.sampling_rate} Hz",
        "samples_per_frame": str(info.samples_per_frame),
        "phones": " ".join(f"{phone} {phones[phone]:,}" for phone in info.phones),
        "shards": str(len(info.shards)),
        "identity": info.identity,
    }


def _light(uri: str, excluded: frozenset[str]) -> pa.Table:
    try:
        table = pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri))).read(_COLUMNS)
        return table.filter(~pc.field("utt_id").isin(pa.array(sorted(excluded), pa.string())))
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
