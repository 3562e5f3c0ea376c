"""From the scores of files to the tables of a report: means with intervals, by system, length and origin.

A row is a mapping with `utt_id`, `system` ('recording', '50 steps', another system's name), `audio_s`, `domain`
('in-domain' or 'foreign') and the columns of `wg2.evaluation.metrics.METRICS`, any of which may be missing or None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wg2.evaluation.metrics import METRICS, Metric

Row = Mapping[str, Any]

LENGTHS = (("under 3.2 s", 0.0, 3.2), ("3.2-10 s", 3.2, 10.0), ("longer", 10.0, float("inf")))
"""Classes of length: the paper trains on windows of 0.8 or 3.2 s, and speaks whole sentences. A sentence is in one of
them with all its files, so that systems are compared on the same sentences."""
DOMAINS = ("in-domain", "foreign")
"""Whether the data set holds the sentence, or it came from elsewhere."""
RECORDING = "recording"
"""The system that is the human speaker."""
_DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean and the interval that holds it with 95 % confidence.

    Attributes:
        mean: of the files.
        low: 2.5th percentile of the means of bootstrap samples.
        high: 97.5th percentile.
        files: how many.
    """

    mean: float
    low: float
    high: float
    files: int


@dataclass(frozen=True)
class Table:
    """Systems by metrics; None where a system has no figure.

    Attributes:
        title: what part of the files it is about; empty for all.
        metrics: its columns: those that some system has.
        lines: (system, estimates).
    """

    title: str
    metrics: tuple[Metric, ...]
    lines: tuple[tuple[str, tuple[Estimate | None, ...]], ...]


@dataclass(frozen=True)
class Quality:
    """What a report says of the scores.

    Attributes:
        tables: all files first, then each class of length and each origin, if there is more than one.
        points: (system, RTF, estimates by metric) of each that has a real-time factor, the fastest first.
        worst: (sentence, its highest word error rate over the voice's files), the worst first.
    """

    tables: tuple[Table, ...] = ()
    points: tuple[tuple[str, float, Mapping[str, Estimate]], ...] = ()
    worst: tuple[tuple[str, float], ...] = ()


def estimate(values: Iterable[float], seed: int = 0) -> Estimate | None:
    """Mean and 95 % interval by the bootstrap's percentiles (Efron, 1979); None of nothing.

    Args:
        values: one for each file; those that are not finite are left out.
        seed: of the resampling.
    """
    found = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not found.size:
        return None
    draws = np.random.default_rng(seed).integers(found.size, size=(_DRAWS, found.size))
    low, high = np.percentile(found[draws].mean(axis=1), (2.5, 97.5))
    return Estimate(float(found.mean()), float(low), float(high), int(found.size))


def quality(rows: Sequence[Row]) -> Quality:
    """Everything that a report says of scored files, systems in the order in which they come."""
    seconds = _seconds(rows)
    lengths = _parts(rows, [(name, [row for row in rows if low <= seconds[row["utt_id"]] < high])
                            for name, low, high in LENGTHS])  # fmt: skip
    domains = _parts(rows, [(name, [row for row in rows if row["domain"] == name]) for name in DOMAINS])
    return Quality((_table("", rows), *lengths, *domains) if rows else (), _points(rows), _worst(rows))


def _seconds(rows: Sequence[Row]) -> dict[str, float]:
    """How long each sentence is: its recording, else the first file of it."""
    ordered = sorted(rows, key=lambda row: row["system"] != RECORDING)
    return {row["utt_id"]: row["audio_s"] for row in reversed(ordered)}


def _parts(rows: Sequence[Row], parts: Sequence[tuple[str, list[Row]]]) -> list[Table]:
    """Tables of the parts, unless one part is all there is."""
    return [_table(name, part) for name, part in parts if part and len(part) < len(rows)]


def _table(title: str, rows: Sequence[Row]) -> Table:
    metrics = tuple(metric for metric in METRICS if any(row.get(metric.name) is not None for row in rows))
    return Table(title, metrics, tuple(
        (system, tuple(of_metric(mine, metric.name) for metric in metrics)) for system, mine in _systems(rows)
    ))  # fmt: skip


def of_metric(rows: Iterable[Row], metric: str) -> Estimate | None:
    """The estimate of one metric over the rows that have it."""
    return estimate(row[metric] for row in rows if row.get(metric) is not None)


def _systems(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = dict.fromkeys(row["system"] for row in rows)
    return [(name, [row for row in rows if row["system"] == name]) for name in names]


def _points(rows: Sequence[Row]) -> tuple[tuple[str, float, Mapping[str, Estimate]], ...]:
    points = []
    for system, mine in _systems(rows):
        speeds = [row["rtf"] for row in mine if row.get("rtf") is not None]
        if speeds:
            found = {metric.name: of_metric(mine, metric.name) for metric in METRICS}
            points.append((system, float(np.median(speeds)), {name: it for name, it in found.items() if it}))
    return tuple(sorted(points, key=lambda point: point[1]))


def _worst(rows: Sequence[Row]) -> tuple[tuple[str, float], ...]:
    worst: dict[str, float] = {}
    for row in rows:
        if row["system"] != RECORDING and row.get("wer") is not None:
            worst[row["utt_id"]] = max(row["wer"], worst.get(row["utt_id"], 0.0))
    return tuple(sorted(worst.items(), key=lambda entry: (-entry[1], entry[0])))
