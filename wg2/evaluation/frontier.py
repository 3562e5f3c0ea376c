"""The frontier: quality against the real-time factor, a panel a metric."""

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter

from wg2.evaluation.charts import BLUE, INK, panels, plain
from wg2.evaluation.metrics import METRICS, Metric
from wg2.evaluation.quality import Estimate

SHOWN = ("wer", "dnsmos", "mcd")
"""The metrics that have a panel, where they were measured."""

Point = tuple[str, float, Mapping[str, Estimate]]


def frontier_svg(points: Sequence[Point], levels: Mapping[str, float]) -> Markup:
    """An `<svg>` with a panel for each of `SHOWN`; empty without points.

    Args:
        points: (system, real-time factor, estimates), drawn with their 95 % intervals.
        levels: means of the recordings by metric, drawn as dashed lines.
    """
    shown = [metric for metric in METRICS if metric.name in SHOWN and any(metric.name in it for *_, it in points)]
    if not shown:
        return Markup("")
    draws = [_panel(metric, [(name, rtf, it[metric.name]) for name, rtf, it in points if metric.name in it],
                    levels.get(metric.name)) for metric in shown]  # fmt: skip
    alt = "; ".join(f"{metric.label} against the real-time factor: " + _said(points, metric.name) for metric in shown)
    return panels(draws, alt, (3.4 * len(shown), 3.0))


def _said(points: Sequence[Point], metric: str) -> str:
    return ", ".join(f"{name} {it[metric].mean:.3g} at {rtf:.3g}" for name, rtf, it in points if metric in it)


def _panel(
    metric: Metric, points: Sequence[tuple[str, float, Estimate]], level: float | None
) -> Callable[[Axes], None]:
    unit = f", {metric.unit}" if metric.unit else ""

    def draw(axes: Axes) -> None:
        _draw_points(axes, points)
        if level is not None:
            _draw_level(axes, level)
        _scale(axes)
        axes.margins(x=0.25, y=0.15)
        axes.set_title(f"{metric.label}{unit} ({metric.better} is better)", color=INK, fontsize=11)
        plain(axes, "real-time factor")

    return draw


def _scale(axes: Axes) -> None:
    """Logarithmic, with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7), numticks=8))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()


def _draw_points(axes: Axes, points: Sequence[tuple[str, float, Estimate]]) -> None:
    speeds, means = [rtf for _, rtf, _ in points], [it.mean for *_, it in points]
    errors = [[it.mean - it.low for *_, it in points], [it.high - it.mean for *_, it in points]]
    axes.errorbar(speeds, means, errors, color=BLUE, marker="o", linewidth=1.5, elinewidth=1, capsize=3)
    for name, rtf, it in points:
        axes.annotate(name, (rtf, it.mean), (4, 5), textcoords="offset points", color=INK, fontsize=9,
                      parse_math=False)  # fmt: skip


def _draw_level(axes: Axes, level: float) -> None:
    axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6)
    axes.annotate("recordings", (0.0, level), (4, 3), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  color=INK, fontsize=9)  # fmt: skip
