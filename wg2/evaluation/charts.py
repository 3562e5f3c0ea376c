"""Charts for the reports: SVG that stands in a page, drawn without a display.

Lines and letters take the page's own colour (`currentColor`), so a chart is right on a light and on a dark page.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

INK = "#010203"
"""Stands for the page's text colour until the SVG is written."""
BLUE, ORANGE = "#4c8bd6", "#e0782f"
"""Legible on both pages."""
COLOURS = (BLUE, ORANGE, "#3d9b6a", "#a86ccb", "#c95b6d", "#8a8f55")
"""Of the lines of one chart, as legible."""

_WIDTH = 4.2  # inches: letters are still legible where a phone shows the chart as wide as its screen
_BINS = 40
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Box:
    """A row of `boxes`: what was measured, and the range that was expected.

    Attributes:
        label: at the left.
        quantiles: 5, 25, 50, 75 and 95 %.
        expected: lower and upper end, or none.
    """

    label: str
    quantiles: tuple[float, float, float, float, float]
    expected: tuple[float, float] | None = None


def svg(draw: Callable[[Axes], None], alt: str, size: tuple[float, float]) -> Markup:
    """An `<svg>` element to put into a page.

    Args:
        draw: what to draw.
        alt: what it shows, for who cannot see it.
        size: inches.
    """
    return panels([draw], alt, size)


def panels(
    draws: Sequence[Callable[[Axes], None]], alt: str, size: tuple[float, float], rows: int = 1, legend: bool = False
) -> Markup:
    """An `<svg>` of charts, one or more.

    Args:
        draws: row by row, each row as long.
        alt: what they show, for who cannot see them.
        size: of them all, inches.
        rows: how many.
        legend: name, below them, what has a label.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "font.family": "sans-serif", "font.size": 11}):
        figure = Figure(figsize=size, layout="constrained")
        for draw, axes in zip(draws, figure.subplots(rows, len(draws) // rows, squeeze=False).flat, strict=True):
            draw(axes)
        if legend:
            _legend(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    # matplotlib escapes the text that it draws, so the drawing may enter the page as it is
    return Markup(_inline(buffer.getvalue()).replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))


def _legend(figure: Figure) -> None:
    """Below the charts; a label that several of them have stands once."""
    handles = {label: handle for axes in figure.axes
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    made = figure.legend(list(handles.values()), list(handles), loc="outside lower left", ncols=min(3, len(handles)),
                         frameon=False, labelcolor=INK)  # fmt: skip
    for text in made.get_texts():
        text.set_parse_math(False)


def _inline(document: str) -> str:
    """Matplotlib's SVG document as an element of an HTML page: no prologue, no namespaces, the page's ink."""
    element = re.sub(r"<metadata>.*?</metadata>", "", document[document.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", element)
    return element.replace(INK, "currentColor")


def plain(axes: Axes, x_label: str, y_label: str = "", grid: str = "y") -> None:
    """Axes in the page's ink, open at the top and at the right."""
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.tick_params(colors=INK)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=INK, alpha=0.12)  # type: ignore[arg-type]
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)


def histogram(values: NDArray[np.float64], name: str, unit: str, least_bin: float) -> Markup:
    """How often each value occurs, with the median.

    Args:
        values: at least one; finite.
        name: of the quantity.
        unit: of it.
        least_bin: the narrowest bin that says something.
    """
    edges = _edges(values, least_bin)
    middle = float(np.median(values))
    alt = (f"Histogram of {name}: {len(values):,} utterances from {values.min():.4g} to {values.max():.4g} {unit}, "
           f"median {middle:.4g} {unit}")  # fmt: skip

    def draw(axes: Axes) -> None:
        axes.hist(values, bins=edges.tolist(), color=BLUE)
        axes.axvline(middle, color=ORANGE, linewidth=1.5)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        plain(axes, f"{name}, {unit}", "utterances")

    return svg(draw, alt, (_WIDTH, 2.5))


def _edges(values: NDArray[np.float64], least_bin: float) -> NDArray[np.float64]:
    """Of about 40 bins of a round width around round values; where there are few, empty ones stand beside them."""
    low, high = float(values.min()), float(values.max())
    width = max(least_bin, _round_up((high - low) / _BINS))
    first, last = np.round(low / width), np.round(high / width)
    spare = max(0, 10 - (last - first)) // 2
    edges: NDArray[np.float64] = (np.arange(first - spare, last + spare + 2) - 0.5) * width
    return edges


def _round_up(width: float) -> float:
    if width <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * next(step for step in _STEPS if step * power >= width * 0.999_999))


def boxes(rows: Sequence[Box], name: str, unit: str, most: float) -> Markup:
    """A box for each row, from the top: 25 to 75 %, whiskers 5 to 95 %, median; behind it what was expected.

    Args:
        rows: at least one.
        name: what they are.
        unit: of the values.
        most: where the axis ends, so that charts side by side share one.
    """
    alt = f"{name}, medians in {unit}: " + ", ".join(f"{row.label} {row.quantiles[2]:.0f}" for row in rows)

    def draw(axes: Axes) -> None:
        for y, row in enumerate(rows):
            _draw_box(axes, y, row)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, most)
        plain(axes, f"{name}, {unit}", grid="x")

    return svg(draw, alt, (_WIDTH, 0.75 + 0.23 * len(rows)))


def _draw_box(axes: Axes, y: int, row: Box) -> None:
    p5, p25, p50, p75, p95 = row.quantiles
    if row.expected:
        axes.barh(y, row.expected[1] - row.expected[0], left=row.expected[0], height=0.86, color=INK, alpha=0.12)
    axes.plot([p5, p95], [y, y], color=BLUE, linewidth=1.2, solid_capstyle="butt")
    axes.barh(y, p75 - p25, left=p25, height=0.5, color=BLUE)
    axes.plot([p50, p50], [y - 0.38, y + 0.38], color=ORANGE, linewidth=2.2, solid_capstyle="butt")


def bars(counts: Sequence[tuple[str, int]], x_label: str, y_label: str, alt: str) -> Markup:
    """A column for each count, named below it, with its figure above it."""

    def draw(axes: Axes) -> None:
        drawn = axes.bar([label for label, _ in counts], [count for _, count in counts], color=BLUE)
        axes.bar_label(drawn, [f"{count:,}" for _, count in counts], color=INK, fontsize=8.5, padding=2)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.margins(y=0.1)
        axes.tick_params(axis="x", labelrotation=35 if len(counts) > 5 else 0, labelsize=9)
        plain(axes, x_label, y_label)

    return svg(draw, alt, (_WIDTH, 2.7))


def row_bars(counts: Sequence[tuple[str, int]], x_label: str, alt: str) -> Markup:
    """A bar for each count on a logarithmic axis, named at its left; nothing for 0."""

    def draw(axes: Axes) -> None:
        axes.set_xlim(0.8, max(10, *(count for _, count in counts)) * 1.3)  # first: nothing to scale by, if all are 0
        axes.set_xscale("log")
        axes.barh(range(len(counts)), [count for _, count in counts], color=BLUE, height=0.7)
        axes.set_yticks(range(len(counts)), [label for label, _ in counts])
        axes.set_ylim(len(counts) - 0.4, -0.6)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        plain(axes, x_label, grid="x")

    return svg(draw, alt, (_WIDTH, 0.75 + 0.19 * len(counts)))
