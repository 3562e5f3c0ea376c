"""What is trained: the noise at a continuous noise level, and the durations.

Shapes: `B` batch, `S` samples, `N` tokens.

Source: WaveGrad (Chen et al., 2020), section 3 and algorithm 1; WaveGrad 2 (Chen et al., 2021), section 2.
"""

import torch
from torch import Tensor

from wg2.errors import ShapeError


def q_sample(waveform: Tensor, noise_level: Tensor, eps: Tensor) -> Tensor:
    """Noise a clean waveform: noise_level * waveform + sqrt(1 - noise_level^2) * eps (WaveGrad, eq. 8).

    Args:
        waveform: clean audio in [-1, 1], [B, S].
        noise_level: sqrt of alpha bar in (0, 1], [B] or [B, 1].
        eps: standard normal noise, [B, S].
    Returns:
        Noisy audio, [B, S].
    Raises:
        ShapeError: `eps` and `waveform` differ in shape, or there is not one level for each row.
    """
    if waveform.shape != eps.shape or noise_level.numel() != waveform.shape[0]:
        raise ShapeError(
            f"q_sample: got waveform {tuple(waveform.shape)}, eps {tuple(eps.shape)}, "
            f"noise_level {tuple(noise_level.shape)}; wanted [B, S], [B, S] and [B]"
        )
    level = noise_level.reshape(-1, 1)
    return level * waveform + noise_scale(level) * eps


def noise_scale(noise_level: Tensor) -> Tensor:
    """sqrt(1 - noise_level^2), without the cancellation near 1."""
    return ((1.0 - noise_level) * (1.0 + noise_level)).clamp_min(0.0).sqrt()


def sample_noise_level(levels: Tensor, uniform: Tensor) -> Tensor:
    """Draw noise levels as WaveGrad does: a segment uniformly, then uniformly between its two levels.

    Args:
        levels: those of the training schedule (`Schedule.noise_levels`); segments lie between neighbours, the first
            between 1 and level 1.
        uniform: random numbers in [0, 1), [B], float64, on the levels' device.
    Returns:
        sqrt of alpha bar, [B], float32, within the levels.
    """
    position = uniform * (len(levels) - 1)
    segment = position.long()
    return torch.lerp(levels[segment], levels[segment + 1], position - segment).float()


def noise_loss(eps: Tensor, eps_hat: Tensor, sample_mask: Tensor | None = None) -> Tensor:
    """Mean absolute error of the predicted noise over the valid samples (the paper's L1).

    Args:
        eps: the noise that was added, [B, S].
        eps_hat: the prediction, [B, S].
        sample_mask: true where it counts, [B, S]; None: everywhere.
    Returns:
        A scalar; 0 if nothing counts.
    """
    error = (eps - eps_hat.to(eps.dtype)).abs()
    if sample_mask is None:
        return error.mean()
    # where, not a product: what is masked may be anything, and must not reach the gradient either.
    return torch.where(sample_mask, error, 0.0).sum() / sample_mask.sum().clamp_min(1)


def duration_loss(log_durations: Tensor, durations: Tensor, token_mask: Tensor) -> Tensor:
    """Mean squared error of log(1 + frames) over the tokens (the paper's L2; its unit is ours).

    Args:
        log_durations: predicted log(1 + frames), [B, N].
        durations: true frames, [B, N].
        token_mask: [B, N].
    Returns:
        A scalar.
    """
    error = (log_durations - torch.log1p(durations.to(log_durations.dtype))).square()
    return torch.where(token_mask, error, 0.0).sum() / token_mask.sum().clamp_min(1)


def score(eps: Tensor, noise_level: Tensor) -> Tensor:
    """The gradient of the noisy waveform's log density: -eps / sqrt(1 - alpha_bar), [B, S] from [B, S] and [B]."""
    return -eps / noise_scale(noise_level.reshape(-1, 1))
