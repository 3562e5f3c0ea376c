"""The spectral objective: the clean signal, its error weighed bin by bin; and the noise levels that it is trained at.

Shapes: `B` batch, `S` samples, `T` frames, `K` bins of an STFT.

The error's power in each bin is divided by the deviation that is to be expected there of what is unknown: of a Gaussian
signal with the deviation E that the text makes one expect, heard in noise of deviation n at the level a,

    E n / (a^2 E^2 + n^2)^(1/2)

So loud bins do not drown quiet ones, nor much noise little noise. Flow2GAN (arXiv 2512.23278) divides by the root of
the recording's own power instead. That power is not known when the signal is estimated, and the best estimate
E[Y w | Z] / E[w | Z] with a weight w = 1 / |Y| is up to two times too small where the signal is uncertain: speech came
out 5 to 7 dB too soft and dull (docs/LOG.md). A weight that does not depend on the recording leaves the posterior mean
E[Y | Z] the best estimate.
"""

import torch
from torch import Tensor

from wg2.diffusion.objective import noise_scale
from wg2.diffusion.schedule import Schedule

LARGEST_WEIGHT = 100.0
"""Of a bin; the smallest is its inverse."""


def clean_from_eps(noisy: Tensor, eps: Tensor, noise_level: Tensor) -> Tensor:
    """The clean waveform that a noise implies: (noisy - s eps) / a, [B, S], with the noise level a [B]."""
    level = noise_level.reshape(-1, 1)
    return (noisy - noise_scale(level) * eps) / level


def spectral_loss(error: Tensor, deviation: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean over bins and frames of the error's power over its expected deviation.

    Args:
        error: of the clean estimate, its STFT, complex, [B, T, K].
        deviation: `unknown_deviation`, [B, T, K].
        frame_mask: true for the frames that count, [B, T].
    Returns:
        A scalar; 0 if nothing counts.
    """
    weight = deviation.reciprocal().clamp(1.0 / LARGEST_WEIGHT, LARGEST_WEIGHT)
    by_frame = ((error.real.square() + error.imag.square()) * weight).mean(dim=-1)
    return torch.where(frame_mask, by_frame, 0.0).sum() / frame_mask.sum().clamp_min(1)


def unknown_deviation(power: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Deviation of a Gaussian signal, given it in noise: c_out of EDM (Karras et al., 2022, table 1), [B, T, K].

    Args:
        power: E^2 of the signal, [B, T, K].
        noise: n^2 of the noise, of a shape that broadcasts.
        level: a, sqrt of alpha bar, [B, 1, 1].
    """
    return (power * noise / (level.square() * power + noise)).sqrt()


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
    return levels.clamp(schedule.terminal_level, schedule.first_level).float()
