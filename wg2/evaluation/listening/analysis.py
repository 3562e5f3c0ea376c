"""What the answers say: mean opinion scores with intervals, listeners to doubt, and which differences are real.

Opinions are crossed: every listener hears many sentences, every sentence is heard by many listeners, and both have
effects of their own. Taking the answers as independent makes intervals far too narrow, so

- a mean's interval is Student's t with a variance clustered both by listener and by sentence (Cameron, Gelbach and
  Miller 2011, "Robust inference with multiway clustering": the variance clustered by the one, plus that by the other,
  less that by their intersection), min(listeners, sentences) - 1 degrees of freedom;
- two systems are compared by Wilcoxon's signed-rank test over listeners: each contributes one number, the mean of their
  differences on the same sentences. It cannot reach 5 % with fewer than six listeners.

Preferences are tested by the exact binomial test against one half, over the answers that have a preference; that test
takes answers as independent, so how many listeners lean each way stands beside it. P values of all pairs of a kind are
corrected together by Holm (1979).

Shapes: R ratings.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from wg2.evaluation.listening.answers import Answer, Answers

LEVEL = 0.95
REACTION_S = 0.2
"""Median seconds between the end of the sounds and the answer below which nobody has thought: a simple reaction to a
sound alone takes about as long."""
MIN_SAME = 6
"""From so many answers on, the same one everywhere is suspicious."""


@dataclass(frozen=True)
class Mean:
    """A system's mean opinion score with its interval (NaN with fewer than two listeners)."""

    system: str
    role: str
    mean: float
    low: float
    high: float
    answers: int
    listeners: int
    sentences: int


@dataclass(frozen=True)
class Difference:
    """First minus second, mean of the listeners' means; `p` is Wilcoxon's, `p_holm` the corrected one."""

    first: str
    second: str
    difference: float
    listeners: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Preference:
    """Answers for each side; `share` of the first among those with a preference, with its Wilson interval.

    `listeners_first` and `listeners_second` lean each way.
    """

    first: str
    second: str
    first_preferred: int
    no_preference: int
    second_preferred: int
    share: float
    low: float
    high: float
    listeners_first: int
    listeners_second: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Listener:
    """One listener, and why their answers are doubted (empty: they are not)."""

    listener: str
    answers: int
    mean: float
    median_seconds: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """Everything that `summarize` tells."""

    page_id: str
    processing: str
    trials: int
    replaced: int
    dropped: tuple[str, ...]
    means: tuple[Mean, ...]
    differences: tuple[Difference, ...]
    preferences: tuple[Preference, ...]
    listeners: tuple[Listener, ...]


def summarize(answers: Answers, drop_failed: bool = False) -> Summary:
    """Means, checks and significance; `drop_failed` leaves the doubted listeners' answers out of the figures."""
    key = answers.key
    listeners = [check_listener(name, own, key.roles) for name, own in _grouped(answers.answers).items()]
    dropped = tuple(listener.listener for listener in listeners if drop_failed and listener.flags)
    kept = [answer for answer in answers.answers if answer.listener not in dropped]
    mos, ab = ([answer for answer in kept if answer.kind == kind] for kind in ("mos", "ab"))
    return Summary(key.page_id, key.processing, key.trials, answers.replaced, dropped, tuple(_means(mos, key.roles)),
                   tuple(_differences(mos, key.roles)), tuple(_preferences(ab)), tuple(listeners))  # fmt: skip


def mean_interval(
    scores: NDArray[np.float64], listeners: Sequence[str], sentences: Sequence[str]
) -> tuple[float, float, float]:
    """Mean of scores [R] and its interval, clustered by listener and by sentence; NaN with fewer than two listeners."""
    mean = float(scores.mean())
    groups = [np.unique(names, return_inverse=True)[1] for names in (listeners, sentences)]
    sizes = [int(group.max()) + 1 for group in groups]
    if sizes[0] < 2:
        return mean, float("nan"), float("nan")
    residuals = scores - mean
    clustered = [_cluster_variance(residuals, group) for group, size in zip(groups, sizes, strict=True) if size > 1]
    variance = clustered[0]
    if len(clustered) == 2:  # what both count twice is taken out once; never below the larger of the two
        variance = max(sum(clustered) - _cluster_variance(residuals, np.arange(len(scores))), *clustered)
    half = float(stats.t.ppf((1 + LEVEL) / 2, min(size for size in sizes if size > 1) - 1) * np.sqrt(variance))
    return mean, mean - half, mean + half


def _cluster_variance(residuals: NDArray[np.float64], group: NDArray[np.intp]) -> float:
    """Variance of the mean of residuals [R] that are dependent within a group."""
    sums = np.bincount(group, residuals)
    return float(len(sums) / (len(sums) - 1) * np.square(sums).sum() / len(residuals) ** 2)


def _means(mos: Sequence[Answer], roles: Mapping[str, str]) -> Iterable[Mean]:
    """Best first."""
    of_system = defaultdict(list)
    for answer in mos:
        of_system[answer.clips[0].system].append(answer)
    return sorted((_mean(name, roles[name], own) for name, own in of_system.items()), key=lambda mean: -mean.mean)


