"""What is in a data set, for its report: one pass over the light columns, a shard at a time.

It keeps counts, five numbers an utterance, and the names of odd ones: no text, no rows and no audio. P: symbols of the
inventory, F: frames.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import storage
from wg2.dataset.ledger import DatasetInfo, read_document
from wg2.errors import DatasetError

Floats = NDArray[np.float64]

OFF_TARGET_LU = 6.0
"""An utterance that is farther (LU) from the target loudness is named."""
NARROW = 0.5
"""An utterance with less than this share of the band that the data set's rate allows is named."""
_COLUMNS = ("utt_id", "num_samples", "speaker", "split", "phones", "durations", "words", "align", "lufs", "quality",
            "source")  # fmt: skip
_LONGEST = 2048
"""Frames; a longer token counts as this long."""


@dataclass(frozen=True)
class Survey:
    """What the rows hold, without those that readers skip.

    Attributes:
        utterances: rows.
        seconds: of each utterance.
        lufs: loudness; of those rows that have it.
        snr_db: signal-to-noise ratio, dB; of those rows that have it.
        bandwidth_hz: the highest frequency with speech in it; of those rows that have it.
        scores: of the alignments that have one.
        sources: {(codec, Hz): utterances} of the recordings.
        target_lufs: what the loudness should be.
        off_target: {utterance: LUFS} of those that are farther from it than OFF_TARGET_LU.
        narrow: {utterance: Hz} of those whose bandwidth is below NARROW of what the data set could hold.
        speakers: {speaker: (utterances, hours)}.
        splits: the same by split.
        backends: {aligner: utterances}.
        words: {word: how often it is spoken}.
        phones: the inventory, P of them.
        durations: how often each symbol takes how many frames, [P, F].
        frame_ms: length of a frame, ms.
    """

    utterances: int
    seconds: Floats
    lufs: Floats
    snr_db: Floats
    bandwidth_hz: Floats
    scores: Floats
    sources: dict[tuple[str, int], int]
    target_lufs: float
    off_target: dict[str, float]
    narrow: dict[str, float]
    speakers: dict[str, tuple[int, float]]
    splits: dict[str, tuple[int, float]]
    backends: dict[str, int]
    words: Counter[str]
    phones: tuple[str, ...]
    durations: NDArray[np.int64]
    frame_ms: float

    def count(self, phone: str) -> int:
        """How often a symbol of the inventory occurs."""
        return int(self.durations[self.phones.index(phone)].sum())

    def quantiles_ms(self, phone: str, shares: Sequence[float]) -> list[float]:
        """Durations (ms) that these shares of a symbol's occurrences do not exceed."""
        total = np.cumsum(self.durations[self.phones.index(phone)])
        return [float(np.searchsorted(total, max(share * total[-1], 1)) * self.frame_ms) for share in shares]


def survey(info: DatasetInfo) -> Survey:
    """Look at every row of a data set that readers see.

    Raises:
        DatasetError: a shard is missing or damaged.
    """
    tally = _Tally(info)
    for table in _light(info):
        tally.add(table)
    return tally.result()


def open_shard(uri: str) -> pq.ParquetFile:
    """A shard, of which nothing but the footer is read.

    Raises:
        DatasetError: it is missing or damaged.
    """
    try:
        files, path = storage.filesystem(uri)
        return pq.ParquetFile(path, filesystem=files)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error


