"""What the averaged weights make of held-out windows, with fixed noise at fixed noise levels.

Shapes: B windows, S samples.
"""

import torch
from torch import Tensor

from wg2.dataset.loader import Batch
from wg2.diffusion.noise import gaussian
from wg2.diffusion.objective import duration_loss, noise_loss, q_sample
from wg2.model.wavegrad2 import WaveGrad2
from wg2.training.terms import scored_samples

VALIDATION_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels (sqrt of alpha bar) of the validation: `val/noise` is the mean over them."""

_SEED = 3
"""Of the first window's noise; the next ones follow."""


@torch.inference_mode()
def errors(model: WaveGrad2, hop: int, batch: Batch, first: int) -> Tensor:
    """Sums over one batch: absolute error by noise level, duration error, exp(duration residual); samples and tokens.

    Args:
        model: in evaluation mode.
        hop: samples of a frame.
        batch: on the model's device.
        first: number of its first window among all; with it, the noise of each window follows.
    """
    size, length = batch.waveform.shape
    samples = batch.scored_frames.sum() * hop
    seeds = torch.arange(size, device=batch.waveform.device) + (_SEED + first)
    sums = []
    hidden = model.encode(batch.token_ids, batch.token_mask)
    log_durations = model.predict_durations(hidden, batch.token_mask)
    for stream, level in enumerate(VALIDATION_LEVELS):
        eps, levels = gaussian(seeds, stream, length), torch.full((size,), level, device=batch.waveform.device)
        prediction = model.windows(
            hidden, batch.durations, batch.token_mask, q_sample(batch.waveform, levels, eps),
            levels, batch.window_start, batch.window_frames, f0=batch.f0,
        )  # fmt: skip
        sums.append(noise_loss(eps, prediction.eps, scored_samples(batch, prediction.sample_mask, hop)) * samples)
    tokens = batch.token_mask.sum()
    sums.append(duration_loss(log_durations, batch.durations, batch.token_mask) * tokens)
    ratios = (1 + batch.durations) * torch.exp(-log_durations.float())
    sums.append(torch.where(batch.token_mask, ratios, 0.0).sum())
    return torch.stack([*sums, samples, tokens]).double().cpu()
