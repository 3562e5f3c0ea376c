"""The report of a data set: one HTML page, for who has to decide whether a voice should be trained on it.

Everything on it comes from the manifests and the light columns of the shards; audio is read of the few utterances that
the page lets one hear.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from wg2 import storage
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.evaluation import suspects
from wg2.evaluation.charts import Box, bars, boxes, histogram, row_bars
from wg2.evaluation.klatt import expected_ms
from wg2.evaluation.pages import page
from wg2.evaluation.survey import OFF_TARGET_LU, Survey, survey
from wg2.text.phonemes import BOUNDARY, CONSONANTS, MARKS, SILENCE, VOWELS

PLAYERS = 8
"""Suspects with sound and pictures: a page of some megabytes."""
RARE = 20
"""A phone that occurs less often than this is named: a model hears too little of it to learn it."""
_LISTED = 40
_SPEAKERS = 25
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_HEAD_LINES = 8


@dataclass(frozen=True)
class Quantity:
    """A figure of every utterance.

    Attributes:
        name: of it.
        unit: of it.
        values: smallest, 5 %, median, 95 % and largest.
        chart: its histogram.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    chart: Markup


@dataclass(frozen=True)
class Odd:
    """A phone whose median lies outside the published range; ms."""

    phone: str
    count: int
    median_ms: float
    least_ms: float
    most_ms: float


def write(root: str, output: str = "") -> str:
    """Write the report of a committed data set.

    Args:
        root: folder or s3:// prefix of the data set.
        output: the page; by default ROOT/report.html.
    Returns:
        Where it is.
    Raises:
        DatasetError: there is no data set, or it is damaged.
        StorageError: the page cannot be written.
    """
    uri = output or report_uri(root)
    storage.write_bytes(uri, render(open_dataset(root)).encode())
    return uri


def report_uri(root: str) -> str:
    """Where the report of a data set is."""
    return storage.join(root, "report.html")


def is_current(root: str) -> bool:
    """Whether the data set has a report, and one of what its dataset.json says now."""
    uri = report_uri(root)
    if not storage.exists(uri):
        return False
    return any(_digest(root).encode() in line for line in islice(storage.read_lines(uri), _HEAD_LINES))


def _digest(root: str) -> str:
    return hashlib.sha256(storage.read_bytes(storage.join(root, "dataset.json"))).hexdigest()


def render(info: DatasetInfo) -> str:
    """The page of a data set; the same data set has the same page.

    Raises:
        DatasetError: a shard is missing or damaged.
    """
    found, worst = survey(info), suspects.worst(info)
    present = [phone for phone in found.phones if found.count(phone)]
    return page(
        "data_report.html",
        info=info,
        digest=_digest(info.root),
        found=found,
        speakers=list(found.speakers.items())[:_SPEAKERS],
        quantities=list(_quantities(found)),
        boxes=list(_boxes(found, present)),
        odd=list(_odd(found, present)),
        off_target_lu=OFF_TARGET_LU,
        most_named=_LISTED,
        outliers=worst,
        listed=worst[PLAYERS : PLAYERS + _LISTED],
        players=suspects.players(info, worst[:PLAYERS]),
        rejects=suspects.rejects(info),
        coverage=list(_coverage(found)),
        missing=[phone for phone in found.phones if not found.count(phone)],
        rare=[(phone, found.count(phone)) for phone in present if found.count(phone) < RARE],
        rare_below=RARE,
        words=_word_chart(found),
    )


def _quantities(found: Survey) -> Iterator[Quantity]:
    """Those that the data set has."""
    measured = (
        ("length", "s", found.seconds, 0.1),
        ("loudness", "LUFS", found.lufs, 0.1),
        ("signal-to-noise ratio", "dB", found.snr_db, 0.5),
        ("bandwidth", "Hz", found.bandwidth_hz, 100.0),
        ("alignment score", found_unit(found), found.scores, 0.01),
    )
    for name, unit, values, least_bin in measured:
        if len(values) and (name != "alignment score" or np.ptp(values) > 0):
            spread = tuple(float(value) for value in np.quantile(values, (0, 0.05, 0.5, 0.95, 1)))
            yield Quantity(name, unit, spread, histogram(values, name, unit, least_bin))


def found_unit(found: Survey) -> str:
    """Of the scores: each aligner has its own."""
    return f"log-likelihood a frame ({', '.join(sorted(found.backends))})"


def _groups() -> dict[str, tuple[str, ...]]:
    """The phones, in charts that stand side by side."""
    vowels = {stress: tuple(vowel + stress for vowel in VOWELS) for stress in "120"}
    return {
        "consonants": CONSONANTS,
        "vowels, primary stress": vowels["1"],
        "vowels, secondary stress": vowels["2"],
        "vowels, unstressed": vowels["0"],
    }


def _boxes(found: Survey, present: list[str]) -> Iterator[Markup]:
    """Durations of the phones against what is published."""
    rows = {name: [_box(found, phone) for phone in phones if phone in present] for name, phones in _groups().items()}
    most = max(
        (max(row.quantiles[4], *(row.expected or (0, 0))) for group in rows.values() for row in group), default=1
    )
    for name, group in rows.items():
        if group:
            yield boxes(group, name, "ms", 1.03 * most)


def _box(found: Survey, phone: str) -> Box:
    p5, p25, p50, p75, p95 = found.quantiles_ms(phone, _QUANTILES)
    return Box(phone, (p5, p25, p50, p75, p95), expected_ms(phone))


def _odd(found: Survey, present: list[str]) -> Iterator[Odd]:
    """Phones whose median is not where it is published to be; a frame more or less is no matter."""
    for phone in present:
        expected, (median,) = expected_ms(phone), found.quantiles_ms(phone, (0.5,))
        if expected and not expected[0] - found.frame_ms <= median <= expected[1] + found.frame_ms:
            yield Odd(phone, found.count(phone), median, *expected)


def _coverage(found: Survey) -> Iterator[Markup]:
    """How often each phone and mark occurs."""
    marks = tuple(symbol for symbol in (*MARKS, SILENCE, BOUNDARY) if symbol in found.phones)
    for name, phones in {**_groups(), "marks and pauses": marks}.items():
        counts = [(phone, found.count(phone)) for phone in phones if phone in found.phones]
        alt = f"Occurrences of {name}: " + ", ".join(f"{phone} {count:,}" for phone, count in counts)
        if counts:
            yield row_bars(counts, f"{name}, occurrences", alt)


def _word_chart(found: Survey) -> Markup:
    """How many different words are spoken how often."""
    counts = np.fromiter(found.words.values(), dtype=np.int64, count=len(found.words))
    if not len(counts):
        return Markup("")
    classes = _classes(counts)
    alt = "Different words by how often they are spoken: " + ", ".join(f"{label} times {n:,}" for label, n in classes)
    return bars(classes, "times spoken", "different words", alt)


def _classes(counts: NDArray[np.int64]) -> list[tuple[str, int]]:
    """1, 2, 3-4, 5-8, ...: each class reaches twice as far as the one before."""
    tops = 2 ** np.arange(int(np.ceil(np.log2(counts.max()))) + 1)
    labels = [str(top) if top < 3 else f"{top // 2 + 1} to {top}" for top in tops]
    inside = np.bincount(np.searchsorted(tops, counts), minlength=len(tops))
    return [(label, int(count)) for label, count in zip(labels, inside, strict=True)]
