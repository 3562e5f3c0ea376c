"""The spectral decoder: hidden features and a noisy waveform to the clean waveform, in the domain of an STFT.

Shapes: `B` batch, `T` frames, `S` = T * samples_per_frame samples, `K` bins, `C` channels of the hidden features, `D`
channels of the network.

At a noise level a, with s = sqrt(1 - a^2), the STFT of the noisy waveform is Z = a Y + N, where N has the power
n^2 = s^2 sum(w^2) in each bin. The text says what magnitude E to expect of Y (`wg2.model.prior`). Each bin is
preconditioned as EDM does a whole image (Karras et al., 2022, table 1), with E for the deviation of the data:

    Y_hat = c_skip Z + c_out F(c_in Z, features, comb, level)
    c_in = (a^2 E^2 + n^2)^(-1/2)    c_skip = a E^2 / (a^2 E^2 + n^2)    c_out = E n (a^2 E^2 + n^2)^(-1/2)

The network's input and its target have unit variance in every bin at every level; F = 0 is the posterior mean of a
Gaussian signal with the spectrum E. So F has to find only what the prior does not know:

    F = R + G c_in Z

with a complex R and a real gain G for each bin. The network is narrower than the spectrum is, so a correction of the
gain in each bin, which every speech enhancement by a mask makes, cannot pass through it: without G, bins that are
louder than E stayed too soft (docs/LOG.md). It hears the whitened bins and their log power, as such systems do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wg2.config import SpectralConfig
from wg2.diffusion.objective import noise_scale
from wg2.diffusion.spectral import unknown_deviation
from wg2.model.blocks import encode_noise_level
from wg2.model.convnext import ConvNeXtStack
from wg2.model.decoder import Decoder, ReceptiveField
from wg2.model.pitch import log_pitch
from wg2.model.prior import HarmonicPrior
from wg2.model.stft import Stft

LEVEL_CHANNELS = 128
"""Sines and cosines of the noise level."""

LEVEL_RANK = 32
"""Directions in which scale and shift of all blocks vary with the noise level, which is one number."""

LEVEL_SCALE = 1000.0
"""Place on the straight path from noise to signal, 0 to 1, is multiplied by this before its sinusoids."""

SIGNAL_RATIO = 10.0
"""Amplitude of white noise of variance 1 over that of speech: where signal and noise are equal is the path's middle."""


@dataclass(frozen=True)
class SpectralCache:
    """What does not depend on the noisy waveform, computed once for all denoising steps.

    `log_spectrum` is the prior's, with its gradient, and `power` E^2 without one, both [B, T, K]; `given` is the
    network's first layer on features and comb, [B, T, D]; `films` are scale and shift of all blocks, [B, T, 2 D
    blocks]; `mask` is [B, T, 1]; `energy` and `coverage` are the STFT's.
    """

    log_spectrum: Tensor
    power: Tensor
    given: Tensor
    films: Tensor
    mask: Tensor | None
    energy: Tensor
    coverage: Tensor


class SpectralDecoder(Decoder):
    """Clean waveform by a network at the frame rate."""

    chunk_frames = {"cpu": 1600, "cuda": 16_000}  # noqa: RUF012
    needs_pitch = True

    def __init__(self, config: SpectralConfig, in_channels: int, sampling_rate: int) -> None:
        """Build it.

        Args:
            config: sizes of STFT and network.
            in_channels: channels C of the hidden features.
            sampling_rate: of the waveform, Hz.
        """
        super().__init__()
        self.samples_per_frame = config.samples_per_frame
        self.receptive_field = receptive_field(config)
        self.stft = Stft(config.overlap * config.samples_per_frame, config.samples_per_frame)
        self.macs_per_frame = macs_per_frame(config, self.stft.bins)
        self.prior = HarmonicPrior(in_channels, self.stft.bins, sampling_rate)
        self.hear_pitch = nn.Linear(2, in_channels)
        self.network = SpectralNetwork(config, in_channels, self.stft.bins)

    def compute_in(self, dtype: torch.dtype) -> "SpectralDecoder":
        """The network in `dtype`: STFT, prior and preconditioning need their precision."""
        self.network.to(dtype)
        return self

    def condition(self, features: Tensor, frame_mask: Tensor | None = None, f0: Tensor | None = None) -> SpectralCache:
        """As every decoder's."""
        self.check_pitch(f0)
        assert f0 is not None
        log_spectrum, comb = self.prior(features, f0)
        heard = features + self.hear_pitch(torch.stack(log_pitch(f0), dim=-1).to(features.dtype))
        given, films = self.network.condition(heard, comb)
        num_frames = features.shape[1]
        mask = None if frame_mask is None else frame_mask[..., None].to(given.dtype)
        geometry = self.stft.energy(num_frames, frame_mask), self.stft.coverage(num_frames, frame_mask)
        return SpectralCache(log_spectrum, (2 * log_spectrum.detach()).exp(), given, films, mask, *geometry)

    def denoise(self, noisy: Tensor, noise_level: Tensor, cache: SpectralCache) -> Tensor:
        """As every decoder's: what is left when the clean waveform is taken away."""
        level = noise_level.to(noisy.dtype)[:, None]
        noise: Tensor = (noisy - level * self.clean(noisy, noise_level, cache)) / noise_scale(level)
        return noise if cache.mask is None else noise * self._samples(cache.mask, noise)

    def clean(self, noisy: Tensor, noise_level: Tensor, cache: SpectralCache) -> Tensor:
        """The clean waveform, [B, S], from the noisy one [B, S] and the noise level [B]."""
        self.check_length(noisy, *cache.power.shape[:2])
        if cache.mask is not None:
            noisy = noisy * self._samples(cache.mask, noisy)
        level = noise_level.to(noisy.dtype)[:, None, None]
        noise = noise_scale(level).square() * cache.energy
        total = level.square() * cache.power + noise
        spectra = self.stft(noisy)
        real, imaginary = self.network(spectra * total.rsqrt(), path_place(noise_level), cache)
        skipped = level * cache.power / total * spectra
        found = skipped + unknown_deviation(cache.power, noise, level) * torch.complex(real, imaginary)
        return self.stft.inverse(found if cache.mask is None else found * cache.mask.to(level.dtype), cache.coverage)

    def _samples(self, mask: Tensor, like: Tensor) -> Tensor:
        return mask.squeeze(-1).to(like.dtype).repeat_interleave(self.samples_per_frame, dim=1)


