"""Recordings in (whatever libsndfile reads: WAV, FLAC, MP3, Ogg), clean mono clips out; FLAC and WAV.

Shapes: S samples, C channels. Waveforms are float32 in [-1, 1]; a 16-bit value is `round(sample * 32768)`, so what was
decoded encodes to the same value again.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, reduce
from math import inf, prod
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from wg2 import storage
from wg2.config import AudioConfig
from wg2.errors import (
    AudioError,
    ClippingError,
    DamagedError,
    LengthError,
    NoiseError,
    OffsetError,
    SamplingRateError,
    SilenceError,
)

TRIM_FRAME_S = 0.01
"""Frame (s) whose RMS decides whether an edge is silent."""
LOUDNESS_BLOCK_S = 0.4
"""Gating block (s) of ITU-R BS.1770-4. A shorter clip is one block."""
SILENCE_LUFS = -70.0
"""The absolute gate of ITU-R BS.1770-4: what lies below is silence."""
PEAK = 0.99
"""Highest sample that loudness normalisation makes (-0.09 dB of full scale)."""
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
"""What can be written, by suffix: WAV and FLAC with 16 bits, Ogg Vorbis, MP3."""
SOURCE_RATES = (4_000, 384_000)
"""Sampling rates (Hz) that recordings come with: what lies outside is a damaged or wrong header."""
DEAD_DB = 50.0
"""A channel quieter than the loudest one by this much (dB) is dead."""
CLIPPED_LEVEL, CLIPPED_RUN = 0.999, 3
"""As many samples in a row at this level or beyond are a flat top."""
SNR_FRAME_S = 0.02
SNR_MAX_DB = 100.0
"""What a recording with digital silence is said to have: its noise is zero."""
_FULL_SCALE = 32_768
_RIFF_SIZE_UNKNOWN = 0x7FFF_F000
"""A WAV written to a pipe claims this size or more, since its writer could not know it."""


@dataclass(frozen=True)
class Quality:
    """What was measured on the source.

    Attributes:
        channel: what the clip was made of: 'mono', 'mean', 'left', 'right', or 'channel N' (from 1) of more than two.
        dc: its offset from zero before that was taken out, share of full scale.
        clipped_fraction: share of its samples in flat tops at full scale.
        snr_db: 95th over 10th percentile of the power in frames of 20 ms, dB.
    """

    channel: str
    dc: float
    clipped_fraction: float
    snr_db: float


@dataclass(frozen=True)
class Clip:
    """A recording as the data set keeps it.

    Attributes:
        waveform: mono, in [-PEAK, PEAK], [S].
        sampling_rate: Hz.
        start_s: where the kept part starts in the source, seconds.
        end_s: where the kept part ends in the source, seconds.
        lufs: loudness of `waveform` (BS.1770); above or below the target only where the peak forbade it.
        quality: what was measured on the source.
    """

    waveform: NDArray[np.float32]
    sampling_rate: int
    start_s: float
    end_s: float
    lufs: float
    quality: Quality


def decode(
    data: bytes, name: str, start_s: float = 0.0, end_s: float = 0.0, max_s: float = inf
) -> tuple[NDArray[np.float32], int]:
    """Decode a file that libsndfile knows (WAV, FLAC, Ogg, MP3 ...), or a part of it.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
        start_s: where the part starts, seconds.
        end_s: where it ends, seconds; 0 is the end of the file.
        max_s: longest part (s) that is decoded.
    Returns:
        Samples [S, C] and the sampling rate.
    Raises:
        DamagedError: the file is empty, damaged, truncated or shorter than the part, or holds NaN.
        LengthError: the part is longer than `max_s`.
        SamplingRateError: the header claims a rate outside SOURCE_RATES.
    """
    if not data:
        raise DamagedError(f"{name}: 0 bytes, wanted audio; copy the file again or remove it from the corpus")
    _check_riff_size(data, name)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as stream:
            rate, frames = stream.samplerate, _seek(stream, name, start_s, end_s, max_s)
            samples = stream.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, MemoryError) as error:
        raise DamagedError(f"{name}: cannot decode {len(data)} bytes: {error}; replace the file") from error
    _check_samples(samples, frames, name)
    return samples, rate


def _seek(stream: Any, name: str, start_s: float, end_s: float, max_s: float) -> int:
    """Go to the start of the part; how many samples it has."""
    rate = stream.samplerate
    if not SOURCE_RATES[0] <= rate <= SOURCE_RATES[1]:
        raise SamplingRateError(f"{name}: its header says {rate} Hz, wanted {SOURCE_RATES[0]} to {SOURCE_RATES[1]}; "
                                "export the recording again")  # fmt: skip
    start, end = round(start_s * rate), round(end_s * rate) or stream.frames
    if end > stream.frames + round(TRIM_FRAME_S * rate) or start > stream.frames:
        raise DamagedError(f"{name}: holds {stream.frames / rate:.2f} s, wanted the part from {start_s:g} to "
                           f"{end / rate:g} s; correct the manifest or copy the file again")  # fmt: skip
    frames = min(end, stream.frames) - start
    if frames > max_s * rate:
        raise LengthError(f"{name}: {frames / rate:.0f} s before trimming, wanted at most {max_s:g} s; split it "
                          "(a manifest with start_s and end_s will do), or raise audio.max_source_s")  # fmt: skip
    stream.seek(start)
    return int(frames)


def normalise(data: bytes, name: str, config: AudioConfig, start_s: float = 0.0, end_s: float = 0.0) -> Clip:
    """Decode, mix to mono, resample, trim the edges and bring to the target loudness.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
        config: channel, rate, trimming, loudness and limits.
        start_s: where the utterance starts in the file, seconds.
        end_s: where it ends, seconds; 0 is the end of the file.
    Raises:
        AudioError: one of its children, for each reason to refuse a recording.
    """
    samples, rate = decode(data, name, start_s, end_s, config.max_source_s)
    mono, channel = mix(samples, config.channel, name)
    mono, dc = _without_dc(mono, name, config)
    clipped = _check_clipping(samples, name, config)
    waveform = resample(mono, rate, config.sampling_rate)
    start, end = _loud_part(waveform, name, config)
    _check_length((end - start) / config.sampling_rate, name, config)
    quality = Quality(channel, dc, clipped, _check_noise(waveform, name, config))
    kept, lufs = _to_loudness(waveform[start:end], name, config)
    first, last = (start_s + index / config.sampling_rate for index in (start, end))
    return Clip(kept, config.sampling_rate, first, last, lufs, quality)


def mix(samples: NDArray[np.float32], policy: str, name: str) -> tuple[NDArray[np.float32], str]:
    """One channel of samples [S, C], [S], and its name.

    Args:
        samples: all channels.
        policy: 'mean' of the channels that are not dead, 'left', 'right', or the 'loudest'.
        name: of the recording, for a complaint.
    Raises:
        SilenceError: the channel that the policy names is dead while another is not.
    """
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0], "mono"
    power = np.var(samples, axis=0, dtype=np.float64)
    live = np.flatnonzero(power > power.max() * 10 ** (-DEAD_DB / 10))
    if policy == "mean" and len(live) != 1:
        return (samples[:, live] if len(live) else samples).mean(axis=1), "mean"
    chosen = {"left": 0, "right": 1}.get(policy, int(power.argmax()))
    if len(live) and chosen not in live:
        raise SilenceError(f"{name}: the {policy} channel is dead; set audio.channel to mean or loudest")
    return samples[:, chosen], ("left", "right")[chosen] if channels == 2 else f"channel {chosen + 1}"


def _without_dc(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> tuple[NDArray[np.float32], float]:
    dc = float(waveform.mean(dtype=np.float64))
    if abs(dc) > config.max_dc:
        raise OffsetError(f"{name}: lies {dc:+.2f} of full scale beside zero (DC), wanted at most {config.max_dc:g}; "
                          "record it again, or raise audio.max_dc")  # fmt: skip
    return (waveform - np.float32(dc), dc) if config.remove_dc and dc else (waveform, dc)


def clipped_fraction(samples: NDArray[np.float32]) -> float:
    """Share of samples [S, C] in flat tops: CLIPPED_RUN or more in a row at CLIPPED_LEVEL or beyond."""
    high = np.abs(samples) >= CLIPPED_LEVEL
    if not high.any():
        return 0.0
    starts = high[: 1 - CLIPPED_RUN] & high[1 : 2 - CLIPPED_RUN] & high[2:] if len(high) >= CLIPPED_RUN else high[:0]
    tops = np.zeros_like(high)
    for shift in range(CLIPPED_RUN):
        tops[shift : shift + len(starts)] |= starts
    return float(tops.mean(axis=0).max())


def _check_clipping(samples: NDArray[np.float32], name: str, config: AudioConfig) -> float:
    clipped = clipped_fraction(samples)
    if clipped > config.max_clipped_fraction:
        raise ClippingError(f"{name}: {clipped:.1%} of the samples are clipped; record it again, or raise "
                            f"audio.max_clipped_fraction from {config.max_clipped_fraction:g}")  # fmt: skip
    return clipped


def snr_db(waveform: NDArray[np.float32], sampling_rate: int) -> float:
    """Signal-to-noise ratio (dB) of speech [S], from its pauses: 95th over 10th percentile of the frames' power.

    Simple and without a model, as in NIST's `stnr` (which takes the peaks of the histogram of frame powers): it wants
    a recording with a tenth of pauses or edges, and reads too low without them. At most SNR_MAX_DB.
    """
    size = min(len(waveform), max(1, round(SNR_FRAME_S * sampling_rate)))
    power = np.square(waveform[: len(waveform) // size * size]).reshape(-1, size).mean(axis=1, dtype=np.float64)
    noise, speech = np.percentile(power, (10, 95))
    return min(SNR_MAX_DB, float(10 * np.log10(speech / noise))) if noise > 0 else SNR_MAX_DB


def _check_noise(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> float:
    ratio = snr_db(waveform, config.sampling_rate)
    if config.min_snr_db and ratio < config.min_snr_db:
        raise NoiseError(f"{name}: speech is {ratio:.1f} dB above the noise, wanted {config.min_snr_db:g} dB; "
                         "record it again, or lower audio.min_snr_db")  # fmt: skip
    return ratio


def resample(waveform: NDArray[np.float32], rate: int, wanted_rate: int) -> NDArray[np.float32]:
    """`waveform` [S] at `wanted_rate` (soxr, high quality), with round(S * wanted_rate / rate) samples."""
    if rate == wanted_rate:
        return waveform
    resampled: NDArray[np.float32] = soxr.resample(waveform, rate, wanted_rate, quality="HQ")
    return resampled


def encode_flac(waveform: NDArray[np.float32], sampling_rate: int) -> bytes:
    """16-bit FLAC of `waveform` [S]; what is outside [-1, 1] is clipped.

    Raises:
        AudioError: `waveform` holds NaN or infinity.
    """
    return _encode(waveform, sampling_rate, "FLAC")


def decode_flac(data: bytes | memoryview, start: int = 0, frames: int = -1) -> NDArray[np.float32]:
    """Samples `start` to `start + frames` (-1: to the end) of a mono FLAC, [S]; decodes only the blocks it needs.

    Raises:
        AudioError: the bytes are damaged, or hold fewer samples than wanted.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as stream:
            stream.seek(start)
            wanted = stream.frames - start if frames < 0 else frames
            samples: NDArray[np.float32] = stream.read(wanted, dtype="float32")
    except (soundfile.SoundFileError, MemoryError) as error:
        raise AudioError(f"FLAC of {len(data)} bytes: cannot decode from {start=}: {error}; rerun prepare") from error
    if len(samples) != wanted:
        raise AudioError(f"FLAC of {len(data)} bytes: got {len(samples)} samples from {start=}, wanted {wanted}")
    return samples


