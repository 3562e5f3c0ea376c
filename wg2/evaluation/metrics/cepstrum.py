"""Mel-cepstral distortion along the best alignment, and that alignment.

Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", PACRIM 1993:

    MCD = 10 / ln 10 * sqrt(2 * sum over d = 1..24 of (c_d - c'_d)^2)  dB,

c_0, the level, being left out. Here c is the cosine transform of the log amplitude in 80 mel bands (25 ms Hann windows,
10 ms apart), scaled so that the log amplitude is the sum of c_d cos(...): the figure is the RMS difference in dB of two
smoothed envelopes. (An all-pass mel-cepstrum, as SPTK's, gives other absolute figures: compare only with its like.)

The frames are paired by dynamic time warping with the Euclidean distance of c (Sakoe & Chiba, 1978; `librosa`), and
the mean goes over the path.

Shapes: S samples, T and U frames of two clips, P steps of a path.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

ORDER = 24
"""The last coefficient."""
FRAME_S = 0.010
"""Distance of frames, seconds."""
_WINDOW_S, _MELS = 0.025, 80
_FLOOR_DB = -80.0  # relative to the clip's loudest band: digital silence must not decide

Path = NDArray[np.int64]
"""Pairs of frames of a reference and of a synthesis, [P, 2], from the first to the last."""


def mel_cepstrum(waveform: NDArray[np.float32], sampling_rate: int) -> NDArray[np.float64]:
    """c_1 to c_24 of each frame of `waveform` [S], [T, 24]."""
    from librosa import feature

    window, hop = round(_WINDOW_S * sampling_rate), round(FRAME_S * sampling_rate)
    n_fft = 1 << (window - 1).bit_length()
    power = feature.melspectrogram(y=waveform.astype(np.float64), sr=sampling_rate, n_fft=n_fft, hop_length=hop,
                                   win_length=window, n_mels=_MELS, pad_mode="constant")  # fmt: skip
    floor = max(float(power.max(initial=0.0)) * 10 ** (_FLOOR_DB / 10), np.finfo(np.float64).tiny)
    log_amplitude = 0.5 * np.log(power + floor)
    cepstrum: NDArray[np.float64] = dct(log_amplitude, axis=0)[1 : ORDER + 1].T / _MELS  # dct is twice the sum
    return cepstrum


def align(reference: NDArray[np.float64], synthesis: NDArray[np.float64]) -> Path:
    """The path of least distance through two clips' cepstra, [T, 24] and [U, 24]."""
    from librosa.sequence import dtw

    _, path = dtw(X=reference.T, Y=synthesis.T, metric="euclidean")
    return np.asarray(path[::-1], dtype=np.int64)


def mel_cepstral_distortion(reference: NDArray[np.float64], synthesis: NDArray[np.float64], path: Path) -> float:
    """Mean over the path, dB, of two clips' cepstra, [T, 24] and [U, 24]."""
    difference = reference[path[:, 0]] - synthesis[path[:, 1]]
    return float(10 / np.log(10) * np.sqrt(2 * np.square(difference).sum(axis=1)).mean())
