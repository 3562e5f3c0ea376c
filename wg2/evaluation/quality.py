"""From the scores of files to the tables of a report: means with intervals, by system, length and origin.

A row is a mapping with `utt_id`, `system` ('recording', '50 steps', another system's name), `steps` (None of what the
voice did not speak), `audio_s`, `domain` ('in-domain' or 'foreign'), `recogniser` and the columns of
`wg2.evaluation.metrics.METRICS`, any of which may be missing or None.

Systems are compared on the same sentences: a mean is over those for which every system that has the metric has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from wg2.errors import ConfigError
from wg2.evaluation.metrics import METRICS, Metric
from wg2.evaluation.scores import manner

Row = Mapping[str, Any]

LENGTHS = (("under 3.2 s", 0.0, 3.2), ("3.2-10 s", 3.2, 10.0), ("longer", 10.0, float("inf")))
"""Classes of length: the paper trains on windows of 0.8 or 3.2 s, and speaks whole sentences. A sentence is in one of
them with all its files, so that systems are compared on the same sentences."""
DOMAINS = ("in-domain", "foreign")
"""Whether the data set holds the sentence, or it came from elsewhere."""
RECORDING = "recording"
"""The system that is the human speaker."""
_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and the interval that holds it with 95 % confidence.

    Attributes:
        mean: of the files.
        low: lower end of Student's t interval; the mean itself of one file.
        high: upper end.
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

    @property
    def counts(self) -> tuple[int, ...]:
        """Sentences that each column is over; 0 where its systems have none in common, and each has its own."""
        columns = [{line[place].files for _, line in self.lines if line[place]} for place in range(len(self.metrics))]  # type: ignore[union-attr]
        return tuple(min(files) if len(files) == 1 else 0 for files in columns)


@dataclass(frozen=True)
class Point:
    """A number of denoising steps in one manner, measured.

    Attributes:
        manner: sampler, precision and durations: 'ddpm', 'unipc, true durations'.
        steps: of denoising.
        rtf: median over the files.
        estimates: by metric.
    """

    manner: str
    steps: int
    rtf: float
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True)
class Quality:
    """What a report says of the scores.

    Attributes:
        tables: all files first, then each class of length and each origin, if there is more than one.
        points: what the voice spoke and how fast, the fastest first.
        levels: (system, estimates by metric) of what it did not speak: recordings, other systems.
        worst: (sentence, its highest word error rate over the voice's files), the worst first.
        recogniser: by whom the error rates are; empty where nobody listened.
    """

    tables: tuple[Table, ...] = ()
    points: tuple[Point, ...] = ()
    levels: tuple[tuple[str, Mapping[str, Estimate]], ...] = ()
    worst: tuple[tuple[str, float], ...] = ()
    recogniser: str = ""


def estimate(values: Iterable[float]) -> Estimate | None:
    """Mean and its 95 % interval by Student's t (1908); None of nothing.

    The percentiles of a bootstrap would be far too narrow for few files: of four they hold the mean 4 times in 5.

    Args:
        values: one for each file; those that are not finite are left out.
    """
    found = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not found.size:
        return None
    mean, half = float(found.mean()), 0.0
    if found.size > 1:
        half = float(stdtrit(found.size - 1, (1 + _LEVEL) / 2) * found.std(ddof=1) / np.sqrt(found.size))
    return Estimate(mean, mean - half, mean + half, int(found.size))


def quality(rows: Sequence[Row]) -> Quality:
    """Everything that a report says of scored files, systems in the order in which they come.

    Raises:
        ConfigError: several recognisers listened.
    """
    if not rows:
        return Quality()
    seconds, whole = _seconds(rows), _table("", rows)
    lengths = _parts(rows, [(name, [row for row in rows if low <= seconds[row["utt_id"]] < high])
                            for name, low, high in LENGTHS])  # fmt: skip
    domains = _parts(rows, [(name, [row for row in rows if row["domain"] == name]) for name in DOMAINS])
    tables = (whole, *lengths, *domains)
    return Quality(tables, _points(whole, rows), _levels(whole, rows), _worst(rows), _recogniser(rows))


def _recogniser(rows: Sequence[Row]) -> str:
    names = sorted({row.get("recogniser") or "" for row in rows})
    if len(names) > 1:
        several = " and ".join(names)
        raise ConfigError(f"word error rates of {several} are not comparable; score all files with one recogniser")
    return names[0]


def _seconds(rows: Sequence[Row]) -> dict[str, float]:
    """How long each sentence is: its recording, else the first file of it."""
    ordered = sorted(rows, key=lambda row: row["system"] != RECORDING)
    return {row["utt_id"]: row["audio_s"] for row in reversed(ordered)}


def _parts(rows: Sequence[Row], parts: Sequence[tuple[str, list[Row]]]) -> list[Table]:
    """Tables of the parts, unless one part is all there is."""
    return [_table(name, part) for name, part in parts if part and len(part) < len(rows)]


def _table(title: str, rows: Sequence[Row]) -> Table:
    metrics = tuple(metric for metric in METRICS if any(_has(row, metric.name) for row in rows))
    compared = [_comparable(rows, metric.name) for metric in metrics]
    lines = [(system, tuple(of_metric([row for row in column if row["system"] == system], metric.name)
                            for metric, column in zip(metrics, compared, strict=True)))
             for system, _ in _systems(rows)]  # fmt: skip
    return Table(title, metrics, tuple(lines))


def _comparable(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows with a metric, of the sentences for which every system that has it has it; all if there is none."""
    having = [row for row in rows if _has(row, metric)]
    common = set.intersection(*({row["utt_id"] for row in mine} for _, mine in _systems(having)))
    return [row for row in having if row["utt_id"] in common] or having


def _has(row: Row, metric: str) -> bool:
    return row.get(metric) is not None and bool(np.isfinite(row[metric]))


def of_metric(rows: Iterable[Row], metric: str) -> Estimate | None:
    """The estimate of one metric over the rows that have it."""
    return estimate(row[metric] for row in rows if _has(row, metric))


def _systems(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = dict.fromkeys(row["system"] for row in rows)
    return [(name, [row for row in rows if row["system"] == name]) for name in names]


def _estimates(table: Table) -> dict[str, dict[str, Estimate]]:
    """By system and metric."""
    names = [metric.name for metric in table.metrics]
    return {system: {name: it for name, it in zip(names, line, strict=True) if it} for system, line in table.lines}


def _points(whole: Table, rows: Sequence[Row]) -> tuple[Point, ...]:
    found, points = _estimates(whole), []
    for system, mine in _systems(rows):
        speeds, steps = [row["rtf"] for row in mine if _has(row, "rtf")], mine[0].get("steps")
        if speeds and steps:
            points.append(Point(manner(system), steps, float(np.median(speeds)), found[system]))
    return tuple(sorted(points, key=lambda point: point.rtf))


def _levels(whole: Table, rows: Sequence[Row]) -> tuple[tuple[str, Mapping[str, Estimate]], ...]:
    spoken = {row["system"] for row in rows if row.get("steps")}
    return tuple((system, found) for system, found in _estimates(whole).items() if system not in spoken)


def _worst(rows: Sequence[Row]) -> tuple[tuple[str, float], ...]:
    """Of what the voice spoke: that the recogniser misunderstands a recording or another system is none of its."""
    worst: dict[str, float] = {}
    for row in rows:
        if row.get("steps") and _has(row, "wer"):
            worst[row["utt_id"]] = max(row["wer"], worst.get(row["utt_id"], 0.0))
    return tuple(sorted(worst.items(), key=lambda entry: (-entry[1], entry[0])))
