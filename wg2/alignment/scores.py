"""Alignments whose score lies far below the others': an aligner fits any text to any sound, at a price.

Measured in robust standard deviations below the median: MFA's good alignments of 360 recordings lie at most 5.7 below,
spoiled ones 11 and more; sphinx's good ones of 88 at most 4.1, those with another's text 17 and more.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wg2.alignment import Alignment, AlignmentRequest
from wg2.errors import AlignmentError, ScoreError

MIN_ALIGNMENTS = 16
"""Of fewer a median and a deviation say little."""
TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation (MAD)."""

Result = Alignment | AlignmentError


def refuse_poor(requests: Sequence[AlignmentRequest], results: Sequence[Result], max_z: float) -> list[Result]:
    """The results of a unit, with an error for each alignment more than `max_z` deviations below the unit's median.

    Args:
        requests: of the unit.
        results: of the aligner, in the same order.
        max_z: robust standard deviations; 0 refuses nothing.
    """
    scores = np.array([result.score for result in results if isinstance(result, Alignment)])
    if not max_z or len(scores) < MIN_ALIGNMENTS:
        return list(results)
    median, spread = median_and_spread(scores)
    least = median - max_z * spread
    return [
        _refusal(request, result.score, median, (median - result.score) / spread)
        if isinstance(result, Alignment) and result.score < least
        else result
        for request, result in zip(requests, results, strict=True)
    ]


def median_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """The median, and the robust standard deviation: infinite where most values are equal (TextGrids have no score)."""
    if not len(values):
        return 0.0, np.inf
    median = float(np.median(values))
    return median, TO_SIGMA * float(np.median(np.abs(values - median))) or np.inf


def _refusal(request: AlignmentRequest, score: float, median: float, z: float) -> ScoreError:
    return ScoreError(
        f"{request.utt_id}: its words fit the sound badly: score {score:.1f}, {z:.1f} robust standard deviations below "
        f"the unit's median {median:.1f}; check that the transcript says what is spoken, or raise prepare.max_score_z"
    )
