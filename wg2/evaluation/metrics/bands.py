"""Log-spectral distance by band: 0-4, 4-8 and 8-12 kHz, of two waveforms of the same timing.

Gray & Markel, "Distance measures for speech processing", 1976, as `wg2.evaluation.spectral` defines it. It wants the
same durations (copy-synthesis): elsewhere it would measure the pace.

Shapes: S samples.
"""

import numpy as np
from numpy.typing import NDArray

from wg2.evaluation.spectral import spectral_distance

NAMES = ("lsd_0_4", "lsd_4_8", "lsd_8_12")


def band_distances(
    reference: NDArray[np.float32], synthesis: NDArray[np.float32], sampling_rate: int
) -> dict[str, float]:
    """The distance (dB) in each band that the sampling rate has, of two waveforms [S] of one timing."""
    return dict(zip(NAMES, spectral_distance(reference, synthesis, sampling_rate).bands, strict=False))
