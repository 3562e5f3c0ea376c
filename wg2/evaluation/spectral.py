"""How far the spectrum of one waveform is from another's, by band: what a schedule search minimises.

Shapes: S samples, T frames, C cells.

The distance of two waveforms of the same timing is a log-spectral distance (Gray & Markel, 1976) at three resolutions.
For each window length (10, 25 and 80 ms, Hann, a quarter of it apart) the power spectrum is summed in cells of 250 Hz,
a floor of 60 dB below the reference's mean cell is added, and the difference of the two in dB is taken. A frame's
distance is the root of the mean square over the cells of a band, a band's the mean over frames and resolutions.

Cells instead of single bins: the fine structure of a fricative is chance, two draws of the same noise would differ by
7 dB in each bin.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOWS_S = (0.010, 0.025, 0.080)
"""Lengths of the analysis windows, seconds."""
CELL_HZ = 250.0
"""Width of what is compared."""
FLOOR_DB = -60.0
"""Relative to the mean power of the reference's cells; what is quieter does not count."""
BAND_HZ = 4000.0
"""Bands are 0-4, 4-8 and 8-12 kHz at 24 kHz; the last one ends at half the rate."""


@dataclass(frozen=True)
class Distance:
    """Spectral distance.

    Attributes:
        bands: dB in each band of `BAND_HZ`, the lowest first.
    """

    bands: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the bands, which count alike, dB."""
        return float(np.mean(self.bands))


def spectral_distance(reference: NDArray[np.float32], synthesis: NDArray[np.float32], sampling_rate: int) -> Distance:
    """The distance of two waveforms of the same timing; what the longer one has more is not compared.

    Args:
        reference: a recording, [S].
        synthesis: the same with the same durations, [S'].
        sampling_rate: Hz, of both.
    """
    length = min(len(reference), len(synthesis))
    by_window = [
        _by_band(_cells(reference[:length], size, sampling_rate), _cells(synthesis[:length], size, sampling_rate))
        for size in (max(2, round(seconds * sampling_rate)) for seconds in WINDOWS_S)
    ]
    return Distance(tuple(np.mean(by_window, axis=0).tolist()))


def mean_distance(distances: list[Distance]) -> Distance:
    """Over several utterances, each counting alike."""
    return Distance(tuple(np.mean([distance.bands for distance in distances], axis=0).tolist()))


def _by_band(reference: NDArray[np.float64], synthesis: NDArray[np.float64]) -> list[float]:
    floor = max(reference.mean() * 10 ** (FLOOR_DB / 10), np.finfo(np.float64).tiny)
    difference = 10 * np.log10((synthesis + floor) / (reference + floor))
    width = round(BAND_HZ / CELL_HZ)
    bands = [difference[:, start : start + width] for start in range(0, difference.shape[1], width)]
    return [float(np.sqrt(np.square(band).mean(axis=1)).mean()) for band in bands]


def _cells(waveform: NDArray[np.float32], size: int, sampling_rate: int) -> NDArray[np.float64]:
    """Power in cells of `CELL_HZ`, [T, C]: of frames around every quarter of a window."""
    padded = np.pad(waveform.astype(np.float64), (size // 2, size - size // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: max(1, size // 4)]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size + 1)[:-1]))) / size
    cells = (np.fft.rfftfreq(size, 1 / sampling_rate) // CELL_HZ).astype(np.int64)
    last = max(1, int(sampling_rate / 2 // CELL_HZ))  # the bin of half the rate belongs to the cell below it
    sums: NDArray[np.float64] = np.add.reduceat(power, _starts(np.minimum(cells, last - 1)), axis=1)
    return sums


def _starts(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of each cell's first bin."""
    return np.flatnonzero(np.diff(cells, prepend=-1))
