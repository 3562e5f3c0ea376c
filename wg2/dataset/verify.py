"""Does a data set keep its promises? Every invariant, checked on what is really there: nothing is taken from memory."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wg2 import audio, storage
from wg2.dataset.ledger import DatasetInfo, open_dataset, read_document
from wg2.dataset.manifest import Manifest, count_splits, identity, read_manifest, reasons
from wg2.dataset.outliers import Exclusions
from wg2.dataset.outliers import read as read_exclusions
from wg2.dataset.schema import REJECT_SCHEMA, utterance_schema, validate
from wg2.dataset.splits import SplitRule
from wg2.dataset.units import ids_digest
from wg2.errors import AudioError, DatasetError, StorageError

_TOLERANCE_H = 1e-9
"""Hours may differ by the rounding of their sum."""


@dataclass
class _Check:
    """What is known of the whole data set so far.

    Attributes:
        info: what dataset.json says.
        rule: who is held out.
        pitch: each row is to have its f0.
        seen: ids of rows and rejects, with the unit that has them.
    """

    info: DatasetInfo
    rule: SplitRule
    pitch: bool
    seen: dict[str, str] = field(default_factory=dict)


def violations(root: str) -> Iterator[str]:
    """Check a committed data set; each invariant that does not hold is one line.

    Raises:
        DatasetError: there is no data set, or dataset.json is damaged.
        StorageError: it cannot be read.
    """
    info = open_dataset(root)
    document = read_document(root)
    units = [Manifest(**unit) for unit in document["units"]]
    rule = SplitRule(**{name: int(value, 16) for name, value in document["split_rule"].items()})
    check = _Check(info, rule, document["config"].get("prepare", {}).get("pitch", False))
    for unit in units:
        yield from _unit(check, unit)
    outliers = read_exclusions(document)
    yield from _totals(info, units, outliers)
    for name in sorted(set(outliers.names) - check.seen.keys()):
        yield f"dataset.json: {name} is excluded as an outlier, but it is in no shard"


def _totals(info: DatasetInfo, units: list[Manifest], outliers: Exclusions) -> Iterator[str]:
    """dataset.json against the sums over its units, less the outliers that readers skip."""
    hours = (sum(unit.num_samples for unit in units) - outliers.num_samples) / info.sampling_rate / 3600
    sums = {
        "num_utterances": sum(unit.rows for unit in units) - len(outliers.excluded),
        "rejects": sum(unit.rejected for unit in units) + len(outliers.excluded),
        "splits": count_splits(units, outliers.splits),
        "rejects_by_reason": reasons(units) | outliers.by_reason,
        "identity": identity(units, outliers.names),
        "hours": info.hours if abs(info.hours - hours) < _TOLERANCE_H else hours,
    }
    for name, wanted in sums.items():
        if getattr(info, name) != wanted:
            yield f"dataset.json: {name} is {getattr(info, name)}, but its units add up to {wanted}"


def _unit(check: _Check, unit: Manifest) -> Iterator[str]:
    """A unit's manifest, shards and rows."""
    yield from _manifest(check.info, unit)
    rows, rejects = list[dict[str, Any]](), list[dict[str, Any]]()
    try:
        if unit.shard:
            data = _shard(check.info.root, unit.shard)
            yield from _same(unit, "sha256", sha256(data).hexdigest(), unit.sha256)
            rows = yield from _rows(check, unit, data)
        if unit.rejects_shard:
            rejects = _table(_shard(check.info.root, unit.rejects_shard), REJECT_SCHEMA).to_pylist()
    except (StorageError, DatasetError, pa.ArrowException, OSError) as error:
        yield f"unit {unit.unit}: {' '.join(str(error).split())}"
        return
    yield from _counts(unit, rows, rejects)
    yield from _each_once(check, unit, [row["utt_id"] for row in (*rows, *rejects)])


def _manifest(info: DatasetInfo, unit: Manifest) -> Iterator[str]:
    """The manifest of the unit is there, and is what dataset.json says."""
    yield from _same(unit, "config_hash", unit.config_hash, info.config_hash)
    try:
        own = read_manifest(storage.join(info.root, "units", f"{unit.unit}.json"))
    except (StorageError, DatasetError) as error:
        yield f"unit {unit.unit}: {error}"
        return
    for part in fields(Manifest):
        wanted, got = getattr(unit, part.name), getattr(own, part.name)
        if wanted != got:
            yield f"unit {unit.unit}: its manifest has {part.name} {got}, dataset.json {wanted}; run prepare again"


def _same(unit: Manifest, what: str, got: object, wanted: object) -> Iterator[str]:
    if got != wanted:
        yield f"unit {unit.unit}: {what} is {got}, wanted {wanted}"


