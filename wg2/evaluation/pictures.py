"""Pictures for the reports: the loss curve as SVG, spectrograms as PNG. Drawn without a display.

Colours come out right on a light and on a dark page: lines and letters take the page's own (`currentColor`) or a grey
that is legible on both. Shapes: S samples.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wg2.alignment import Interval

FLOOR_DB, CEILING_DB = -90.0, -10.0
"""Every spectrogram has this one colour scale: power of a mel band in dB, a full-scale sine being about 0."""

_MELS = 80
INK = "#010203"
"""Stands for the page's text colour until the SVG is written (`inline`)."""
_GREY = "#8a8a8a"


@dataclass(frozen=True)
class Curve:
    """A value that was measured at some training steps."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def loss_svg(curves: Sequence[Curve], reference: float, reference_label: str) -> str:
    """The curves over the training steps, and a dashed line to compare with, as an `<svg>` to put into a page.

    Args:
        curves: each is drawn in a colour of its own; empty ones are left out.
        reference: where the dashed line is.
        reference_label: what it stands for.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "wg2", "font.family": "sans-serif", "font.size": 11}):
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        axes = figure.subplots()
        _draw_curves(axes, [curve for curve in curves if curve.steps])
        axes.axhline(reference, color=INK, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6)
        axes.text(1.0, reference, f" {reference_label} ", color=INK, ha="right", va="bottom", fontsize=9.5,
                  transform=axes.get_yaxis_transform())  # fmt: skip
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline(buffer.getvalue())


def _draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    colours = ("#4c8bd6", "#e0782f", "#3f9c5a", "#b05fc4")
    for curve, colour in zip(curves, colours, strict=False):
        dense = len(curve.steps) > 40
        axes.plot(curve.steps, curve.values, color=colour, label=curve.name, linewidth=1.2 if dense else 2,
                  marker="" if dense else "o", markersize=4)  # fmt: skip
    axes.set_xlabel("training step", color=INK)
    axes.set_ylabel("L1 of the noise", color=INK)
    axes.set_ylim(0.0, _top(curves))
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color=INK, alpha=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    if curves:
        axes.legend(frameon=False, labelcolor=INK, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(curves))


def _top(curves: Sequence[Curve]) -> float:
    """High enough for all but the spikes of a long curve: one bad step must not flatten the rest."""
    tops = [1.0]
    for curve in curves:
        values = np.array([value for value in curve.values if np.isfinite(value)])
        if values.size:
            tops.append(1.05 * float(np.quantile(values, 0.99) if values.size > 100 else values.max()))
    return max(tops)


def inline(svg: str) -> str:
    """Matplotlib's SVG document as an element of an HTML page: no prologue, no namespaces, the page's ink."""
    element = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", element)
    return element.replace(INK, "currentColor")


def log_mel(waveform: NDArray[np.float32], sampling_rate: int) -> NDArray[np.float32]:
    """Log-mel spectrogram in dB, [80, ceil-ish(S / hop)], the hop being 10 ms.

    Bands up to the Nyquist frequency; a full-scale sine gives about 0 dB, so that levels compare between recordings.
    """
    from librosa import feature

    n_fft = 2 ** int(np.ceil(np.log2(0.04 * sampling_rate)))
    power = feature.melspectrogram(
        y=waveform, sr=sampling_rate, n_fft=n_fft, hop_length=sampling_rate // 100, n_mels=_MELS, norm=None
    )
    full_scale = (n_fft / 4) ** 2  # the peak of a full-scale sine under a Hann window
    return np.asarray(10.0 * np.log10(np.maximum(power / full_scale, 1e-12)), dtype=np.float32)


def spectrogram_png(
    waveform: NDArray[np.float32], sampling_rate: int, span_s: float, words: Sequence[Interval] = ()
) -> bytes:
    """Log-mel spectrogram with the words over it, as PNG.

    Args:
        waveform: [S].
        sampling_rate: Hz.
        span_s: seconds that the picture is wide, so that pictures side by side share one time scale.
        words: drawn as thin lines at their starts, and named where there is room.
    """
    figure = Figure(figsize=(4.2, 2.2), layout="constrained")
    axes = figure.subplots()
    extent = (0.0, len(waveform) / sampling_rate, 0.0, float(_MELS))
    axes.imshow(log_mel(waveform, sampling_rate), origin="lower", aspect="auto", extent=extent, cmap="magma",
                vmin=FLOOR_DB, vmax=CEILING_DB, interpolation="nearest")  # fmt: skip
    _draw_words(axes, words, span_s)
    _dress(axes, sampling_rate, span_s)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def _draw_words(axes: Axes, words: Sequence[Interval], span_s: float) -> None:
    room_s = span_s / 58  # what one letter takes
    for word in words:
        axes.axvline(word.start_s, color="white", linewidth=0.5, alpha=0.45)
        if word.end_s - word.start_s >= room_s * len(word.label):
            axes.text((word.start_s + word.end_s) / 2, _MELS - 2, word.label, color="white", fontsize=6.5,
                      ha="center", va="top", clip_on=True, parse_math=False)  # fmt: skip


def _dress(axes: Axes, sampling_rate: int, span_s: float) -> None:
    """Axes in seconds and kHz, in a grey for light and dark pages."""
    from librosa import hz_to_mel

    labels = [hz for hz in (500, 1000, 2000, 4000, 8000) if hz < sampling_rate / 2]
    heights = [float(hz_to_mel(hz) / hz_to_mel(sampling_rate / 2)) * _MELS for hz in labels]
    axes.set_yticks(heights, [f"{hz / 1000:g}" for hz in labels])
    axes.set_xlim(0.0, span_s)
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(colors=_GREY, labelsize=6.5, length=2, pad=1.5)
    axes.set_ylabel("kHz", color=_GREY, fontsize=6.5, labelpad=1)
    axes.set_xlabel("s", color=_GREY, fontsize=6.5, labelpad=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
