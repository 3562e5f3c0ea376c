"""Pictures for the reports: the loss curve as SVG, spectrograms as PNG. Drawn without a display.

Colours come out right on a light and on a dark page: lines and letters take the page's own (`currentColor`) or a grey
that is legible on both. Shapes: S samples.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wg2.alignment import Interval
from wg2.evaluation.charts import INK, plain, svg

FLOOR_DB, CEILING_DB = -90.0, -10.0
"""Every spectrogram has this one colour scale: power of a mel band in dB, a full-scale sine being about 0."""

_MELS = 80
_GREY = "#8a8a8a"


@dataclass(frozen=True)
class Curve:
    """A value that was measured at some training steps."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def loss_svg(curves: Sequence[Curve], reference: float, reference_label: str) -> Markup:
    """The curves over the training steps, and a dashed line to compare with, as an `<svg>` to put into a page.

    Args:
        curves: each is drawn in a colour of its own; empty ones are left out.
        reference: where the dashed line is.
        reference_label: what it stands for.
    """
    shown = [curve for curve in curves if curve.steps]
    ends = ", ".join(f"{curve.name} {curve.values[0]:.3f} to {curve.values[-1]:.3f}" for curve in shown)

    def draw(axes: Axes) -> None:
        _draw_curves(axes, shown)
        axes.axhline(reference, color=INK, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6)
        axes.text(1.0, reference, f" {reference_label} ", color=INK, ha="right", va="bottom", fontsize=9.5,
                  transform=axes.get_yaxis_transform())  # fmt: skip

    return svg(draw, f"Losses over the training steps: {ends or 'none'}", (9.2, 3.4))


def _draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    colours = ("#4c8bd6", "#e0782f", "#3f9c5a", "#b05fc4")
    for curve, colour in zip(curves, colours, strict=False):
        dense = len(curve.steps) > 40
        axes.plot(curve.steps, curve.values, color=colour, label=curve.name, linewidth=1.2 if dense else 2,
                  marker="" if dense else "o", markersize=4)  # fmt: skip
    axes.set_ylim(0.0, _top(curves))
    plain(axes, "training step", "L1 of the noise")
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
    _draw_sound(axes, waveform, sampling_rate, (0.0, len(waveform) / sampling_rate))
    _draw_words(axes, words, span_s)
    _dress(axes, sampling_rate, (0.0, span_s))
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("s", color=_GREY, fontsize=6.5, labelpad=0)
    return _png(figure, 150)


def alignment_png(
    waveform: NDArray[np.float32],
    sampling_rate: int,
    span: tuple[float, float],
    phones: Sequence[Interval],
    words: Sequence[Interval],
    suspect: Interval,
) -> bytes:
    """Log-mel spectrogram of a part, phone boundaries over it, phones and words in two tiers below it, as PNG.

    Args:
        waveform: all of it, [S].
        sampling_rate: Hz.
        span: start and end of the part, seconds.
        phones: of the whole; one of no length is left out.
        words: of the whole.
        suspect: the phone to mark.
    """
    start_s, end_s = span
    figure = Figure(figsize=(max(2.5, _INCHES_A_SECOND * (end_s - start_s)), 2.4), layout="constrained")
    sound, tiers = figure.subplots(2, sharex=True, height_ratios=(5, 1.3))
    part = waveform[round(start_s * sampling_rate) : round(end_s * sampling_rate)]
    _draw_sound(sound, part, sampling_rate, span)
    sound.axvspan(suspect.start_s, suspect.end_s, facecolor="none", edgecolor=_MARK, linewidth=1.6)
    _dress(sound, sampling_rate, span)
    for level, tier in enumerate((words, phones)):
        _draw_tier(sound, tiers, level, [item for item in tier if item.end_s > start_s and item.start_s < end_s])
    tiers.axvspan(suspect.start_s, suspect.end_s, 0.5, 1.0, facecolor=_MARK, alpha=0.35, linewidth=0)
    _dress_tiers(tiers, span)
    return _png(figure, 100)


def _draw_sound(axes: Axes, waveform: NDArray[np.float32], sampling_rate: int, extent_s: tuple[float, float]) -> None:
    axes.imshow(log_mel(waveform, sampling_rate), origin="lower", aspect="auto", extent=(*extent_s, 0.0, float(_MELS)),
                cmap="magma", vmin=FLOOR_DB, vmax=CEILING_DB, interpolation="nearest")  # fmt: skip


_INCHES_A_SECOND = 2.2
_MARK = "#29c4d8"  # stands out on the spectrogram's colours and on both pages


def _draw_tier(sound: Axes, tiers: Axes, level: int, items: Sequence[Interval]) -> None:
    """Boundaries, and names where there is room; the upper tier's boundaries go through the spectrogram too."""
    for item in items:
        if item.end_s <= item.start_s:
            continue
        for edge_s in (item.start_s, item.end_s):
            tiers.plot([edge_s, edge_s], [level, level + 1], color=_GREY, linewidth=0.7)
            if level:
                sound.axvline(edge_s, color="white", linewidth=0.6, alpha=0.6)
        if (item.end_s - item.start_s) * _INCHES_A_SECOND >= 0.062 * len(item.label):
            tiers.text((item.start_s + item.end_s) / 2, level + 0.47, item.label, color=_GREY, fontsize=7, ha="center",
                       va="center", clip_on=True, parse_math=False)  # fmt: skip


def _dress_tiers(tiers: Axes, span: tuple[float, float]) -> None:
    tiers.set_ylim(0, 2)
    tiers.set_xlim(*span)
    tiers.set_yticks([])
    tiers.locator_params(axis="x", nbins=max(4, round(3 * (span[1] - span[0]))))
    tiers.tick_params(colors=_GREY, labelsize=6.5, length=2, pad=1.5)
    tiers.set_xlabel("s", color=_GREY, fontsize=6.5, labelpad=0)
    for spine in tiers.spines.values():
        spine.set_visible(False)


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def _draw_words(axes: Axes, words: Sequence[Interval], span_s: float) -> None:
    room_s = span_s / 58  # what one letter takes
    for word in words:
        axes.axvline(word.start_s, color="white", linewidth=0.5, alpha=0.45)
        if word.end_s - word.start_s >= room_s * len(word.label):
            axes.text((word.start_s + word.end_s) / 2, _MELS - 2, word.label, color="white", fontsize=6.5,
                      ha="center", va="top", clip_on=True, parse_math=False)  # fmt: skip


def _dress(axes: Axes, sampling_rate: int, span: tuple[float, float]) -> None:
    """Axes in seconds and kHz, in a grey for light and dark pages."""
    from librosa import hz_to_mel

    labels = [hz for hz in (500, 1000, 2000, 4000, 8000) if hz < sampling_rate / 2]
    heights = [float(hz_to_mel(hz) / hz_to_mel(sampling_rate / 2)) * _MELS for hz in labels]
    axes.set_yticks(heights, [f"{hz / 1000:g}" for hz in labels])
    axes.set_xlim(*span)
    axes.tick_params(colors=_GREY, labelsize=6.5, length=2, pad=1.5)
    axes.set_ylabel("kHz", color=_GREY, fontsize=6.5, labelpad=1)
    for spine in axes.spines.values():
        spine.set_visible(False)
