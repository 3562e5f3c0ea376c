"""The multi-task loss: a log-mel spectrogram predicted from the hidden features, in training only.

Shapes: B windows, S samples, T frames of `hop` samples, C channels, M mel bands.

WaveGrad 2 (Chen et al., 2021) reports +0.02 MOS from it and publishes no details; these are ours. The head is no part
of the voice: it is trained and saved with the state, and dropped with it.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BANDS = 80
"""Mel bands, between 0 Hz and half the sampling rate."""

FLOOR = 1e-5
"""Smallest magnitude before the logarithm: silent padding stays finite."""

TYPICAL = -6.0
"""Where predictions start: about the mean of speech, so that the first steps do not go into finding the level."""

MARGIN = 2
"""Frames at a window's edges whose analysis window of 4 hops would reach beyond it."""


def make_head(channels: int) -> nn.Module:
    """One linear layer: what the features must then carry by themselves, [B, T, C] -> [B, T, M]."""
    head = nn.Linear(channels, BANDS)
    nn.init.constant_(head.bias, TYPICAL)
    return head


def log_mel(waveform: Tensor, hop: int, sampling_rate: int) -> Tensor:
    """Log of the mel magnitudes around each frame's centre, [B, S] -> [B, T, M]; zeros are taken beyond the edges."""
    size = 4 * hop
    window = torch.hann_window(size, device=waveform.device)
    padded = F.pad(waveform.float(), (size // 2 - hop // 2, size // 2))
    frames = padded.unfold(1, size, hop)[:, : waveform.shape[1] // hop]
    magnitude = torch.fft.rfft(frames * window).abs() * (2.0 / size)
    bands: Tensor = magnitude @ filterbank(size, sampling_rate).to(magnitude, non_blocking=True)
    return bands.clamp_min(FLOOR).log()


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # the next one to ask may want gradients
def filterbank(size: int, sampling_rate: int) -> Tensor:
    """Triangles of equal width on the mel scale 2595 log10(1 + f / 700), [size // 2 + 1, M], each with sum 1.

    A triangle narrower than a bin of the transform takes the nearest bin.
    """
    highest = 2595 * torch.log10(torch.tensor(1 + sampling_rate / 1400, dtype=torch.float64))
    edges = 700 * (10 ** (torch.linspace(0, 1, BANDS + 2, dtype=torch.float64) * highest / 2595) - 1)
    places = torch.linspace(0, sampling_rate / 2, size // 2 + 1, dtype=torch.float64)[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    weights = torch.minimum(rising, falling).clamp_min(0.0)
    nearest = F.one_hot((places - edges[1:-1]).abs().argmin(dim=0), len(places)).T
    weights = torch.where(weights.sum(dim=0) > 0, weights, nearest.double())
    return (weights / weights.sum(dim=0)).float()


def compared_frames(sample_mask: Tensor, hop: int) -> Tensor:
    """True for the frames that are compared, [B, T]: those with sound, but for the margins; from [B, S]."""
    frames = sample_mask[:, ::hop].clone()
    frames[:, :MARGIN] = False
    frames[:, -MARGIN:] = False
    return frames


def mel_loss(predicted: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error over the frames of the mask [B, T]; a scalar, 0 if there are none."""
    error = (predicted.to(wanted.dtype) - wanted).abs().mean(dim=-1)
    return torch.where(mask, error, 0.0).sum() / mask.sum().clamp_min(1)