def _light(info: DatasetInfo) -> Iterator[pa.Table]:
    excluded = pa.array(sorted(info.excluded), pa.string())
    for uri in info.shards:
        shard = open_shard(uri)
        columns = [name for name in _COLUMNS if name in shard.schema_arrow.names]
        try:
            table = shard.read(columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error
        yield table.filter(~pc.field("utt_id").isin(excluded)).combine_chunks()


@dataclass
class _Tally:
    """The survey in the making."""

    info: DatasetInfo
    numbers: dict[str, list[Floats]] = field(default_factory=dict)
    groups: dict[str, Counter[str]] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    sources: Counter[tuple[str, int]] = field(default_factory=Counter)
    odd: dict[str, dict[str, float]] = field(default_factory=dict)
    target_lufs: float = field(init=False)
    durations: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.durations = np.zeros((len(self.info.phones), _LONGEST + 1), np.int64)
        self.target_lufs = float(read_document(self.info.root)["config"]["audio"]["target_lufs"])

    def add(self, table: pa.Table) -> None:
        """Count a table's rows."""
        self._keep("seconds", table["num_samples"].to_numpy() / self.info.sampling_rate)
        lufs, bandwidth = _numbers(table, "lufs"), _numbers(table, "quality", "bandwidth_hz")
        self._keep("lufs", lufs)
        self._name("off target", table, lufs, np.abs(lufs - self.target_lufs) > OFF_TARGET_LU)
        self._keep("snr_db", _numbers(table, "quality", "snr_db"))
        self._keep("bandwidth_hz", bandwidth)
        self._name("narrow", table, bandwidth, bandwidth < NARROW * self.info.sampling_rate / 2)
        self._count_sources(table)
        self._keep("scores", _numbers(table, "align", "score"))
        for name in ("speaker", "split"):
            self._group(table, name)
        self.groups.setdefault("backend", Counter()).update(_counts(pc.struct_field(table["align"], "backend")))
        self.words.update(_counts(pc.utf8_lower(pc.struct_field(pc.list_flatten(table["words"]), "word"))))
        self._count_tokens(table)

    def result(self) -> Survey:
        """All of it."""
        info = self.info
        numbers = {name: np.concatenate(parts) for name, parts in self.numbers.items()}
        empty = np.zeros(0)
        return Survey(
            utterances=len(numbers.get("seconds", empty)),
            seconds=numbers.get("seconds", empty),
            lufs=numbers.get("lufs", empty),
            snr_db=numbers.get("snr_db", empty),
            bandwidth_hz=numbers.get("bandwidth_hz", empty),
            scores=numbers.get("scores", empty),
            sources=dict(sorted(self.sources.items(), key=lambda item: (-item[1], item[0]))),
            target_lufs=self.target_lufs,
            off_target=self._named("off target"),
            narrow=self._named("narrow"),
            speakers=self._grouped("speaker"),
            splits=self._grouped("split"),
            backends=dict(self.groups.get("backend", Counter())),
            words=self.words,
            phones=info.phones,
            durations=self.durations,
            frame_ms=1000 * info.samples_per_frame / info.sampling_rate,
        )

    def _keep(self, name: str, values: Floats) -> None:
        self.numbers.setdefault(name, []).append(values[np.isfinite(values)])

    def _name(self, kind: str, table: pa.Table, values: Floats, chosen: NDArray[np.bool_]) -> None:
        """Keep the names of some rows, of a column that the table may lack."""
        places = np.flatnonzero(chosen)
        names = table["utt_id"].take(places).to_pylist()
        self.odd.setdefault(kind, {}).update(zip(names, values[places].tolist(), strict=True))

    def _named(self, kind: str) -> dict[str, float]:
        """The lowest first."""
        return dict(sorted(self.odd.get(kind, {}).items(), key=lambda item: (item[1], item[0])))

    def _count_sources(self, table: pa.Table) -> None:
        if "source" in table.schema.names and table["source"].type.get_field_index("codec") >= 0:
            codecs, rates = (pc.struct_field(table["source"], part).to_pylist() for part in ("codec", "sampling_rate"))
            self.sources.update(pair for pair in zip(codecs, rates, strict=True) if None not in pair)

    def _group(self, table: pa.Table, name: str) -> None:
        found = table.group_by(name).aggregate([("num_samples", "count"), ("num_samples", "sum")])
        for row in found.to_pylist():
            self.groups.setdefault(name, Counter())[row[name]] += row["num_samples_count"]
            self.groups.setdefault(f"{name} samples", Counter())[row[name]] += row["num_samples_sum"]

    def _grouped(self, name: str) -> dict[str, tuple[int, float]]:
        """The most frequent first."""
        samples = self.groups.get(f"{name} samples", Counter())
        counts = sorted(self.groups.get(name, Counter()).items(), key=lambda item: (-item[1], item[0]))
        return {key: (count, samples[key] / self.info.sampling_rate / 3600) for key, count in counts}

    def _count_tokens(self, table: pa.Table) -> None:
        phones = pc.index_in(pc.list_flatten(table["phones"]), value_set=pa.array(self.info.phones))
        frames = np.clip(pc.list_flatten(table["durations"]).to_numpy(), 0, _LONGEST)
        symbols = pc.fill_null(phones, -1).to_numpy()
        known = symbols >= 0
        cells = symbols[known].astype(np.int64) * self.durations.shape[1] + frames[known]
        self.durations += np.bincount(cells, minlength=self.durations.size).reshape(self.durations.shape)


def _numbers(table: pa.Table, name: str, part: str = "") -> Floats:
    """A column, or a part of it, as numbers; none where an older data set does not have it."""
    if name not in table.schema.names:
        return np.zeros(0)
    column = table[name]
    if part:
        if column.type.get_field_index(part) < 0:
            return np.zeros(0)
        column = pc.struct_field(column, part)
    values: Floats = np.asarray(column.to_numpy(), dtype=np.float64)  # null becomes NaN
    return values


def _counts(column: Any) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist() if item["values"]}
