"""Loudness (ITU-R BS.1770-4), and how a clip gets it. S: samples."""

from collections.abc import Callable
from functools import cache, partial, reduce
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wg2.config import AudioConfig
from wg2.errors import SilenceError

Samples = NDArray[np.float32]

LOUDNESS_BLOCK_S = 0.4
"""Gating block (s) of ITU-R BS.1770-4. A shorter clip is one block."""
SILENCE_LUFS = -70.0
"""The absolute gate of ITU-R BS.1770-4: what lies below is silence."""
PEAK = 0.99
"""Highest sample that loudness normalisation makes (-0.09 dB of full scale)."""
LIMITED_SHARE = 0.01
"""At most this share of the samples is limited: where more would be, the clip stays softer than the target."""
LIMITER_S = 0.005
"""The limiter turns down so long (s) before and after a peak."""
LIMITER_ROUNDS, LIMITER_LU = 8, 0.02
"""Limiting makes a clip softer: the gain is raised so often, or until the target is so near (LU)."""


def to_loudness(waveform: Samples, name: str, config: AudioConfig) -> tuple[Samples, float]:
    """`waveform` at the target loudness, its highest peaks limited where they would clip; and its loudness.

    Raises:
        SilenceError: there is nothing to hear.
    """
    lufs = loudness(waveform, config.sampling_rate)
    if not lufs > SILENCE_LUFS:
        raise SilenceError(f"{name}: silent: its loudness is below {SILENCE_LUFS} LUFS; record it again")
    gain = 10 ** ((config.target_lufs - lufs) / 20)
    if gain * max(float(waveform.max()), -float(waveform.min())) <= PEAK:
        return waveform * np.float32(gain), lufs + 20 * float(np.log10(gain))
    return _limited(waveform, gain, config)


def _limited(waveform: Samples, gain: float, config: AudioConfig) -> tuple[Samples, float]:
    """`waveform` at the target, or as near as LIMITED_SHARE allows."""
    loud = float(np.quantile(np.abs(waveform), 1 - LIMITED_SHARE))
    most = PEAK / max(loud, float(np.finfo(np.float32).tiny))
    for _ in range(LIMITER_ROUNDS):
        gain = min(gain, most)
        clip = limit(waveform * np.float32(gain), config.sampling_rate)
        lufs = loudness(clip, config.sampling_rate)
        if gain == most or abs(lufs - config.target_lufs) < LIMITER_LU:
            break
        gain *= 10 ** ((config.target_lufs - lufs) / 20)
    return clip, lufs


def limit(waveform: Samples, sampling_rate: int) -> Samples:
    """`waveform` [S] turned down smoothly around the samples beyond PEAK.

    The gain that each sample needs, its least over LIMITER_S around, and the mean of that over LIMITER_S: a mean of
    values that are all low enough for the sample in their middle.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d  # as scipy.signal below

    size = 2 * round(LIMITER_S * sampling_rate / 2) + 1
    needed = PEAK / np.maximum(np.abs(waveform), PEAK)
    gain = uniform_filter1d(minimum_filter1d(needed, size), size)
    limited: Samples = np.clip(waveform * gain, -PEAK, PEAK).astype(np.float32)
    return limited


def loudness(waveform: Samples, sampling_rate: int) -> float:
    """Integrated loudness (LUFS, ITU-R BS.1770-4) of `waveform` [S]; -inf for silence.

    As pyloudnorm's meter, whose filters it takes, at two fifths of the cost: both filters in one pass, and the
    overlapping blocks from sums over their steps. A clip shorter than a gating block is measured as one block: padded
    with zeros, it would read too quiet.
    """
    weighted: NDArray[np.float64] = _k_weighting(sampling_rate)(waveform)
    blocks = _block_power(np.square(weighted, out=weighted), sampling_rate)
    above = blocks[blocks >= _power(SILENCE_LUFS)]
    gated = above[above > above.mean() / 10] if len(above) else above  # the relative gate: 10 LU below the mean
    return -0.691 + 10 * float(np.log10(gated.mean())) if len(gated) else -inf


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _block_power(squares: NDArray[np.float64], sampling_rate: int) -> NDArray[np.float64]:
    """Mean power of the gating blocks, of which each overlaps the one before by three quarters."""
    step = LOUDNESS_BLOCK_S / 4 * sampling_rate
    count = round(len(squares) / step - 4) + 1  # the last one may want half a step more than there is
    if count < 1 or len(squares) < 4 * step:
        return np.array([squares.mean()])
    edges = (np.arange(count + 3) * step).astype(int)
    steps = np.add.reduceat(squares[: int((count + 3) * step)], edges)
    sums: NDArray[np.float64] = np.convolve(steps, np.ones(4), "valid")
    return sums / (4 * step)


@cache
def _k_weighting(sampling_rate: int) -> Callable[[NDArray[np.float32]], Any]:
    """The two filters of BS.1770 as one."""
    import pyloudnorm  # takes a second (scipy.signal), which who only reads FLAC need not pay
    from scipy.signal import lfilter

    stages = pyloudnorm.Meter(sampling_rate)._filters.values()
    b, a = (reduce(np.convolve, [getattr(stage, name) for stage in stages]) for name in ("b", "a"))
    gain = prod(stage.passband_gain for stage in stages)
    return partial(lfilter, gain * b, a)
