"""The gate on scores: what an aligner made fit."""

from dataclasses import replace

import numpy as np
import pytest

from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.scores import MIN_ALIGNMENTS, refuse_poor
from wg2.alignment.sphinx import SphinxAligner
from wg2.errors import AlignmentError, ScoreError


def unit(scores: list[float]) -> tuple[list[AlignmentRequest], list[Alignment | AlignmentError]]:
    requests = [AlignmentRequest(f"u{n}", np.zeros(1, np.float32), 16_000, ()) for n in range(len(scores))]
    return requests, [Alignment((), score, "mfa") for score in scores]


def test_only_what_lies_far_below_the_units_median_is_refused():
    scores = [-50.0 - 0.1 * n for n in range(40)]
    requests, results = unit([*scores, -69.0, -20.0])
    results[3] = failed = AlignmentError("u3: not aligned")
    gated = refuse_poor(requests, results, 8.0)
    assert [place for place, result in enumerate(gated) if isinstance(result, ScoreError)] == [40]
    assert gated[3] is failed
    assert str(gated[40]).startswith("u40: its words fit the sound badly: score -69.0, ")
    assert "the unit's median -52.0" in str(gated[40])
    assert "prepare.max_score_z" in str(gated[40])


def test_every_unit_is_judged_by_its_own_median():
    for median in (-50.0, -90.0):
        requests, results = unit([median - 0.1 * n for n in range(20)])
        assert refuse_poor(requests, results, 8.0) == results


@pytest.mark.parametrize(
    ("scores", "max_z"),
    [
        ([-50.0 - n for n in range(MIN_ALIGNMENTS - 2)] + [-500.0], 8.0),
        ([-50.0 - n for n in range(40)] + [-500.0], 0.0),
        ([0.0] * 40, 8.0),
        ([0.0] * 39 + [-1e-9], 8.0),
        ([], 8.0),
    ],
    ids=["few", "off", "imported, without a score", "no deviation", "empty"],
)
def test_without_a_measure_nothing_is_refused(scores, max_z):
    requests, results = unit(scores)
    assert refuse_poor(requests, results, max_z) == results


@pytest.mark.slow
def test_of_the_bundled_corpus_only_another_text_is_refused(bundled_requests):
    """Sphinx aligns 6 of 16 real recordings with the next but four's text (docs/LOG.md)."""
    swapped = replace(bundled_requests[0], utt_id="swapped", words=bundled_requests[1].words)
    requests = [*bundled_requests[2:22], swapped]
    results = refuse_poor(requests, SphinxAligner().align(requests), 8.0)
    assert [isinstance(result, Alignment) for result in results] == [True] * 20 + [False]
