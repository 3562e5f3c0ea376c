"""Errors of the fundamental frequency: RMSE of its logarithm, and of the decision whether there is one.

F0 by DIO, refined by StoneMask (Morise, Kawahara & Katayose, 2009; Morise, Yokomori & Ozawa, "WORLD", IEICE 2016;
`pyworld`), every 10 ms, 71 to 800 Hz. Frames are paired by the alignment of the spectra (`cepstrum.align`).

    log-F0 RMSE     sqrt(mean of (ln f - ln f')^2) over the pairs that are both voiced; 0.0578 is a semitone
    voicing error   share of the pairs of which exactly one is voiced (Nakatani et al., 2008)

Shapes: S samples, T and U frames of two clips.
"""

import numpy as np
from numpy.typing import NDArray

from wg2.dataset.pitch import world
from wg2.evaluation.metrics.cepstrum import FRAME_S, Path


def f0(waveform: NDArray[np.float32], sampling_rate: int) -> NDArray[np.float64]:
    """Fundamental frequency (Hz) of each frame of `waveform` [S], 0 where it is unvoiced, [T]."""
    pyworld = world()
    samples = waveform.astype(np.float64)
    rough, times = pyworld.dio(samples, sampling_rate, frame_period=1000 * FRAME_S)
    refined: NDArray[np.float64] = pyworld.stonemask(samples, rough, times, sampling_rate)
    return refined


def pitch_errors(reference: NDArray[np.float64], synthesis: NDArray[np.float64], path: Path) -> dict[str, float]:
    """`log_f0_rmse` and `voicing_error` of two contours, [T] and [U], along a path.

    The first is left out where no pair is voiced on both sides.
    """
    first = reference[np.minimum(path[:, 0], len(reference) - 1)]  # a clip's spectra may be one frame more
    second = synthesis[np.minimum(path[:, 1], len(synthesis) - 1)]
    both = (first > 0) & (second > 0)
    errors = {"voicing_error": float(((first > 0) != (second > 0)).mean())}
    if both.any():
        errors["log_f0_rmse"] = float(np.sqrt(np.square(np.log(first[both] / second[both])).mean()))
    return errors
