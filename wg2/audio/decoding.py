"""Recordings in: libsndfile reads what it knows, libav the rest, both to the end. S: samples, C: channels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from wg2.audio import containers
from wg2.audio.link import Link
from wg2.errors import DamagedError, LengthError, SamplingRateError

Samples = NDArray[np.float32]

SOURCE_RATES = (4_000, 384_000)
"""Sampling rates (Hz) that recordings come with: what lies outside is a damaged or wrong header."""
_TOLERANCE_S = 0.01
"""A part may end so much (s) behind the end of its file."""
_NOTHING: Samples = np.zeros((0, 1), np.float32)
_CODECS = {"mpeg_layer_i": "mp1", "mpeg_layer_ii": "mp2", "mpeg_layer_iii": "mp3"}
"""libsndfile's names that are not the usual ones."""


@dataclass(frozen=True)
class Source:
    """What a file holds, or a part of it.

    Attributes:
        samples: in [-1, 1], [S, C].
        sampling_rate: of the samples, Hz.
        codec: as it was stored: 'pcm_16', 'float', 'flac', 'mp3', 'vorbis', 'opus', 'aac' ...
        recorded_rate: that the recording had before its codec, Hz; Opus decodes whatever it was to another.
        has_scale: whether 1.0 is the most that the codec stores; a float file may have any scale.
        peak: its highest sample, share of full scale; beyond 1, the samples were divided by it.
    """

    samples: Samples
    sampling_rate: int
    codec: str
    recorded_rate: int
    has_scale: bool
    peak: float = 0.0


@dataclass(frozen=True)
class _Part:
    """Which part of a recording is wanted (s; an end of 0 is that of the file). Longer ones are refused, or cut."""

    name: str
    start_s: float
    end_s: float
    max_s: float
    cut: bool = False

    def span(self, frames: int, rate: int) -> tuple[int, int]:
        """Its first sample, and how many it has, of a recording of so many."""
        if not SOURCE_RATES[0] <= rate <= SOURCE_RATES[1]:
            raise SamplingRateError(f"{self.name}: its header says {rate} Hz, wanted {SOURCE_RATES[0]} to "
                                    f"{SOURCE_RATES[1]}; export the recording again")  # fmt: skip
        start, end = round(self.start_s * rate), round(self.end_s * rate) or frames
        if end > frames + round(_TOLERANCE_S * rate) or start > frames:
            raise DamagedError(f"{self.name}: holds {frames / rate:.2f} s, wanted the part from {self.start_s:g} to "
                               f"{end / rate:g} s; correct the manifest or copy the file again")  # fmt: skip
        wanted = min(end, frames) - start
        if self.cut:
            wanted = int(min(wanted, self.max_s * rate))
        if wanted > self.max_s * rate:
            raise LengthError(f"{self.name}: {wanted / rate:.0f} s before trimming, wanted at most {self.max_s:g} s; "
                              "split it (start_s and end_s in a manifest), or raise audio.max_source_s")  # fmt: skip
        return start, wanted

    def enough_s(self) -> float:
        """As much of the file is ever looked at: to the end of the part, or until it is too long."""
        return (self.end_s or self.start_s + self.max_s) + 1


def decode(data: bytes, name: str, start_s: float = 0.0, end_s: float = 0.0, max_s: float = inf) -> tuple[Samples, int]:
    """`read` for who wants the sound alone: samples [S, C] and their rate (Hz)."""
    source = read(data, name, start_s, end_s, max_s)
    return source.samples, source.sampling_rate


def read(data: bytes, name: str, start_s: float = 0.0, end_s: float = 0.0, max_s: float = inf) -> Source:
    """Decode a file (WAV, AIFF, FLAC, Ogg, MP3, AAC, M4A, WebM ...), or a part of it.

    Args:
        data: the file's bytes.
        name: what to call it in a complaint.
        start_s: where the part starts, seconds.
        end_s: where it ends, seconds; 0 is the end of the file.
        max_s: longest part that is decoded.
    Raises:
        DamagedError: the file is empty, damaged, truncated or shorter than the part, or holds NaN.
        LengthError: the part is longer than `max_s`.
        SamplingRateError: the header claims a rate outside SOURCE_RATES.
    """
    if not data:
        raise DamagedError(f"{name}: 0 bytes, wanted audio; copy the file again or remove it from the corpus")
    part = _Part(name, start_s, end_s, max_s)
    try:
        links = containers.links(data)
    except DamagedError as error:
        raise DamagedError(f"{name}: {error}") from None
    except (ValueError, IndexError) as error:
        raise DamagedError(f"{name}: damaged ({error}); copy the file again") from error
    return _in_scale(_read_link(links[0], part) if len(links) == 1 else _read_chain(links, part), name)


def _in_scale(source: Source, name: str) -> Source:
    samples = source.samples
    if not len(samples):
        raise DamagedError(f"{name}: holds no samples; replace the file or remove it from the corpus")
    peak = max(float(samples.max()), -float(samples.min()))
    if not isfinite(peak):
        raise DamagedError(f"{name}: holds NaN or infinity; export the recording again")
    return replace(source, samples=samples / np.float32(peak) if peak > 1 else samples, peak=peak)