def _counts(unit: Manifest, rows: list[dict[str, Any]], rejects: list[dict[str, Any]]) -> Iterator[str]:
    """The rows and rejects are those that the manifest promises, and all of the unit's recordings."""
    by_reason = Counter(f"{row['stage']}/{row['error_class']}" for row in rejects)
    yield from _same(unit, "splits", dict(Counter(row["split"] for row in rows)), dict(unit.splits))
    yield from _same(unit, "rejects", dict(by_reason), dict(unit.rejects))
    yield from _same(unit, "num_samples", sum(row["num_samples"] for row in rows), unit.num_samples)
    yield from _same(unit, "rows and rejects together", len(rows) + len(rejects), unit.utterances)
    ids = ids_digest(row["utt_id"] for row in (*rows, *rejects))
    yield from _same(unit, "SHA-256 over the ids of rows and rejects", ids, unit.ids_sha256)


def _each_once(check: _Check, unit: Manifest, utt_ids: list[str]) -> Iterator[str]:
    for utt_id in utt_ids:
        other = check.seen.setdefault(utt_id, unit.unit)
        if other != unit.unit or utt_ids.count(utt_id) > 1:
            yield f"{utt_id}: is there twice, in unit {other} and in unit {unit.unit}"


def _shard(root: str, path: str) -> bytes:
    return storage.read_bytes(storage.join(root, path))


def _table(data: bytes, schema: pa.Schema) -> pa.Table:
    """A shard's rows without the audio.

    Raises:
        DatasetError: it is no Parquet file, or has other columns.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if not file.schema_arrow.equals(schema):
            raise DatasetError("its shard has other columns than this version writes; prepare it again")
        return file.read([name for name in schema.names if name != "audio"])
    except pa.ArrowException as error:
        raise DatasetError(f"a shard of {len(data)} bytes is no Parquet file: {error}") from error


def _rows(check: _Check, unit: Manifest, data: bytes) -> Generator[str, None, list[dict[str, Any]]]:
    """Check each row of a shard; yields complaints, returns the rows without their audio."""
    schema = utterance_schema(check.info.sampling_rate, check.info.schema_version)
    rows: list[dict[str, Any]] = _table(data, schema).to_pylist()
    position = 0
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(batch_size=16, columns=["audio"]):
        for sound in batch.column("audio").to_pylist():
            yield from (f"{line} (unit {unit.unit})" for line in _row(check, rows[position], sound))
            position += 1
    return rows


def _row(check: _Check, row: Mapping[str, Any], sound: Mapping[str, Any]) -> Iterator[str]:
    info, utt_id = check.info, row["utt_id"]
    try:
        validate(row, info.samples_per_frame)
    except DatasetError as error:
        yield str(error)
    if row["sampling_rate"] != info.sampling_rate:
        yield f"{utt_id}: sampling_rate {row['sampling_rate']} Hz, dataset.json says {info.sampling_rate} Hz"
    if unknown := sorted(set(row["phones"]) - set(info.phones)):
        yield f"{utt_id}: phones outside the inventory: {' '.join(unknown)}"
    if row["split"] != (wanted := check.rule.split(row["text"])):
        yield f"{utt_id}: is in split '{row['split']}', its text belongs in '{wanted}'"
    if check.pitch and row.get("f0") is None:
        yield f"{utt_id}: has no f0, although the data set was made with prepare.pitch"
    yield from _words(row)
    yield from _sound(row, sound, info)


def _words(row: Mapping[str, Any]) -> Iterator[str]:
    """Words follow each other, within the audio (half a millisecond for the rounding of their float32 seconds)."""
    edges = [0.0, *(edge for word in row["words"] for edge in (word["start_s"], word["end_s"]))]
    end = row["num_samples"] / row["sampling_rate"]
    if edges != sorted(edges) or edges[-1] > end + 5e-4:
        yield f"{row['utt_id']}: its words do not follow each other from 0 to {end:.3f} s"


def _sound(row: Mapping[str, Any], sound: Mapping[str, Any], info: DatasetInfo) -> Iterator[str]:
    """The audio is as lossy as dataset.json says, and decodes to the row's samples, mono, at the data set's rate."""
    wanted, name = (b"OggS", info.loss) if info.loss else (b"fLaC", "lossless FLAC")
    if (sound["bytes"] or wanted)[:4] != wanted:
        yield f"{row['utt_id']}: its audio begins with {sound['bytes'][:4]!r}, but dataset.json says {name}"
    try:
        samples, rate = audio.decode(sound["bytes"] or b"", row["utt_id"])
    except AudioError as error:
        yield str(error)
        return
    if samples.shape != (row["num_samples"], 1):
        got = f"{len(samples)} samples in {samples.shape[1]} channels"
        yield f"{row['utt_id']}: its audio has {got}, wanted {row['num_samples']} in one"
    if rate != info.sampling_rate:
        yield f"{row['utt_id']}: its audio is at {rate} Hz, wanted {info.sampling_rate} Hz"