class SpectralNetwork(nn.Module):
    """ConvNeXt blocks at the frame rate, their scale and shift from features and noise level."""

    def __init__(self, config: SpectralConfig, in_channels: int, bins: int) -> None:
        super().__init__()
        width, films = config.channels, 2 * config.channels * config.blocks
        self.enter_noisy = nn.Linear(3 * bins, width)
        self.enter_given = nn.Linear(in_channels + bins, width)
        self.film = nn.Linear(in_channels, films)
        of_level = nn.Linear(LEVEL_RANK, films)
        self.level = nn.Sequential(
            nn.Linear(LEVEL_CHANNELS, in_channels),
            nn.SiLU(),
            nn.Linear(in_channels, in_channels),
            nn.SiLU(),
            nn.Linear(in_channels, LEVEL_RANK),
            of_level,
        )
        self.blocks = ConvNeXtStack(config.blocks, width, config.kernel_size, config.expansion)
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, 3 * bins)
        for layer in (self.film, of_level):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.zeros_(self.leave.bias)

    def condition(self, heard: Tensor, comb: Tensor) -> tuple[Tensor, Tensor]:
        """What features [B, T, C] and comb [B, T, K] contribute: [B, T, D] and [B, T, 2 D blocks]."""
        heard = heard.to(self.leave.weight.dtype)
        return self.enter_given(torch.cat((heard, comb.to(heard.dtype)), dim=-1)), self.film(F.silu(heard))

    def forward(self, whitened: Tensor, place: Tensor, cache: SpectralCache) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of F, each [B, T, K].

        Args:
            whitened: complex, of unit variance, [B, T, K].
            place: on the path from noise to signal, in (0, 1), [B].
            cache: what `SpectralDecoder.condition` found.
        """
        real, imaginary = whitened.real, whitened.imag
        log_power = torch.log1p(real.square() + imaginary.square())
        parts = torch.cat((real, imaginary, log_power), dim=-1).to(self.leave.weight.dtype)
        x = self.enter_noisy(parts) + cache.given
        level = self.level(encode_noise_level(place, LEVEL_CHANNELS, LEVEL_SCALE).to(parts.dtype))
        x = self.blocks(x if cache.mask is None else x * cache.mask, cache.mask, self._films(cache.films, level))
        rest_real, rest_imaginary, gain = self.leave(self.norm(x)).to(real.dtype).chunk(3, dim=-1)
        return torch.addcmul(rest_real, gain, real), torch.addcmul(rest_imaginary, gain, imaginary)

    def _films(self, given: Tensor, level: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Scale and shift of each block in turn."""
        blocks = len(self.blocks)
        for of_text, of_level in zip(given.chunk(blocks, dim=-1), level[:, None].chunk(blocks, dim=-1), strict=True):
            scale, shift = (of_text + of_level).chunk(2, dim=-1)
            yield scale, shift


def path_place(noise_level: Tensor) -> Tensor:
    """Where a noise level lies between noise, 0, and signal, 1: t with t / (1 - t) = a / (SIGNAL_RATIO s), [B].

    A straight path x = (1 - t) e / SIGNAL_RATIO + t y has this t (flow matching, Lipman et al., 2022). The noise level
    itself hardly changes where little noise is left.
    """
    signal = noise_level.double()
    return signal / (signal + SIGNAL_RATIO * noise_scale(signal))


def receptive_field(config: SpectralConfig) -> ReceptiveField:
    """Exactly: a window of the STFT, the blocks' convolutions, and a window of its inverse."""
    hop, margin = config.samples_per_frame, (config.overlap - 1) * config.samples_per_frame // 2
    reach = config.blocks * (config.kernel_size // 2)
    window = -(-margin // hop)
    # A sample's last window ends `margin` behind the frame that the window belongs to; so does the first, mirrored.
    furthest = max((sample + margin) // hop * hop + hop - 1 + margin - sample for sample in range(hop))
    return ReceptiveField(furthest + reach * hop, 2 * window + reach, window + reach)


def macs_per_frame(config: SpectralConfig, bins: int) -> int:
    """Multiply-accumulates of one denoising step; what `condition` does once is left out."""
    width = config.channels
    block = width * (config.kernel_size + 2 * config.expansion * width)
    return 6 * bins * width + config.blocks * block