def write(uri: str, waveform: NDArray[np.float32], sampling_rate: int) -> None:
    """Write `waveform` [S] in the format of the file's suffix, whole or not at all; beyond [-1, 1] it is clipped.

    Raises:
        AudioError: a suffix that is none of `FORMATS`, or `waveform` holds NaN or infinity.
        StorageError: the place is not writable.
    """
    storage.write_bytes(str(uri), _encode(waveform, sampling_rate, file_format(uri)))


def file_format(uri: str) -> str:
    """The format of a file, by its suffix.

    Raises:
        AudioError: it is none of `FORMATS`.
    """
    suffix = PurePosixPath(uri).suffix.lower()
    if suffix not in FORMATS:
        raise AudioError(f"{uri}: got the suffix '{suffix}', wanted one of {', '.join(FORMATS)}; rename it")
    return FORMATS[suffix]


def _encode(waveform: NDArray[np.float32], sampling_rate: int, container: str) -> bytes:
    if not np.isfinite(waveform).all():
        raise AudioError(f"{container}: the waveform holds NaN or infinity; nothing was written")
    scaled = np.clip(np.rint(waveform * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    stream, subtype = io.BytesIO(), "PCM_16" if container in ("WAV", "FLAC") else None  # None: its codec's own
    try:
        soundfile.write(stream, scaled.astype(np.int16), sampling_rate, format=container, subtype=subtype)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{container} at {sampling_rate} Hz: {error}; write another format") from error
    return stream.getvalue()


def _check_riff_size(data: bytes, name: str) -> None:
    """Refuse a cut WAV: libsndfile reads what is left of it without a word."""
    if data[:4] != b"RIFF":
        return
    claimed = int.from_bytes(data[4:8], "little") + 8
    if len(data) + 1 < claimed < _RIFF_SIZE_UNKNOWN:  # one byte of padding may be missing
        raise DamagedError(f"{name}: truncated: got {len(data)} bytes, its header says {claimed}; copy the file again")


def _check_samples(samples: NDArray[np.float32], frames: int, name: str) -> None:
    if not len(samples):
        raise DamagedError(f"{name}: holds no samples; replace the file or remove it from the corpus")
    if len(samples) != frames:
        raise DamagedError(f"{name}: truncated: got {len(samples)} samples, its header says {frames}; copy it again")
    if not np.isfinite(samples).all():
        raise DamagedError(f"{name}: holds NaN or infinity; export the recording again")


def _loud_part(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> tuple[int, int]:
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


def _to_loudness(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> tuple[NDArray[np.float32], float]:
    """`waveform` at the target loudness, or as near as its peak allows; and its loudness."""
    lufs = loudness(waveform, config.sampling_rate)
    if not lufs > SILENCE_LUFS:
        raise SilenceError(f"{name}: silent: its loudness is below {SILENCE_LUFS} LUFS; record it again")
    gain = min(10 ** ((config.target_lufs - lufs) / 20), PEAK / float(np.abs(waveform).max()))
    return waveform * np.float32(gain), lufs + 20 * float(np.log10(gain))


def loudness(waveform: NDArray[np.float32], sampling_rate: int) -> float:
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
