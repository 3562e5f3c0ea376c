"""A smaller copy of a data set, for slow links and small disks: the audio with a stated loss, all else as it is.

The sound becomes Ogg/Opus, or Ogg/Vorbis at sampling rates that Opus does not have. Both decode to as many samples as
went in, and from any sample on: phones, durations, pitch, words and splits stay true. The copy is a data set like any
other. Its dataset.json says what was done, under config.pack; so its settings differ from the original's, and `prepare`
does not add lossless units to it.

Every unit gets the same bits a second, so each is made for itself, and a copy that was stopped is finished by the same
command.
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray
from scipy.optimize import brentq
from tqdm import tqdm

from wg2 import audio, storage
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset, read_document
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.outliers import read as read_exclusions
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import SCHEMA_VERSION, utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.errors import DatasetError

_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_SAMPLED = 8
"""Utterances of a unit on which its compression is chosen."""
_MARGIN = 0.97
"""Share of the room that is aimed at: the sample is not the whole."""
_STEP = 0.02
"""More compression, where a unit is larger than its sample promised."""
_OTHER_FILES = ("dataset.json", "dataset.json", "README.md", "config.json", "outliers.parquet")
"""What a copy has beside shards and rejects; the manifests of the units are as large as dataset.json together."""
_SLACK = 1000
"""Bytes by which they may be longer than the original's."""


@dataclass(frozen=True)
class _Sizes:
    """Where the bytes of a data set are.

    Attributes:
        audio: of the audio in all shards.
        fixed: of everything else that a copy has.
        seconds: of audio.
    """

    audio: int
    fixed: int
    seconds: float


def pack(root: str, out: str, megabytes: float) -> DatasetInfo:
    """Write a copy of the data set at `root`, of at most `megabytes`, into the folder `out`.

    Args:
        root: folder or s3:// prefix of the data set.
        out: empty or new folder or s3:// prefix, or one that holds a part of the same copy.
        megabytes: 10^6 bytes.
    Raises:
        DatasetError: there is no data set at `root`, it is packed or small enough already, or cannot be so small; or
            `out` holds something else.
        ConfigError: `out` holds a copy of another size, or of another data set.
        StorageError: one of the two cannot be read or written.
    """
    info, document = open_dataset(root), read_document(root)
    units = [Manifest(**unit) for unit in document["units"]]
    sizes = _sizes(info, units)
    bits = _bits_per_s(info, sizes, megabytes)
    codec = "OPUS" if info.sampling_rate in _OPUS_RATES else "VORBIS"
    settings = {"codec": codec.lower(), "bits_per_s": bits, "of": info.identity}
    ledger = Ledger(out, {**document["config"], "pack": settings})
    done = _begin(ledger)
    with tqdm(total=len(units), initial=len(done), desc="pack", unit="unit", disable=None) as bar:
        for unit in (unit for unit in units if unit.unit not in done):
            room = bits / 8 * unit.num_samples / info.sampling_rate
            done[unit.unit] = _pack_unit(info, unit, ledger, codec, room)
            bar.update()
    if storage.exists(report := storage.join(root, "outliers.parquet")):
        storage.write_bytes(storage.join(out, "outliers.parquet"), storage.read_bytes(report))
    ledger.commit(done.values(), _description(info, document))
    return open_dataset(out)


def _sizes(info: DatasetInfo, units: Sequence[Manifest]) -> _Sizes:
    sound = sum(_audio_bytes(uri) for uri in info.shards)
    paths = [*(path for unit in units for path in unit.files), *_OTHER_FILES]
    every = sum(_size(storage.join(info.root, path)) for path in paths)
    return _Sizes(sound, every - sound + _SLACK, sum(unit.num_samples for unit in units) / info.sampling_rate)


def _size(uri: str) -> int:
    """Bytes of a file, 0 where there is none."""
    return int(storage.version(uri).partition("-")[0] or 0)


def _audio_bytes(uri: str) -> int:
    """Of the audio in a shard.

    Raises:
        DatasetError: it is missing or damaged.
    """
    try:
        files, path = storage.filesystem(uri)
        metadata = pq.ParquetFile(path, filesystem=files).metadata
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error
    groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    columns = (group.column(index) for group in groups for index in range(group.num_columns))
    return sum(column.total_compressed_size for column in columns if column.path_in_schema == "audio.bytes")


def _bits_per_s(info: DatasetInfo, sizes: _Sizes, megabytes: float) -> int:
    """What a second of audio may have.

    Raises:
        DatasetError: it is packed already, or small enough, or all but the audio is too large.
    """
    room, whole = megabytes * 1e6 - sizes.fixed, (sizes.audio + sizes.fixed) / 1e6
    if info.loss:
        raise DatasetError(f"{info.root}: is packed already ({info.loss}); pack the data set that it was made from")
    if room >= sizes.audio:
        raise DatasetError(f"{info.root}: has {whole:.2f} MB, no more than the {megabytes:g} wanted; copy it as it is, "
                           "without loss")  # fmt: skip
    if room <= 0:
        raise DatasetError(f"{info.root}: all but the audio has {sizes.fixed / 1e6:.2f} MB, the {megabytes:g} wanted "
                           "leave nothing for sound; give more --megabytes")  # fmt: skip
    return int(8 * room / sizes.seconds)