def _read_link(link: Link, part: _Part) -> Source:
    if not link.sndfile:
        return _libav(link, part)
    file = io.BytesIO(link.data)
    try:
        stream = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, MemoryError) as error:
        if link.demuxer:
            return _libav(link, part)
        raise _undecodable(link, part.name, error) from error
    with stream:
        source = _sndfile(stream, link, part)
    if source.codec == "flac" and not part.end_s and file.tell() < len(link.data):
        return _libav(link, part)  # sound behind the end that the header states
    return source


def _sndfile(stream: Any, link: Link, part: _Part) -> Source:
    rate = stream.samplerate
    start, frames = part.span(stream.frames, rate)
    try:
        stream.seek(start)
        samples = stream.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, MemoryError) as error:
        raise _undecodable(link, part.name, error) from error
    if len(samples) != frames:
        raise DamagedError(f"{part.name}: truncated: got {len(samples)} samples, its header says {frames}; "
                           "copy the file again")  # fmt: skip
    codec = stream.format.lower() if stream.format == "FLAC" else stream.subtype.lower()
    return Source(samples, rate, _CODECS.get(codec, codec), rate, codec not in ("float", "double"))


def _undecodable(link: Link, name: str, error: Exception) -> DamagedError:
    """One line, without the memory address that libsndfile calls a file in memory by."""
    told = str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).rstrip(".")
    what = f"{name}: cannot decode {len(link.data)} bytes"
    if link.demuxer:
        return DamagedError(f"{what}: damaged or cut ({told}); copy the file again")
    return DamagedError(f"{what}: {told}; wanted WAV, FLAC, Ogg, MP3, M4A, AAC or WebM; replace the file")


def _libav(link: Link, part: _Part) -> Source:
    source = _decoded(link, part.enough_s(), part.name)
    start, frames = part.span(len(source.samples), source.sampling_rate)
    return replace(source, samples=source.samples[start : start + frames])


def _decoded(link: Link, enough_s: float, name: str) -> Source:
    """A recording from its start to its end, or until there is enough of it; by libav.

    The container is named, so libav guesses nothing: some of its formats are lists of other files to open.
    """
    import av  # takes a quarter of a second, which who reads WAV and FLAC need not pay

    try:
        with av.open(io.BytesIO(link.data), "r", format=link.demuxer, metadata_errors="replace") as container:
            stream = next((track for track in container.streams.audio if track.codec_context), None)
            if not stream:
                raise DamagedError(
                    f"{name}: holds no sound that is known; replace the file or remove it from the corpus"
                )
            codec = stream.codec_context
            if codec.name == "flac":
                codec.options = {"err_detect": "crccheck+explode"}
            fifo = av.AudioFifo()
            for frame in container.decode(stream):
                frame.pts = None
                fifo.write(frame)
                if fifo.samples > enough_s * frame.sample_rate:
                    break
            whole = fifo.read()
            usual = codec.codec.canonical_name
            samples = _floats(whole.to_ndarray(), len(whole.layout.channels)) if whole else _NOTHING
            rate = whole.sample_rate if whole else codec.sample_rate
            return Source(samples, rate, usual, _recorded_rate(codec, rate), not usual.startswith("pcm_f"))
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise _undecodable(link, name, error) from error


def _floats(planes: NDArray[Any], channels: int) -> Samples:
    """Samples of libav: planar [C, S] or packed [1, S * C], as [S, C] in units of full scale."""
    samples = planes.T if len(planes) == channels else planes.reshape(-1, channels)
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    scale = 1 if samples.dtype.kind == "f" else -float(np.iinfo(samples.dtype).min)
    return np.ascontiguousarray(samples / np.float32(scale), dtype=np.float32)


def _recorded_rate(codec: Any, rate: int) -> int:
    """Opus states the rate of its input, which it does not need (RFC 7845 5.1); 0: it does not say."""
    head = codec.extradata or b""
    return (int.from_bytes(head[12:16], "little") or rate) if head.startswith(b"OpusHead") else rate


def _read_chain(links: Sequence[Link], part: _Part) -> Source:
    """Recordings behind each other as one, in the rate of the first and the channels of the one that has most."""
    found, seconds = list[Source](), 0.0
    for link in links:
        if seconds <= part.enough_s():
            whole = _Part(part.name, 0.0, 0.0, part.enough_s() - seconds, cut=True)
            found.append(_read_link(link, whole))
            seconds += len(found[-1].samples) / found[-1].sampling_rate
    rate, channels = found[0].sampling_rate, max(source.samples.shape[1] for source in found)
    samples = np.concatenate([_fitted(source, rate, channels) for source in found])
    start, frames = part.span(len(samples), rate)
    return replace(
        found[0],
        samples=samples[start : start + frames],
        recorded_rate=min(source.recorded_rate for source in found),
        has_scale=all(source.has_scale for source in found),
    )


def _fitted(source: Source, rate: int, channels: int) -> Samples:
    """A recording's samples [S, C] at another rate; one channel becomes several, others are filled up with silence."""
    samples = source.samples
    if source.sampling_rate != rate:
        samples = soxr.resample(samples, source.sampling_rate, rate, quality="HQ")
    if samples.shape[1] == 1:
        return np.repeat(samples, channels, axis=1)
    return np.pad(samples, ((0, 0), (0, channels - samples.shape[1])))
