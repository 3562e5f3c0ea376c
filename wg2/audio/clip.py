"""From a recording to the clip of a data set. S: samples."""

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from wg2.audio import decoding, quality
from wg2.audio.channels import mix
from wg2.audio.level import to_loudness
from wg2.audio.quality import Quality
from wg2.config import AudioConfig
from wg2.errors import LengthError, SilenceError

Samples = NDArray[np.float32]

TRIM_FRAME_S = 0.01
"""Frame (s) whose RMS decides whether an edge is silent."""


@dataclass(frozen=True)
class Clip:
    """A recording as the data set keeps it.

    Attributes:
        waveform: mono, in [-PEAK, PEAK], [S].
        sampling_rate: Hz.
        start_s: where the kept part starts in the source, seconds.
        end_s: where the kept part ends in the source, seconds.
        lufs: loudness of `waveform` (BS.1770); below the target only where too many samples would have to be limited.
        quality: what was measured on the source.
    """

    waveform: Samples
    sampling_rate: int
    start_s: float
    end_s: float
    lufs: float
    quality: Quality


def normalise(data: bytes, name: str, config: AudioConfig, start_s: float = 0.0, end_s: float = 0.0) -> Clip:
    """Decode, mix to mono, take out clicks, resample, trim the edges and bring to the target loudness.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
        config: channel, rate, trimming, loudness and limits.
        start_s: where the utterance starts in the file, seconds.
        end_s: where it ends, seconds; 0 is the end of the file.
    Raises:
        AudioError: one of its children, for each reason to refuse a recording.
    """
    source = decoding.read(data, name, start_s, end_s, config.max_source_s)
    quality.check_rate(source, name, config)
    mono, channel = mix(source.samples, config.channel, name, source.sampling_rate)
    mono, dc = quality.without_dc(mono, name, config)
    clipped = quality.check_clipping(source, name, config)
    mono, clicks = quality.without_clicks(mono, source.sampling_rate)
    waveform = resample(mono, source.sampling_rate, config.sampling_rate)
    start, end = _loud_part(waveform, name, config)
    _check_length((end - start) / config.sampling_rate, name, config)
    snr_db = quality.check_noise(waveform, name, config)
    kept, lufs = to_loudness(waveform[start:end], name, config)
    measured = Quality(
        channel=channel,
        sampling_rate=source.recorded_rate,
        codec=source.codec,
        peak=source.peak,
        dc=dc,
        clipped_fraction=clipped,
        clicks=clicks,
        snr_db=snr_db,
        bandwidth_hz=quality.bandwidth_hz(kept, config.sampling_rate),
    )
    first, last = (start_s + index / config.sampling_rate for index in (start, end))
    return Clip(kept, config.sampling_rate, first, last, lufs, measured)


def resample(waveform: Samples, rate: int, wanted_rate: int) -> Samples:
    """`waveform` [S] at `wanted_rate` (soxr, high quality), with round(S * wanted_rate / rate) samples."""
    if rate == wanted_rate:
        return waveform
    resampled: Samples = soxr.resample(waveform, rate, wanted_rate, quality="HQ")
    return resampled


def _loud_part(waveform: Samples, name: str, config: AudioConfig) -> tuple[int, int]:
    """First and one past the last sample to keep: from the first to the last loud frame, and the margin."""
    size = min(len(waveform), max(1, round(TRIM_FRAME_S * config.sampling_rate)))
    whole = len(waveform) // size * size
    power = np.square(waveform[:whole]).reshape(-1, size).mean(axis=1)
    peak = power.max(initial=0.0)
    if not peak > 0.0:
        raise SilenceError(f"{name}: silent ({len(waveform) / config.sampling_rate:.2f} s of zeros); record it again")
    loud = np.flatnonzero(power >= peak * 10 ** (-config.trim_db / 10))
    margin = round(config.trim_margin_s * config.sampling_rate)
    return max(0, int(loud[0]) * size - margin), min(len(waveform), int(loud[-1] + 1) * size + margin)


def _check_length(seconds: float, name: str, config: AudioConfig) -> None:
    if not config.min_s <= seconds <= config.max_s:
        raise LengthError(
            f"{name}: {seconds:.2f} s after trimming, wanted {config.min_s} to {config.max_s} s; "
            "split or drop the recording, or change audio.min_s or audio.max_s"
        )
