"""Generated sound, and files of it in many containers."""

import io

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 24_000
Samples = NDArray[np.float32]


def tone(seconds: float, rate: int = RATE, level: float = 0.1, hertz: float = 997.0) -> Samples:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def bursts(seconds: float, rate: int = RATE, level: float = 0.1, seed: int = 0) -> Samples:
    """Like speech for a level meter: noise with an envelope of syllables, and pauses."""
    dice, times = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 2 * times), 0, 1)
    noise = np.convolve(dice.normal(size=len(times)), np.hanning(9) / 4, "same")
    return (level * envelope * noise / np.abs(noise).max()).astype(np.float32)


def wav(samples: Samples, rate: int = RATE, container: str = "WAV", subtype: str | None = "FLOAT") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=container, subtype=subtype)
    return stream.getvalue()


def muxed(samples: Samples, container: str, codec: str, rate: int = RATE, **options: str) -> bytes:
    """By libav."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container, options=options) as output:
        output.metadata["title"] = "a title"
        track = output.add_stream(codec, rate=rate, layout="mono")
        kind = track.codec_context.codec.audio_formats[0].name
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in av.AudioResampler(format=kind, layout="mono", rate=rate).resample(frame):
            output.mux(track.encode(part))
        output.mux(track.encode(None))
    return stream.getvalue()
