"""Recordings in, clean mono clips out; FLAC and WAV.

Shapes: S samples, C channels. Waveforms are float32 in [-1, 1]; a 16-bit value is `round(sample * 32768)`, so what was
decoded encodes to the same value again.
"""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from wg2 import storage
from wg2.config import AudioConfig
from wg2.errors import AudioError

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
_FULL_SCALE = 32_768
_RIFF_SIZE_UNKNOWN = 0x7FFF_F000
"""A WAV written to a pipe claims this size or more, since its writer could not know it."""


@dataclass(frozen=True)
class Clip:
    """A recording as the data set keeps it.

    Attributes:
        waveform: mono, in [-PEAK, PEAK], [S].
        sampling_rate: Hz.
        start_s: where the kept part starts in the source, seconds.
        end_s: where the kept part ends in the source, seconds.
        lufs: loudness of `waveform` (BS.1770); above or below the target only where the peak forbade it.
    """

    waveform: NDArray[np.float32]
    sampling_rate: int
    start_s: float
    end_s: float
    lufs: float


def decode(data: bytes, name: str) -> tuple[NDArray[np.float32], int]:
    """Decode a whole file that libsndfile knows (WAV, FLAC, Ogg, MP3 ...).

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
    Returns:
        Samples [S, C] and the sampling rate.
    Raises:
        AudioError: the file is empty, damaged or truncated, or holds NaN.
    """
    if not data:
        raise AudioError(f"{name}: 0 bytes, wanted audio; copy the file again or remove it from the corpus")
    _check_riff_size(data, name)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as stream:
            samples = stream.read(dtype="float32", always_2d=True)
            frames, rate = stream.frames, stream.samplerate
    except (soundfile.SoundFileError, MemoryError) as error:
        raise AudioError(f"{name}: cannot decode {len(data)} bytes: {error}; replace the file") from error
    _check_samples(samples, frames, name)
    return samples, rate


def normalise(data: bytes, name: str, config: AudioConfig) -> Clip:
    """Decode, mix to mono, resample, trim the edges and bring to the target loudness.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
        config: rate, trimming, loudness and limits.
    Raises:
        AudioError: the file is damaged, silent, too short or too long.
    """
    samples, rate = decode(data, name)
    waveform = resample(samples.mean(axis=1), rate, config.sampling_rate)
    start, end = _loud_part(waveform, name, config)
    _check_length((end - start) / config.sampling_rate, name, config)
    kept, lufs = _to_loudness(waveform[start:end], name, config)
    return Clip(kept, config.sampling_rate, start / config.sampling_rate, end / config.sampling_rate, lufs)


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
        raise AudioError(f"{name}: truncated: got {len(data)} bytes, its header says {claimed}; copy the file again")


def _check_samples(samples: NDArray[np.float32], frames: int, name: str) -> None:
    if not len(samples):
        raise AudioError(f"{name}: holds no samples; replace the file or remove it from the corpus")
    if len(samples) != frames:
        raise AudioError(f"{name}: truncated: got {len(samples)} samples, its header says {frames}; copy it again")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds NaN or infinity; export the recording again")


def _loud_part(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> tuple[int, int]:
    """First and one past the last sample to keep: from the first to the last loud frame, and the margin."""
    size = min(len(waveform), max(1, round(TRIM_FRAME_S * config.sampling_rate)))
    whole = len(waveform) // size * size
    power = np.square(waveform[:whole]).reshape(-1, size).mean(axis=1)
    peak = power.max(initial=0.0)
    if not peak > 0.0:
        raise AudioError(f"{name}: silent ({len(waveform) / config.sampling_rate:.2f} s of zeros); record it again")
    loud = np.flatnonzero(power >= peak * 10 ** (-config.trim_db / 10))
    margin = round(config.trim_margin_s * config.sampling_rate)
    return max(0, int(loud[0]) * size - margin), min(len(waveform), int(loud[-1] + 1) * size + margin)


def _check_length(seconds: float, name: str, config: AudioConfig) -> None:
    if not config.min_s <= seconds <= config.max_s:
        raise AudioError(
            f"{name}: {seconds:.2f} s after trimming, wanted {config.min_s} to {config.max_s} s; "
            "split or drop the recording, or change audio.min_s or audio.max_s"
        )


def _to_loudness(waveform: NDArray[np.float32], name: str, config: AudioConfig) -> tuple[NDArray[np.float32], float]:
    """`waveform` at the target loudness, or as near as its peak allows; and its loudness."""
    lufs = loudness(waveform, config.sampling_rate)
    if not lufs > SILENCE_LUFS:
        raise AudioError(f"{name}: silent: its loudness is below {SILENCE_LUFS} LUFS; record it again")
    gain = min(10 ** ((config.target_lufs - lufs) / 20), PEAK / float(np.abs(waveform).max()))
    return waveform * np.float32(gain), lufs + 20 * float(np.log10(gain))


def loudness(waveform: NDArray[np.float32], sampling_rate: int) -> float:
    """Integrated loudness (LUFS, ITU-R BS.1770-4) of `waveform` [S]; -inf or NaN for silence.

    A clip shorter than a gating block is measured as one block: padded with zeros, it would read too quiet.
    """
    seconds = (len(waveform) - 1) / sampling_rate  # one sample less: the meter refuses a block of all, by rounding
    return float(_meter(sampling_rate, min(LOUDNESS_BLOCK_S, seconds)).integrated_loudness(waveform))


@cache
def _meter(sampling_rate: int, block_s: float) -> Any:
    import pyloudnorm  # takes a second (scipy.signal), which who only reads FLAC need not pay

    return pyloudnorm.Meter(sampling_rate, block_size=block_s)
