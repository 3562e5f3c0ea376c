"""What is measured on a recording, and which ones are refused for it. S: samples, C: channels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wg2.audio.decoding import Source
from wg2.config import AudioConfig
from wg2.errors import ClippingError, NoiseError, OffsetError, SamplingRateError

Samples = NDArray[np.float32]

CLIPPED_LEVEL, CLIPPED_RUN = 0.999, 3
"""As many samples in a row at this level or beyond are a flat top."""
_FLOAT_CLIPPED_LEVEL = 0.999_99
"""The same of a float file that was scaled by its own peak: nothing else says how high its tops were."""
SNR_FRAME_S = 0.02
SNR_MAX_DB = 100.0
"""What a recording with digital silence is said to have: its noise is zero."""
BAND_FRAME, BAND_FRAMES = 512, 32
"""Samples of a frame, and frames of a recording, from which its bandwidth is estimated."""
BAND_DROP_DB = 50.0
"""What lies this much (dB) below the strongest frequency is outside the band."""
CLICK_CORE_S, CLICK_AROUND_S, CLICK_RATIO = 0.000_25, 0.005, 4.0
"""A click: all that is at most this long from a peak which is so many times higher than anything else around it."""
CLICKS_MAX = 50
_BAND_WINDOW: Samples = np.hanning(BAND_FRAME).astype(np.float32)


@dataclass(frozen=True)
class Quality:
    """What was measured on the source.

    Attributes:
        channel: what the clip was made of: 'mono', 'mean', 'left', 'right', or 'channel N' (from 1) of more than two,
            'mean of N, M' of some of them.
        sampling_rate: that the recording had, Hz.
        codec: as it was stored.
        peak: its highest sample, share of full scale; what was beyond 1 was scaled to 1.
        dc: its offset from zero before that was taken out, share of full scale.
        clipped_fraction: share of its samples in flat tops at full scale.
        clicks: how many were taken out.
        snr_db: 95th over 10th percentile of the power in frames of 20 ms, dB.
        bandwidth_hz: the highest frequency of the clip with speech in it.
    """

    channel: str
    sampling_rate: int
    codec: str
    peak: float
    dc: float
    clipped_fraction: float
    clicks: int
    snr_db: float
    bandwidth_hz: float


def check_rate(source: Source, name: str, config: AudioConfig) -> None:
    """Refuse what was recorded at less than the least rate.

    Raises:
        SamplingRateError: it was.
    """
    rate, least = source.recorded_rate, config.min_source_rate
    if rate < least:
        raise SamplingRateError(f"{name}: recorded at {rate} Hz, so nothing above {rate / 2:g} Hz; wanted at least "
                                f"{least} Hz; find the original, or lower audio.min_source_rate")  # fmt: skip


def without_dc(waveform: Samples, name: str, config: AudioConfig) -> tuple[Samples, float]:
    """`waveform` [S] around zero, and its offset.

    Raises:
        OffsetError: that is beyond the limit.
    """
    dc = float(waveform.mean(dtype=np.float64))
    if abs(dc) > config.max_dc:
        raise OffsetError(f"{name}: lies {dc:+.2f} of full scale beside zero (DC), wanted at most {config.max_dc:g}; "
                          "record it again, or raise audio.max_dc")  # fmt: skip
    return (waveform - np.float32(dc), dc) if config.remove_dc and dc else (waveform, dc)


def without_clicks(waveform: Samples, sampling_rate: int) -> tuple[Samples, int]:
    """`waveform` [S] without the clicks that stand above everything else, and how many those were.

    A click is over in CLICK_CORE_S, while every sound of speech rings on for milliseconds. Its samples get values
    between those of its neighbours. Others, below the peaks of the speech, do not decide a level and are left.
    """
    core, around = (max(1, round(seconds * sampling_rate)) for seconds in (CLICK_CORE_S, CLICK_AROUND_S))
    for count in range(CLICKS_MAX):
        peak = max((int(waveform.argmax()), int(waveform.argmin())), key=lambda index: abs(waveform[index]))
        first, last = max(0, peak - core), peak + core + 1
        before, after = waveform[max(0, peak - around) : first], waveform[last : peak + around + 1]
        beside = np.abs(np.concatenate((before, after)))
        if not len(beside) or abs(waveform[peak]) <= CLICK_RATIO * beside.max():
            return waveform, count
        waveform = waveform.copy() if count == 0 else waveform
        inner = waveform[first:last]
        loud = np.flatnonzero(np.abs(inner) > beside.max())
        edges = [float(side[index]) for side, index in ((before, -1), (after, 0)) if len(side)]
        places = [index for side, index in ((before, -1), (after, len(inner))) if len(side)]
        inner[loud] = np.interp(loud, places, edges)
    return waveform, CLICKS_MAX


def clipped_fraction(samples: Samples, level: float = CLIPPED_LEVEL) -> float:
    """Share of samples [S, C] in flat tops: CLIPPED_RUN or more in a row at `level` or beyond."""
    high = np.abs(samples) >= level
    if not high.any():
        return 0.0
    starts = high[: 1 - CLIPPED_RUN] & high[1 : 2 - CLIPPED_RUN] & high[2:] if len(high) >= CLIPPED_RUN else high[:0]
    tops = np.zeros_like(high)
    for shift in range(CLIPPED_RUN):
        tops[shift : shift + len(starts)] |= starts
    return float(tops.mean(axis=0).max())


def check_clipping(source: Source, name: str, config: AudioConfig) -> float:
    """The share of clipped samples: at the full scale of the codec, or at the peak of a float file beyond it.

    Raises:
        ClippingError: it is above the limit.
    """
    if source.peak < CLIPPED_LEVEL:
        return 0.0
    level = CLIPPED_LEVEL / max(1.0, source.peak) if source.has_scale or source.peak <= 1 else _FLOAT_CLIPPED_LEVEL
    clipped = clipped_fraction(source.samples, level)
    if clipped > config.max_clipped_fraction:
        raise ClippingError(f"{name}: {clipped:.1%} of the samples are clipped; record it again, or raise "
                            f"audio.max_clipped_fraction from {config.max_clipped_fraction:g}")  # fmt: skip
    return clipped


def snr_db(waveform: Samples, sampling_rate: int) -> float:
    """Signal-to-noise ratio (dB) of speech [S], from its pauses: 95th over 10th percentile of the frames' power.

    Simple and without a model, as in NIST's `stnr` (which takes the peaks of the histogram of frame powers): it wants
    a recording with a tenth of pauses or edges, and reads too low without them. At most SNR_MAX_DB.
    """
    size = min(len(waveform), max(1, round(SNR_FRAME_S * sampling_rate)))
    power = np.square(waveform[: len(waveform) // size * size]).reshape(-1, size).mean(axis=1, dtype=np.float64)
    noise, speech = np.percentile(power, (10, 95))
    return min(SNR_MAX_DB, float(10 * np.log10(speech / noise))) if noise > 0 else SNR_MAX_DB


def check_noise(waveform: Samples, name: str, config: AudioConfig) -> float:
    """The signal-to-noise ratio, dB.

    Raises:
        NoiseError: it is below the limit.
    """
    ratio = snr_db(waveform, config.sampling_rate)
    if config.min_snr_db and ratio < config.min_snr_db:
        raise NoiseError(f"{name}: speech is {ratio:.1f} dB above the noise, wanted {config.min_snr_db:g} dB; "
                         "record it again, or lower audio.min_snr_db")  # fmt: skip
    return ratio


def bandwidth_hz(waveform: Samples, sampling_rate: int) -> float:
    """The highest frequency of speech [S] that is less than BAND_DROP_DB below its strongest one.

    From the mean power spectrum of BAND_FRAMES frames spread over it, smoothed over three bins. Speech that was
    recorded at 8 kHz reads 3.8 to 4 kHz whatever its file says, also with noise 50 dB below it.
    """
    whole = np.pad(waveform, (0, max(0, BAND_FRAME - len(waveform))))
    starts = np.linspace(0, len(whole) - BAND_FRAME, min(BAND_FRAMES, 1 + len(whole) // BAND_FRAME)).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(whole, BAND_FRAME)[starts] * _BAND_WINDOW
    spectrum = np.fft.rfft(frames)
    power = np.convolve((spectrum.real**2 + spectrum.imag**2).mean(axis=0), np.ones(3), "same")
    return float(np.flatnonzero(power >= power.max() * 10 ** (-BAND_DROP_DB / 10))[-1] * sampling_rate / BAND_FRAME)
