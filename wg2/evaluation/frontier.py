"""The frontier: quality against the real-time factor, a panel a metric, as SVG for a light and a dark page."""

import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wg2.evaluation.metrics import METRICS, Metric
from wg2.evaluation.pictures import INK, inline
from wg2.evaluation.quality import Estimate

SHOWN = ("wer", "dnsmos", "mcd")
"""The metrics that have a panel, where they were measured."""

Point = tuple[str, float, Mapping[str, Estimate]]


def frontier_svg(points: Sequence[Point], levels: Mapping[str, float]) -> str:
    """An `<svg>` with a panel for each of `SHOWN`; empty without points.

    Args:
        points: (system, real-time factor, estimates), drawn with their 95 % intervals.
        levels: means of the recordings by metric, drawn as dashed lines.
    """
    shown = [metric for metric in METRICS if metric.name in SHOWN and any(metric.name in it for *_, it in points)]
    if not shown:
        return ""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "wg2", "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(3.7 * len(shown), 3.2), layout="constrained")
        for axes, metric in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            _panel(axes, metric, [(name, rtf, it[metric.name]) for name, rtf, it in points if metric.name in it],
                   levels.get(metric.name))  # fmt: skip
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline(buffer.getvalue())


def _panel(axes: Axes, metric: Metric, points: Sequence[tuple[str, float, Estimate]], level: float | None) -> None:
    speeds, means = [rtf for _, rtf, _ in points], [it.mean for *_, it in points]
    errors = [[it.mean - it.low for *_, it in points], [it.high - it.mean for *_, it in points]]
    axes.errorbar(speeds, means, errors, color="#4c8bd6", marker="o", linewidth=1.5, elinewidth=1, capsize=3)
    for name, rtf, it in points:
        axes.annotate(name, (rtf, it.mean), (4, 5), textcoords="offset points", color=INK, fontsize=8.5,
                      parse_math=False)  # fmt: skip
    if level is not None:
        axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6)
        axes.text(0.0, level, " recordings", color=INK, fontsize=8.5, va="bottom",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)
    axes.set_xlabel("real-time factor", color=INK)
    unit = f", {metric.unit}" if metric.unit else ""
    axes.set_title(f"{metric.label}{unit} ({metric.better} is better)", color=INK, fontsize=10)
    axes.tick_params(which="both", colors=INK)
    axes.grid(axis="y", color=INK, alpha=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
