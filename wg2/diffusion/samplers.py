"""Samplers: from noise to a waveform, given a model that predicts the noise in it.

Shapes: `B` batch, `S` samples. Notation: a_n = noise level n (sqrt of alpha bar), s_n = sqrt(1 - alpha_bar_n).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from wg2.diffusion.noise import NoiseFn
from wg2.diffusion.schedule import Schedule

Denoise = Callable[[Tensor, Tensor], Tensor]
"""The predicted noise [B, S] from the noisy waveform [B, S] and the noise level [B], float32."""


def sample(
    denoise: Denoise, noise: NoiseFn, schedule: Schedule, *, progress: bool = False, clamp: bool = True
) -> Tensor:
    """The paper's sampler: DDPM ancestral (Ho et al., 2020, algorithm 2; WaveGrad, algorithm 2).

    y_{n-1} = (y_n - beta_n / s_n * eps) / sqrt(1 - beta_n) + sqrt((1 - abar_{n-1}) / (1 - abar_n) * beta_n) * z, where
    z is 0 in the last step; y_N = noise(N), and the step from y_n draws noise(n - 1).

    Args:
        denoise: the model.
        noise: standard normal noise by step, which also fixes shape, device and dtype; see `wg2.diffusion.noise`.
        schedule: the steps.
        progress: show a bar.
        clamp: cut the result (not what lies before it) to [-1, 1], the range of a waveform.
    Returns:
        The waveform, [B, S].
    """
    y = noise(schedule.num_steps)
    levels = schedule.noise_levels
    with torch.inference_mode():
        for step in tqdm(
            range(schedule.num_steps, 0, -1), desc="denoise", unit="step", disable=not progress, leave=False
        ):
            level = torch.full((y.shape[0],), float(levels[step]), device=y.device)
            mean = _posterior_mean(y, denoise(y, level), schedule, step)
            y = mean if step == 1 else mean + posterior_std(schedule, step) * noise(step - 1)
    return y.clamp(-1.0, 1.0) if clamp else y


def posterior_std(schedule: Schedule, step: int) -> float:
    """Deviation of y_{n-1} given y_n and the clean waveform: sqrt((1 - abar_{n-1}) / (1 - abar_n) * beta_n)."""
    abar = schedule.alpha_bars
    variance = (1.0 - abar[step - 1]) / (1.0 - abar[step]) * schedule.betas[step - 1]
    return float(variance.sqrt())


def _posterior_mean(y: Tensor, eps: Tensor, schedule: Schedule, step: int) -> Tensor:
    beta = schedule.betas[step - 1]
    weight = beta / float((1.0 - schedule.alpha_bars[step]).sqrt())
    return (y - weight * eps) / math.sqrt(1.0 - beta)
