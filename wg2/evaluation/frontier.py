"""The frontier: quality against the real-time factor, and below it against the number of steps; a column a metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, Locator, LogLocator, MaxNLocator, StrMethodFormatter

from wg2.evaluation.charts import COLOURS, INK, panels, plain
from wg2.evaluation.metrics import METRICS, Metric
from wg2.evaluation.quality import RECORDING, Estimate, Point

SHOWN = ("wer", "dnsmos", "mcd")
"""The metrics that have panels, where they were measured."""

Level = tuple[str, Mapping[str, Estimate]]

_MARKERS = "osD^vP"
_LABEL = (0.13, 0.085)
"""Room that the number of steps takes beside its point, as a share of the panel."""
_CORNERS = ((0.015, 0.03), (0.015, -0.1), (-0.12, 0.03), (-0.12, -0.1))
"""Where it may stand, from its point."""
_CLOSE = 0.15
"""Share of the panel's width within which lines share a label."""
_MARGINS = (0.2, 0.18)
_NARROW, _WIDE = 4.0, 30.0
"""Ratios of the ends of an axis that change its ticks."""


@dataclass(frozen=True)
class _Axis:
    """What lies on the x axis of a row of panels."""

    name: str
    value: Callable[[Point], float]


_AXES = (
    _Axis("real-time factor (median)", lambda point: point.rtf),
    _Axis("denoising steps", lambda point: point.steps),
)


def frontier_svg(points: Sequence[Point], levels: Sequence[Level], recogniser: str = "") -> Markup:
    """An `<svg>` with two panels for each of `SHOWN`; empty without points.

    Args:
        points: drawn with their 95 % intervals, a line for each manner.
        levels: recordings and other systems, whose means are dashed lines.
        recogniser: by whom the error rates are.
    """
    shown = [replace(metric, label=metric.title(recogniser)) for metric in METRICS
             if metric.name in SHOWN and any(metric.name in point.estimates for point in points)]  # fmt: skip
    if not shown:
        return Markup("")
    draws = [_panel(metric, axis, points, levels) for axis in _AXES for metric in shown]
    alt = "; ".join(f"{metric.label} against the real-time factor: " + _said(points, metric.name) for metric in shown)
    several = len({point.manner for point in points}) + len(levels) > 1
    return panels(draws, alt, (3.4 * len(shown), 5.8), rows=len(_AXES), legend=several)


def _said(points: Sequence[Point], metric: str) -> str:
    return ", ".join(f"{point.steps} steps ({point.manner}) {point.estimates[metric].mean:.3g} at {point.rtf:.3g}"
                     for point in points if metric in point.estimates)  # fmt: skip


def _panel(metric: Metric, axis: _Axis, points: Sequence[Point], levels: Sequence[Level]) -> Callable[[Axes], None]:
    unit = f", {metric.unit}" if metric.unit else ""

    def draw(axes: Axes) -> None:
        having = [point for point in points if metric.name in point.estimates]
        for place, manner in enumerate(sorted({point.manner for point in points})):
            mine = sorted((point for point in having if point.manner == manner), key=axis.value)
            _draw_line(axes, manner, place, [(axis.value(point), point.estimates[metric.name]) for point in mine])
        for place, (name, it) in enumerate(levels):
            if metric.name in it:
                _draw_level(axes, name, place, it[metric.name].mean)
        _scale(axes, [axis.value(point) for point in having])
        if axis is _AXES[0]:
            _draw_steps(axes, [(axis.value(it), it.estimates[metric.name].mean, str(it.steps)) for it in having])
            axes.set_title(f"{metric.label}{unit} ({metric.better} is better)", color=INK, fontsize=11)
        plain(axes, axis.name)

    return draw


def _draw_line(axes: Axes, name: str, place: int, points: Sequence[tuple[float, Estimate]]) -> None:
    """One manner's: what is spoken in another manner is no stage between two numbers of steps."""
    errors = [[it.mean - it.low for _, it in points], [it.high - it.mean for _, it in points]]
    axes.errorbar([x for x, _ in points], [it.mean for _, it in points], errors, label=name,
                  color=COLOURS[place % len(COLOURS)], marker=_MARKERS[place % len(_MARKERS)], markersize=5,
                  linewidth=1.5, elinewidth=1, capsize=3)  # fmt: skip


def _draw_level(axes: Axes, name: str, place: int, mean: float) -> None:
    """Recordings in the page's ink, other systems in colours from the far end, each with its own dashes."""
    colour = INK if name == RECORDING else COLOURS[-1 - place % len(COLOURS)]
    shown = f" {name}" if name.startswith("_") else name  # matplotlib leaves names with '_' out of a legend
    axes.axhline(mean, color=colour, linewidth=1.3, linestyle=(0, (4 + 3 * place, 3)), alpha=0.8, label=shown)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic, with plain numbers; numbers of steps are their own ticks."""
    axes.set_xscale("log")
    axes.margins(*_MARGINS)
    counted = all(value == int(value) for value in values)
    axes.xaxis.set_major_locator(FixedLocator(_apart(values)) if counted else _ticks(max(values) / min(values)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()


def _ticks(ratio: float) -> Locator:
    """Decades of a wide range, 1, 2 and 5 of a narrower one, round numbers of one that may hold none of those."""
    if ratio < _NARROW:
        return MaxNLocator(4, steps=[1, 2, 5, 10])
    return LogLocator(subs=(1.0,) if ratio > _WIDE else (1.0, 2.0, 5.0))


def _apart(values: Sequence[float]) -> list[float]:
    """The values, from the least, that are far enough from the one before to be read."""
    least = (max(values) / min(values)) ** 0.13
    kept: list[float] = []
    for value in sorted(set(values)):
        if not kept or value >= kept[-1] * least:
            kept.append(value)
    return kept


def _draw_steps(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """The number of steps beside each point, once where lines are close, and where there is room.

    The ticks of the row below say it too.
    """
    axes.autoscale_view()  # else the limits are not known yet
    place = (axes.transData + axes.transAxes.inverted()).transform
    spots = [tuple(place((x, y))) for x, y, _ in points]
    taken = [(x - 0.015, y - 0.02, 0.03, 0.04) for x, y in spots]
    said: list[tuple[str, float]] = []
    for (x, y), (*_, steps) in zip(spots, points, strict=True):
        boxes = [(x + right, y + up, *_LABEL) for right, up in _CORNERS]
        free = [box for box in boxes if not any(_touch(box, other) for other in taken)]
        if free and not any(steps == other and abs(x - there) < _CLOSE for other, there in said):
            taken.append(free[0])
            said.append((steps, x))
            axes.text(*free[0][:2], steps, transform=axes.transAxes, color=INK, fontsize=9)


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, bottom, width, height) have a place in common."""
    return all(one[side] < other[side] + other[side + 2] and other[side] < one[side] + one[side + 2] for side in (0, 1))
