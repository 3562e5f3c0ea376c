"""A world whose score is known: clean samples are N(mean, variance), so the best prediction has a closed form."""

import math

import numpy as np
import torch


class GaussianToy:
    def __init__(self, mean: float = 0.0, variance: float = 1.0) -> None:
        self.mean, self.variance = mean, variance

    def denoise(self, noisy, noise_level):
        """E[eps | y_n] for y_n = a x + s eps: s (y_n - a mean) / (a^2 variance + s^2)."""
        level = noise_level.double()[:, None]
        return ((1 - level**2).sqrt() * (noisy.double() - level * self.mean) / self.marginal_variance(level)).to(noisy)

    def marginal_variance(self, level):
        return level**2 * self.variance + 1 - level**2


def spectral_error_db(betas) -> float:
    """Mean error in dB of DDPM's output variance, over bands whose variance is -65 .. -10 dB, with the exact score.

    Everything is linear, so the variance follows a recursion and nothing is drawn.
    """
    wanted = np.logspace(-6.5, -1, 45)
    abar = np.concatenate([[1.0], np.cumprod(1 - np.array(betas))])
    variance = np.ones_like(wanted)
    for step in range(len(betas), 0, -1):
        beta, noise_variance = betas[step - 1], 1 - abar[step]
        gain = (1 - beta / (abar[step] * wanted + noise_variance)) / math.sqrt(1 - beta)
        added = 0.0 if step == 1 else (1 - abar[step - 1]) / noise_variance * beta
        variance = gain**2 * variance + added
    return float(np.abs(10 * np.log10(variance / wanted)).mean())


def steady_noise(rows: int, samples: int, seed: int = 0):
    """Noise by step, float64, the same for every sampler that asks."""

    def noise(step):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        return torch.randn(rows, samples, dtype=torch.float64, generator=generator)

    return noise
