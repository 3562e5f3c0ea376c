"""What MFA wrote, reconciled with what it was given.

MFA exits 0 and says nothing when it could not align an utterance: there is no TextGrid, and a row without figures in
`alignment_analysis.csv` (measured). So an utterance is aligned when both are there, whole, and about that utterance.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.textgrid import to_alignment
from wg2.alignment.textgrid_format import decoded, parse
from wg2.errors import AlignmentError

ANALYSIS = "alignment_analysis.csv"
"""Scores of all utterances."""
_SCORES = ("speech_log_likelihood", "overall_log_likelihood")
"""The first is empty, although the alignment is good, where no phone of the utterance is heard twice in the call: its
mean leaves out phones whose lengths have no deviation. The second, with the pauses, is always there."""
_LENGTH_TOLERANCE_S = 0.02
"""TextGrid and audio may differ by a frame of 10 ms and rounding."""


def read(folder: Path, requests: Mapping[str, AlignmentRequest]) -> dict[str, Alignment | AlignmentError]:
    """The result of each request, by file stem.

    Args:
        folder: MFA's output folder: SPEAKER/STEM.TextGrid and alignment_analysis.csv.
        requests: what it was given, by stem.
    """
    grids = {path.stem: path for path in folder.rglob("*.TextGrid")}
    scores = _scores(folder / ANALYSIS)
    return {stem: _result(request, grids.get(stem), scores.get(stem)) for stem, request in requests.items()}


def _result(request: AlignmentRequest, grid: Path | None, score: float | None) -> Alignment | AlignmentError:
    if grid is None:
        return AlignmentError(
            f"{request.utt_id}: mfa found no alignment of {len(request.words)} words with {_seconds(request):.2f} s of "
            "audio; check that the transcript says what is spoken"
        )
    try:
        alignment = _alignment(request, grid)
        if score is None:
            raise AlignmentError(f"mfa gave it no score in {ANALYSIS}: a half-written or foreign output")
        return replace(alignment, score=score, backend="mfa")
    except AlignmentError as error:
        return AlignmentError(f"{request.utt_id}: mfa's TextGrid: {error}")


def _alignment(request: AlignmentRequest, grid: Path) -> Alignment:
    tiers = parse(decoded(grid.read_bytes()))
    end = max((intervals[-1].end_s for intervals in tiers.values() if intervals), default=0.0)
    if abs(end - _seconds(request)) > _LENGTH_TOLERANCE_S:
        raise AlignmentError(f"it is {end:.2f} s long, the audio {_seconds(request):.2f} s; another recording's?")
    return to_alignment(replace(request, offset_s=0.0), tiers)


def _scores(path: Path) -> dict[str, float]:
    """Mean log-likelihood a frame of speech, of the utterances that were aligned."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = {row.get("file") or "": [_number(row.get(name)) for name in _SCORES] for row in csv.DictReader(stream)}
    found = {stem: [score for score in scores if math.isfinite(score)] for stem, scores in rows.items()}
    return {stem: scores[0] for stem, scores in found.items() if scores}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _seconds(request: AlignmentRequest) -> float:
    return len(request.waveform) / request.sampling_rate