def _begin(ledger: Ledger) -> dict[str, Manifest]:
    """Claim the folder; the units that are there already.

    Raises:
        DatasetError: it holds something else.
        ConfigError: it holds another copy.
    """
    uri = storage.join(ledger.root, "config.json")
    there = storage.walk(ledger.root)
    if there and ("config.json" not in there or b'"pack"' not in storage.read_bytes(uri)):
        raise DatasetError(f"{ledger.root}: holds {len(there)} files of something else, wanted an empty folder or the "
                           "same copy begun; name another")  # fmt: skip
    done = ledger.committed()
    ledger.begin()
    return done


def _pack_unit(info: DatasetInfo, unit: Manifest, ledger: Ledger, codec: str, room: float) -> Manifest:
    """Write a unit's shards, then commit it.

    Args:
        info: the original.
        unit: of it.
        ledger: of the copy.
        codec: soundfile's name for it.
        room: bytes for the unit's audio.
    """
    packed = replace(unit, config_hash=ledger.config_hash, schema_version=SCHEMA_VERSION)
    if unit.rejects_shard:
        refused = storage.read_bytes(storage.join(info.root, unit.rejects_shard))
        storage.write_bytes(storage.join(ledger.root, unit.rejects_shard), refused)
    if unit.shard:
        data = _shard(storage.join(info.root, unit.shard), info.sampling_rate, codec, room)
        packed = replace(packed, shard=attempt_path("shards", unit.unit), sha256=hashlib.sha256(data).hexdigest())
        storage.write_bytes(storage.join(ledger.root, packed.shard), data)
    write_unit(ledger.root, packed)
    return packed


def _shard(uri: str, rate: int, codec: str, room: float) -> memoryview:
    """The shard with its audio in at most `room` bytes.

    Raises:
        DatasetError: the codec cannot make it so small.
    """
    data = storage.read_bytes(uri)
    file = pq.ParquetFile(pa.BufferReader(data))
    rows: list[dict[str, Any]] = file.read().to_pylist()
    limit = len(data) - sum(len(row["audio"]["bytes"]) for row in rows) + room
    waveforms = [audio.decode_flac(row["audio"]["bytes"]) for row in rows]
    level = _level(waveforms, rate, codec, room)
    while True:
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # the codecs let go of the interpreter's lock
            sounds = list(pool.map(partial(_encode, rate=rate, codec=codec, level=level), waveforms))
        for row, sound in zip(rows, sounds, strict=True):
            row["audio"] = {"bytes": sound, "path": f"{row['utt_id']}.ogg"}
        packed = parquet(rows, utterance_schema(rate), file.metadata.row_group(0).num_rows)
        if len(packed) <= limit:
            return packed
        if level == 1:
            least, seconds = sum(map(len, sounds)), sum(map(len, waveforms)) / rate
            raise DatasetError(f"{uri}: {codec} takes {least / seconds / 125:.1f} kbit/s at the least, the size wanted "
                               f"leaves {room / seconds / 125:.1f}; give more --megabytes")  # fmt: skip
        level = min(1.0, level + _STEP)


def _level(waveforms: Sequence[NDArray[np.float32]], rate: int, codec: str, room: float) -> float:
    """The compression, 0 to 1, at which all are expected to have `room` bytes, from some of them."""
    some = [waveforms[index] for index in sorted({*np.linspace(0, len(waveforms) - 1, _SAMPLED, dtype=int).tolist()})]
    wanted = _MARGIN * room * sum(map(len, some)) / sum(map(len, waveforms))

    @cache
    def excess(level: float) -> float:
        return sum(len(_encode(waveform, rate, codec, level)) for waveform in some) / wanted - 1

    if excess(1.0) >= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0, xtol=_STEP)) if excess(0.0) > 0 else 0.0


def _encode(waveform: NDArray[np.float32], rate: int, codec: str, level: float) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, waveform, rate, format="OGG", subtype=codec, compression_level=level)
    return stream.getvalue()


def _description(info: DatasetInfo, document: Mapping[str, Any]) -> Description:
    """What the original says of itself beside its units."""
    rule = SplitRule(**{name: int(value, 16) for name, value in document["split_rule"].items()})
    return Description(info.sampling_rate, info.samples_per_frame, info.phones, rule,
                       document["gate"]["max_reject_fraction"], read_exclusions(document))  # fmt: skip
