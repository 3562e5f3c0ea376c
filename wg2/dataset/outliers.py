"""Alignments that look wrong against the whole data set: phones far too long or short, or a poor score.

A robust z-score (median and MAD, scaled to a normal distribution's standard deviation) of the logarithm of each phone's
duration, over all units, since one unit is too small to know how long a ZH is. An utterance's z is that of its worst
phone, or of its score where that is worse. Reads two columns twice and holds counts, not rows.

Phones are as in text/phonemes.py; marks, boundaries and silences have no expected length and do not count.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import storage
from wg2.alignment.scores import TO_SIGMA, median_and_spread
from wg2.errors import DatasetError
from wg2.text.phonemes import PHONES

REPORTED = 1000
"""Utterances in the report, the worst first; more when more are excluded."""
_PHONES = pa.array(sorted(PHONES))
_LONGEST = 4096
"""Frames; a longer phone counts as this long."""
_COLUMNS = ["utt_id", "speaker", "split", "num_samples", "phones", "durations", "align"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outlier:
    """An utterance of the report.

    Attributes:
        utt_id: its name.
        speaker: who speaks.
        split: 'train', 'val' or 'test'.
        num_samples: of its audio.
        z: the larger of the two below.
        duration_z: of the phone whose length is least expected.
        phone: that phone.
        phone_index: its place among the tokens.
        phone_frames: its length, frames.
        expected_frames: the median of that phone, frames.
        score: of the alignment.
        score_z: how far the score lies below the median.
        excluded: whether readers skip the utterance.
    """

    utt_id: str
    speaker: str
    split: str
    num_samples: int
    z: float
    duration_z: float
    phone: str
    phone_index: int
    phone_frames: int
    expected_frames: float
    score: float
    score_z: float
    excluded: bool


def find(shards: Sequence[str], max_z: float = 0.0) -> list[Outlier]:
    """The utterances least like the others, the worst first: REPORTED of them, and all beyond `max_z`.

    Args:
        shards: uris of the data set's Parquet files.
        max_z: what lies beyond is excluded; 0 excludes nothing.
    Raises:
        DatasetError: a shard is missing or damaged.
    """
    expected = _Expected.of(shards)
    worst: list[Outlier] = []
    for table in _tables(shards):
        least = worst[REPORTED - 1].z if len(worst) >= REPORTED else 0.0
        worst = _worst([*worst, *_suspects(table, expected, max_z, least)])
    return worst


def write(uri: str, outliers: Sequence[Outlier]) -> None:
    """The report, as Parquet."""
    fields = [(name, _ARROW[kind]) for name, kind in Outlier.__annotations__.items()]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([asdict(item) for item in outliers], schema=pa.schema(fields)), sink)
    storage.write_bytes(uri, bytes(sink.getvalue()))


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@dataclass(frozen=True)
class Exclusions:
    """What readers skip, as dataset.json keeps it.

    Attributes:
        max_z: the limit that was set; 0 excludes nothing.
        of: identity of the rows that it was applied to.
        excluded: (utt_id, split, num_samples) of each utterance, sorted.
    """

    max_z: float = 0.0
    of: str = ""
    excluded: tuple[tuple[str, str, int], ...] = ()

    @property
    def names(self) -> list[str]:
        """Who is excluded."""
        return [name for name, _, _ in self.excluded]

    @property
    def splits(self) -> list[str]:
        """The split of each."""
        return [split for _, split, _ in self.excluded]

    @property
    def num_samples(self) -> int:
        """Of their audio, together."""
        return sum(samples for _, _, samples in self.excluded)

    @property
    def by_reason(self) -> dict[str, int]:
        """As the reason of a reject; empty when nobody is excluded."""
        return {"outliers/max_outlier_z": len(self.excluded)} if self.excluded else {}


def exclusions(root: str, shards: Sequence[str], identity: str, max_z: float) -> Exclusions:
    """Write the report of a data set's outliers, unless dataset.json is of the same rows and limit already.

    Args:
        root: of the data set.
        shards: uris of its Parquet files.
        identity: of their rows.
        max_z: what lies beyond is excluded; 0 excludes nothing.
    """
    known = _known(root)
    if (known.of, known.max_z) == (identity, max_z) and storage.exists(storage.join(root, "outliers.parquet")):
        return known
    found = find(shards, max_z)
    write(storage.join(root, "outliers.parquet"), found)
    return Exclusions(max_z, identity, tuple(sorted((o.utt_id, o.split, o.num_samples) for o in found if o.excluded)))


def read(document: Mapping[str, Any]) -> Exclusions:
    """The exclusions that a dataset.json holds."""
    kept = document.get("outliers") or {"max_z": 0.0, "of": "", "excluded": []}
    return Exclusions(kept["max_z"], kept["of"], tuple((row[0], row[1], row[2]) for row in kept["excluded"]))


def _known(root: str) -> Exclusions:
    uri = storage.join(root, "dataset.json")
    try:
        return read(json.loads(storage.read_bytes(uri))) if storage.exists(uri) else Exclusions()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Exclusions()  # damaged: it is written anew


@dataclass(frozen=True)
class _Expected:
    """Medians and spreads over the data set; a phone that never occurs has no figures."""

    log_median: Floats
    log_spread: Floats
    score_median: float
    score_spread: float

    @classmethod
    def of(cls, shards: Sequence[str]) -> "_Expected":
        counts = np.zeros((len(_PHONES), _LONGEST + 1), np.int64)
        scores: list[Floats] = [np.zeros(0)]
        for table in _tables(shards):
            phone, frames, _ = _tokens(table)
            spoken = phone >= 0
            np.add.at(counts, (phone[spoken], frames[spoken]), 1)
            scores.append(_scores(table))
        figures = [_figures(row) for row in counts]
        median, spread = median_and_spread(np.concatenate(scores))
        return cls(np.array([m for m, _ in figures]), np.array([s for _, s in figures]), median, spread)

    def duration_z(self, phone: Ints, frames: Ints) -> Floats:
        """|z| of each token, 0 for those that are no phones."""
        z = np.abs(_log(frames) - self.log_median[phone]) / self.log_spread[phone]
        return np.where(phone >= 0, z, 0.0)

    def score_z(self, score: Floats) -> Floats:
        """How far below the median, 0 above it."""
        return np.maximum(0.0, (self.score_median - score) / self.score_spread)


def _figures(counts: Ints) -> tuple[float, float]:
    """Median and spread of log duration, from the number of phones of each length in frames.

    Lengths are whole frames, so the spread is at least what half a frame means at the median: where most phones have
    the same length, one frame more is no outlier.
    """
    lengths = np.flatnonzero(counts)
    if not len(lengths):
        return 0.0, 1.0
    logs = _log(lengths)
    median = _weighted_median(logs, counts[lengths])
    deviation = _weighted_median(np.abs(logs - median), counts[lengths])
    half_a_frame = float(np.log1p(0.5 / np.exp(median)))
    return median, max(TO_SIGMA * deviation, half_a_frame)


def _weighted_median(values: Floats, weights: Ints) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _log(frames: Ints) -> Floats:
    """A phone of no frame is taken as half of one."""
    return np.log(np.maximum(frames, 0.5))


def _tables(shards: Sequence[str]) -> Iterator[pa.Table]:
    """The light columns, a shard at a time."""
    for uri in shards:
        try:
            files, path = storage.filesystem(uri)
            yield pq.ParquetFile(path, filesystem=files).read(columns=_COLUMNS).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error


def _column(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks()


def _tokens(table: pa.Table) -> tuple[Ints, Ints, Ints]:
    """Of all rows in a row: number of the phone (-1: none), length in frames; and where each row starts."""
    phones, durations = _column(table, "phones"), _column(table, "durations")
    index = pc.fill_null(pc.index_in(phones.flatten(), value_set=_PHONES), -1)
    frames = np.minimum(durations.flatten().to_numpy(), _LONGEST).astype(np.int64)
    starts = np.cumsum([0, *pc.list_value_length(phones).to_pylist()])[:-1]
    return index.to_numpy().astype(np.int64), frames, starts.astype(np.int64)


def _scores(table: pa.Table) -> Floats:
    scores: Floats = _column(table, "align").field("score").to_numpy().astype(np.float64)
    return scores


def _suspects(table: pa.Table, expected: _Expected, max_z: float, least: float) -> Iterator[Outlier]:
    """The rows whose z is at least `least`, or that are excluded; the worst first."""
    phone, frames, starts = _tokens(table)
    token_z, scores = expected.duration_z(phone, frames), _scores(table)
    score_z = expected.score_z(scores)
    z = np.maximum(np.maximum.reduceat(token_z, starts), score_z)
    ends = [*starts[1:], len(token_z)]
    for row in np.argsort(-z, kind="stable"):
        excluded = bool(0 < max_z < z[row])
        if z[row] < least and not excluded:
            return
        worst = int(starts[row]) + int(np.argmax(token_z[starts[row] : ends[row]]))
        names = {name: table[name][int(row)].as_py() for name in ("utt_id", "speaker", "split", "num_samples")}
        yield Outlier(
            **names,
            z=float(z[row]),
            duration_z=float(token_z[worst]),
            phone=_PHONES[int(phone[worst])].as_py() if phone[worst] >= 0 else "",
            phone_index=worst - int(starts[row]),
            phone_frames=int(frames[worst]),
            expected_frames=float(np.exp(expected.log_median[phone[worst]])),
            score=float(scores[row]),
            score_z=float(score_z[row]),
            excluded=excluded,
        )


def _worst(found: list[Outlier]) -> list[Outlier]:
    """The worst of them; names decide between equals, so that the order of the shards does not."""
    found.sort(key=lambda outlier: (-outlier.z, outlier.utt_id))
    return [outlier for place, outlier in enumerate(found) if place < REPORTED or outlier.excluded]
