"""The spectrum that a text makes one expect: an envelope from the features, with ridges at the harmonics of F0.

Shapes: `B` batch, `T` frames, `K` bins, `C` channels.

    log E(t, k) = envelope(t, k) + softplus(depth(t, k)) * comb(t, k)
    comb(t, k)  = cos(2 pi f_k / F0(t)) where frame t is voiced, else 0

Denoising begins from this expectation (`wg2.model.spectral`). A prior that depends on the text is PriorGrad's idea (Lee
et al., 2021); a periodic one is PeriodGrad's (Hono et al., 2024). It is trained in the place of WaveGrad 2's multi-task
mel loss, by the quantile loss of log spectra ("pinball" loss, Koenker & Bassett, 1978) at the quantile where a complex
Gaussian has its root mean square, which is what denoising needs. An L1 loss finds the median, 1.6 dB below.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOR = 1e-3
"""Smallest magnitude before the logarithm: -110 dB below a full-scale sine. Silence stays finite."""

RMS_QUANTILE = 1.0 - math.exp(-1.0)
"""Share of the magnitudes of complex Gaussian numbers that lie below their root mean square."""

_TYPICAL = (-2.0, -4.0)
"""Log magnitude at 0 Hz and at half the sampling rate where training begins: about the mean of speech."""


class HarmonicPrior(nn.Module):
    """Expected log magnitudes of an STFT."""

    harmonics: Tensor

    def __init__(self, channels: int, bins: int, sampling_rate: int) -> None:
        """Build it.

        Args:
            channels: C of the frame features.
            bins: K of the STFT.
            sampling_rate: of the voice, Hz.
        """
        super().__init__()
        self.envelope, self.depth = nn.Linear(channels, bins), nn.Linear(channels, bins)
        for layer in (self.envelope, self.depth):
            nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(self.depth.bias, -1.0)
        self.envelope.bias.data.copy_(torch.linspace(*_TYPICAL, bins))
        self.register_buffer("frequencies", torch.linspace(0, sampling_rate / 2, bins), persistent=False)

    def forward(self, features: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """Log magnitudes and comb, each [B, T, K], from features [B, T, C] and F0 in Hz, 0 where unvoiced, [B, T]."""
        comb = self.comb(f0)
        log_spectrum = self.envelope(features).to(comb.dtype)
        return log_spectrum + F.softplus(self.depth(features).to(comb.dtype)) * comb, comb

    def comb(self, f0: Tensor) -> Tensor:
        """1 on the harmonics of `f0` (Hz, [B, T]), -1 between them, 0 where it is unvoiced: [B, T, K]."""
        voiced = (f0 > 0)[..., None]
        cycles = self.get_buffer("frequencies") / torch.where(voiced, f0[..., None], 1.0)
        return torch.where(voiced, (2 * math.pi * cycles).cos(), 0.0)


def log_magnitude(spectra: Tensor) -> Tensor:
    """Log of the magnitudes of complex spectra, at least log(`FLOOR`)."""
    return spectra.abs().clamp_min(FLOOR).log()


def spectrum_loss(log_spectrum: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean quantile loss, at `RMS_QUANTILE`, of log magnitudes [B, T, K] over the frames of `mask` [B, T]; a scalar.

    Twice the usual one, so that a quantile of 1/2 is the mean absolute error; nepers.
    """
    error = wanted - log_spectrum
    costs = 2.0 * torch.maximum(RMS_QUANTILE * error, (RMS_QUANTILE - 1.0) * error).mean(dim=-1)
    return torch.where(mask, costs, 0.0).sum() / mask.sum().clamp_min(1)
