"""The summary of a listening test for a reader, and for a program."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

from wg2.evaluation.listening.analysis import Listener, Summary

_MIN_LISTENERS = 6


def as_json(summary: Summary) -> str:
    """One JSON object; what there is not is null."""
    return json.dumps(_without_nan(asdict(summary)))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def as_text(summary: Summary) -> str:
    """Tables with their methods."""
    blocks = [_head(summary), _means(summary), _differences(summary), _preferences(summary), _listeners(summary)]
    return "\n\n".join(block for block in blocks if block)


def _head(summary: Summary) -> str:
    lines = [f"page {summary.page_id}: {len(summary.listeners)} listeners; sounds: {summary.processing}"]
    if summary.replaced:
        lines.append(f"{summary.replaced} answers were replaced by later ones of the same listener and trial")
    if summary.dropped:
        lines.append(f"left out (--drop-failed): {', '.join(summary.dropped)}")
    return "\n".join(lines)


def _means(summary: Summary) -> str:
    rows = [(mean.system, mean.role, _number(mean.mean), _interval(mean.low, mean.high), str(mean.answers),
             str(mean.listeners), str(mean.sentences)) for mean in summary.means]  # fmt: skip
    note = "MOS; 95 % interval: t, variance clustered by listener and by sentence (crossed effects)"
    return _table(note, ("system", "role", "mean", "95 %", "answers", "listeners", "sentences"), rows)


def _differences(summary: Summary) -> str:
    rows = [(f"{each.first} - {each.second}", f"{each.difference:+.2f}", str(each.listeners), _p(each.p),
             _p(each.p_holm)) for each in summary.differences]  # fmt: skip
    note = "differences of MOS; Wilcoxon signed-rank over listeners, Holm-corrected"
    if any(each.listeners < _MIN_LISTENERS for each in summary.differences):
        note += f" (fewer than {_MIN_LISTENERS} listeners cannot be significant at 5 %)"
    return _table(note, ("pair", "difference", "listeners", "p", "p (Holm)"), rows)


def _preferences(summary: Summary) -> str:
    rows = [(f"{each.first} : {each.second}", f"{each.first_preferred} : {each.second_preferred}",
             str(each.no_preference), _number(each.share), _interval(each.low, each.high),
             f"{each.listeners_first} : {each.listeners_second}", _p(each.p), _p(each.p_holm))
            for each in summary.preferences]  # fmt: skip
    note = ("A/B; exact binomial test of the answers with a preference, as if independent, Holm-corrected; "
            "share of the first with its 95 % interval (Wilson)")  # fmt: skip
    names = ("pair", "answers", "none", "share", "95 %", "listeners", "p", "p (Holm)")
    return _table(note, names, rows)


def _listeners(summary: Summary) -> str:
    rows = [(each.listener, f"{each.answers} of {summary.trials}", _number(each.mean), f"{each.median_seconds:.1f} s",
             _flags(each)) for each in summary.listeners]  # fmt: skip
    return _table("listeners", ("id", "answers", "mean MOS", "median time", "checks"), rows)


def _flags(listener: Listener) -> str:
    return "FAILED: " + ", ".join(listener.flags) if listener.flags else "passed"


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.2f}"


def _interval(low: float, high: float) -> str:
    return "-" if isnan(low) else f"{low:.2f} to {high:.2f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _table(note: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns under a note; nothing for no rows."""
    lines = [names, *rows]
    if len(lines) == 1:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    body = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([note, *(f"  {line}" for line in body)])