def _mean(system: str, role: str, own: Sequence[Answer]) -> Mean:
    listeners, sentences = [answer.listener for answer in own], [answer.clips[0].sentence for answer in own]
    mean, low, high = mean_interval(np.array([answer.score for answer in own]), listeners, sentences)
    return Mean(system, role, mean, low, high, len(own), len(set(listeners)), len(set(sentences)))


def _differences(mos: Sequence[Answer], roles: Mapping[str, str]) -> list[Difference]:
    """Every pair of systems; the anchor is there to check listeners and is left out."""
    names = [name for name, role in roles.items() if role != "anchor"]
    found = [(*pair, _paired(mos, *pair)) for pair in combinations(names, 2)]
    found = [(first, second, paired) for first, second, paired in found if len(paired)]
    p_values = [wilcoxon_p(paired) for _, _, paired in found]
    return [Difference(first, second, float(paired.mean()), len(paired), p, corrected)
            for (first, second, paired), p, corrected in zip(found, p_values, holm(p_values), strict=True)]  # fmt: skip


def _paired(mos: Sequence[Answer], first: str, second: str) -> NDArray[np.float64]:
    """For each listener the mean difference over the sentences that they heard of both."""
    scores = {(answer.listener, answer.clips[0].system, answer.clips[0].sentence): answer.score for answer in mos}
    differences = defaultdict(list)
    for (listener, system, sentence), score in scores.items():
        if system == first and (listener, second, sentence) in scores:
            differences[listener].append(score - scores[listener, second, sentence])
    return np.array([np.mean(own) for own in differences.values()])


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """Two-sided P of Wilcoxon's signed-rank test; 1 where nothing differs."""
    rounded = np.round(differences, 9)  # equal means that differ in the last bit are ties
    return float(stats.wilcoxon(rounded).pvalue) if rounded.any() else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in their order (Holm 1979, "A simple sequentially rejective ... test")."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def _preferences(ab: Sequence[Answer]) -> list[Preference]:
    of_pair: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in ab:
        first, second = sorted(clip.system for clip in answer.clips)
        of_pair[first, second].append(answer)
    counts = [[answer.preferred for answer in own] for own in of_pair.values()]
    tests = [stats.binomtest(wins.count(pair[0]), max(1, len(wins) - wins.count("")))
             for pair, wins in zip(of_pair, counts, strict=True)]  # fmt: skip
    p_values = [test.pvalue if any(wins) else 1.0 for test, wins in zip(tests, counts, strict=True)]
    return [_preference(*pair, own, p, corrected)
            for (pair, own), p, corrected in zip(of_pair.items(), p_values, holm(p_values), strict=True)]  # fmt: skip


def _preference(first: str, second: str, own: Sequence[Answer], p: float, p_holm: float) -> Preference:
    wins = [answer.preferred for answer in own]
    for_first, for_second = wins.count(first), wins.count(second)
    leaning = [
        sum((answer.preferred == first) - (answer.preferred == second) for answer in of_one)
        for of_one in _grouped(own).values()
    ]
    share, low, high = float("nan"), float("nan"), float("nan")
    if total := for_first + for_second:
        interval = stats.binomtest(for_first, total).proportion_ci(LEVEL, method="wilson")
        share, low, high = for_first / total, float(interval.low), float(interval.high)
    to_first, to_second = sum(lean > 0 for lean in leaning), sum(lean < 0 for lean in leaning)
    return Preference(first, second, for_first, wins.count(""), for_second, share, low, high,
                      to_first, to_second, float(p), p_holm)  # fmt: skip


def check_listener(name: str, own: Sequence[Answer], roles: Mapping[str, str]) -> Listener:
    """What is odd about a listener's answers."""
    mos, ab = ([answer for answer in own if answer.kind == kind] for kind in ("mos", "ab"))
    pauses = [answer.seconds - sum(clip.seconds for clip in answer.clips) for answer in own]
    checks = {
        "hidden reference not above the anchor": _reference_lost(mos, roles),
        "the same MOS everywhere": len(mos) >= MIN_SAME and len({answer.rating for answer in mos}) == 1,
        "the same side everywhere": len(ab) >= MIN_SAME and {answer.rating for answer in ab} in ({"a"}, {"b"}),
        "too fast": float(np.median(pauses)) < REACTION_S,
    }
    mean = float(np.mean([answer.score for answer in mos])) if mos else float("nan")
    seconds = float(np.median([answer.seconds for answer in own]))
    return Listener(name, len(own), mean, seconds, tuple(flag for flag, failed in checks.items() if failed))


def _reference_lost(mos: Sequence[Answer], roles: Mapping[str, str]) -> bool:
    """Whether the reference is not rated above the anchor; ITU-R BS.1534 screens by the hidden reference too."""
    scores = {role: [answer.score for answer in mos if roles[answer.clips[0].system] == role]
              for role in ("reference", "anchor")}  # fmt: skip
    return all(scores.values()) and bool(np.mean(scores["reference"]) <= np.mean(scores["anchor"]))


def _grouped(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """By listener, in the order of their names."""
    of_listener: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda answer: answer.listener):
        of_listener.setdefault(answer.listener, []).append(answer)
    return of_listener
