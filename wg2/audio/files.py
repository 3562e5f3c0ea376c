"""Clips out: FLAC for data sets, and files in the format of their suffix. S: samples.

A 16-bit value is `round(sample * 32768)`, so what was decoded encodes to the same value again.
"""

import io
from pathlib import PurePosixPath

import numpy as np
import soundfile
from numpy.typing import NDArray

from wg2 import storage
from wg2.errors import AudioError

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
"""What can be written, by suffix: WAV and FLAC with 16 bits, Ogg Vorbis, MP3."""
_FULL_SCALE = 32_768


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
        told = getattr(error, "error_string", error)  # without the address of the file in memory
        raise AudioError(f"FLAC of {len(data)} bytes: cannot decode from {start=}: {told}; rerun prepare") from error
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
