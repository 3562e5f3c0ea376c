"""The spectral objective: the clean signal, its error weighed band by band; and the noise levels that it is trained at.

Shapes: `B` batch, `S` samples, `T` frames of `hop` samples, `K` bins, `M` bands.

The error's power in each of `BANDS` linear bands is divided by the root of the recording's power there, so that loud
bands do not drown quiet ones (Flow2GAN, arXiv 2512.23278, uses the same division).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from wg2.diffusion.objective import noise_scale
from wg2.diffusion.schedule import Schedule

BANDS = 256
"""Linear bands between 0 Hz and half the sampling rate."""

SIZE = 1024
"""Samples of the analysis window."""

_FLOOR = 1e-7
"""Least power of a band: silence."""
_LARGEST = 100.0
"""Largest weight of a band; the smallest is its inverse."""


def clean_from_eps(noisy: Tensor, eps: Tensor, noise_level: Tensor) -> Tensor:
    """The clean waveform that a noise implies: (noisy - s eps) / a, [B, S], with the noise level a [B]."""
    level = noise_level.reshape(-1, 1)
    return (noisy - noise_scale(level) * eps) / level


def spectral_loss(error: Tensor, waveform: Tensor, frame_mask: Tensor, hop: int) -> Tensor:
    """Mean over bands and frames of the error's power over the root of the signal's.

    Args:
        error: of the clean estimate, zero where it does not count, [B, S].
        waveform: the recording, [B, S].
        frame_mask: true for the frames that count, [B, T].
        hop: samples of a frame; the windows are centred on the frames.
    Returns:
        A scalar; 0 if nothing counts.
    """
    weight = (band_power(waveform, hop) + _FLOOR).rsqrt().clamp(1.0 / _LARGEST, _LARGEST)
    by_frame = (band_power(error, hop) * weight).mean(dim=-1)
    return torch.where(frame_mask, by_frame, 0.0).sum() / frame_mask.sum().clamp_min(1)


def band_power(waveform: Tensor, hop: int) -> Tensor:
    """Power in each band around each frame's centre, [B, T, M], from [B, S]; zeros are taken beyond the edges."""
    before = (SIZE - hop) // 2
    frames = F.pad(waveform.float(), (before, SIZE - hop - before)).unfold(1, SIZE, hop)
    spectra = torch.fft.rfft(frames * torch.hann_window(SIZE, device=waveform.device))
    power: Tensor = (spectra.real.square() + spectra.imag.square()) @ filterbank().to(waveform.device)
    return power


def filterbank() -> Tensor:
    """Triangles of equal width in Hz, each from its neighbour's peak to the next one's, [K, M]."""
    centres = torch.linspace(0, SIZE // 2, BANDS + 2)
    bins = torch.arange(SIZE // 2 + 1, dtype=torch.float32)[:, None]
    rising = (bins - centres[:-2]) / (centres[1:-1] - centres[:-2])
    falling = (centres[2:] - bins) / (centres[2:] - centres[1:-1])
    return torch.minimum(rising, falling).clamp_min(0.0)


def sample_log_normal_level(schedule: Schedule, normal: Tensor, mean: float, std: float) -> Tensor:
    """Draw noise levels whose log SNR is normally distributed (EDM, Karras et al., 2022, section 5).

    Args:
        schedule: the training schedule; draws beyond its levels are moved to the nearest.
        normal: standard normal random numbers, [B].
        mean: of log(a / s), half the log SNR.
        std: its standard deviation.
    Returns:
        sqrt of alpha bar, [B], float32, within the schedule's levels.
    """
    log_ratio = mean + std * normal.double()
    levels = torch.sigmoid(2 * log_ratio).sqrt()
    return levels.clamp(schedule.terminal_level, float(schedule.noise_levels[1])).float()
