"""The fundamental frequency (F0) of a recording, one value for each model frame.

DIO finds the candidates (Morise, Kawahara & Katayose, "Fast and reliable F0 estimation method based on the period
extraction of vocal fold vibration of singing voice and speech", AES 35th conference, 2009), StoneMask refines them
(Morise, Yokomori & Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system", IEICE Transactions E99-D,
2016). Both are those of `pyworld`.

Shapes: S samples, T model frames.
"""

import warnings
from math import ceil
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from wg2.errors import ConfigError

FLOOR_HZ, CEIL_HZ = 60.0, 500.0
"""The range that is searched: low men to children. What lies outside counts as unvoiced."""
_DIO_HZ = 6000
"""DIO sees the audio at this rate or more, up to twice: that is 7 times as fast as at 24 kHz. On 14 clips of four
corpora 1.1 % of the frames changed between voiced and unvoiced, and 95 % of the others by less than 1 cent, since
StoneMask sees the whole. At 4 kHz a tone of 480 Hz became one of 160."""


def world() -> ModuleType:
    """The module `pyworld`.

    Raises:
        ImportError: it is not installed.
    """
    with warnings.catch_warnings():  # it asks setuptools for its own version, which is announced to go
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")
        import pyworld
    module: ModuleType = pyworld
    return module


def check_installed() -> None:
    """Complain before any work where the pitch cannot be computed.

    Raises:
        ConfigError: `pyworld` cannot be imported.
    """
    try:
        world()
    except ImportError as error:
        raise ConfigError(
            f"prepare.pitch: wants pyworld, but {error}; pip install 'wg2[metrics]', or give --prepare.pitch False"
        ) from error


def contour(waveform: NDArray[np.float32], sampling_rate: int, samples_per_frame: int) -> NDArray[np.float32]:
    """F0 at the centre of each model frame: frame t is analysed at (t + 0.5) * samples_per_frame / sampling_rate s.

    DIO analyses at the multiples of its period. With half a frame as period the odd ones are the centres, to the bit
    for any hop and rate; only these are refined.

    Args:
        waveform: audio in [-1, 1], [S].
        sampling_rate: Hz.
        samples_per_frame: the model's hop.
    Returns:
        Hz, 0 where it is unvoiced, [T], T = ceil(S / samples_per_frame).
    """
    frames = ceil(len(waveform) / samples_per_frame)
    every = min(max(sampling_rate // _DIO_HZ, 1), 12)
    # The last frame may be partial: its centre is analysed too. DIO keeps every n-th sample, counted from the last.
    samples = np.zeros(ceil(frames * samples_per_frame / every) * every + 1)
    samples[: len(waveform)] = waveform
    half_ms = 500 * samples_per_frame / sampling_rate
    rough, times = world().dio(samples, sampling_rate, FLOOR_HZ, CEIL_HZ, frame_period=half_ms, speed=every)
    centres = slice(1, 2 * frames, 2)
    rough, times = np.ascontiguousarray(rough[centres]), np.ascontiguousarray(times[centres])
    refined = world().stonemask(samples, rough, times, sampling_rate)
    return np.where((refined >= FLOOR_HZ) & (refined <= CEIL_HZ), refined, 0).astype(np.float32)
