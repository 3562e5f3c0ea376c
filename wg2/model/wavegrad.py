"""The WaveGrad decoder: hidden features and a noisy waveform to the noise in it.

Shapes: `B` batch, `T` frames, `S` = T * samples_per_frame samples, `C` channels of the hidden features.

The trunk carries the hidden features up to the waveform's rate through UBlocks; the down path carries the noisy
waveform down through DBlocks; at each rate a FiLM turns the latter and the noise level into a scale and a shift for the
former.

Sources: WaveGrad (Chen et al., 2020), appendix A; WaveGrad 2 (Chen et al., 2021), section 2.3 and figure 2.
"""

import operator
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from wg2.config import WaveGradConfig
from wg2.model.blocks import Conv, DBlock, FiLM, UBlock, compute_dtype
from wg2.model.decoder import Decoder
from wg2.model.receptive_field import macs_per_second, receptive_field


@dataclass(frozen=True)
class WaveGradCache:
    """What does not depend on the noisy waveform, computed once for all denoising steps.

    The first convolution and the first UBlock up to its FiLM: `main` and `residual` are
    [B, T * upsample_factors[0], up_channels[0]]. `masks` are [B, L, 1] at the frames' rate and after each UBlock.
    """

    main: Tensor
    residual: Tensor
    masks: tuple[Tensor | None, ...]
    num_frames: int


class UpStage(nn.Module):
    """A UBlock, and the one after it that does not resample in the large decoder; both obey the same FiLM."""

    def __init__(self, config: WaveGradConfig, index: int) -> None:
        super().__init__()
        inputs = (config.pre_channels, *config.up_channels)
        width, dilations = config.up_channels[index], config.up_dilations[index]
        self.enter = UBlock(inputs[index], width, config.upsample_factors[index], dilations)
        self.again = UBlock(width, width, 1, dilations) if config.large else None

    def forward(
        self, x: Tensor, scale: Tensor, shift: Tensor, low_mask: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, L, C] -> [B, L * factor, C']; `low_mask` is the input's, `mask` the output's."""
        return self.modulate(*self.enter.lift(x, low_mask, mask), scale, shift, mask)

    def modulate(
        self, main: Tensor, residual: Tensor, scale: Tensor, shift: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """What depends on scale and shift: see `UBlock.modulate`."""
        x = self.enter.modulate(main, residual, scale, shift, mask)
        return x if self.again is None else self.again.modulate(*self.again.lift(x, mask, mask), scale, shift, mask)


class WaveGradDecoder(Decoder):
    """The paper's decoder: it predicts the noise."""

    chunk_frames = {"cpu": 100, "cuda": 8000}  # noqa: RUF012
    # CPU: 1.25 s (base: about 0.5 GB), for an eighth more computing, in the halos. GPU: ten sentences of 10 s.

    def __init__(self, config: WaveGradConfig, in_channels: int) -> None:
        """Build it.

        Args:
            config: widths, factors and dilations.
            in_channels: channels C of the hidden features.
        """
        super().__init__()
        self.rates = tuple(accumulate(config.upsample_factors, operator.mul, initial=1))
        self.samples_per_frame = config.samples_per_frame
        self.receptive_field = receptive_field(config)
        self.macs_per_frame = macs_per_second(config, in_channels, config.samples_per_frame)
        self.pre = Conv(in_channels, config.pre_channels, 3)
        self.ups = nn.ModuleList(UpStage(config, index) for index in range(len(config.upsample_factors)))
        self.post = Conv(config.up_channels[-1], 1, 3)
        self.down_pre = Conv(1, config.down_pre_channels, 5)
        self.downs = nn.ModuleList(_down_stage(config, index) for index in range(len(config.down_channels)))
        film_inputs = (config.down_pre_channels, *config.down_channels)
        pairs = zip(reversed(film_inputs), config.up_channels, strict=True)
        self.films = nn.ModuleList(FiLM(down, up) for down, up in pairs)

    def freeze(self) -> "WaveGradDecoder":
        """As every decoder's; convolutions prepare their frozen weights."""
        super().freeze()
        for module in self.modules():
            if isinstance(module, Conv):
                module.freeze()
        return self

    def compute_in(self, dtype: torch.dtype) -> "WaveGradDecoder":
        """All of it."""
        return self.to(dtype)

    @property
    def _dtype(self) -> torch.dtype:
        """Of the weights, and so of what it computes."""
        return self.post.weight.dtype

    def condition(self, features: Tensor, frame_mask: Tensor | None = None, f0: Tensor | None = None) -> WaveGradCache:
        """As every decoder's."""
        self.check_pitch(f0)
        features = features.to(self._dtype)
        masks = self._masks(features, frame_mask)
        x = self.pre(features if masks[0] is None else features * masks[0], masks[0])
        main, residual = cast(UpStage, self.ups[0]).enter.lift(x, masks[0], masks[1])
        return WaveGradCache(main, residual, masks, features.shape[1])

    def denoise(self, noisy: Tensor, noise_level: Tensor, cache: WaveGradCache) -> Tensor:
        """As every decoder's."""
        self.check_length(noisy, cache.main.shape[0], cache.num_frames)
        masks = cache.masks
        films = self._films(noisy.to(self._dtype), noise_level, masks)
        x = cast(UpStage, self.ups[0]).modulate(cache.main, cache.residual, *films[0], masks[1])
        for stage, film, low_mask, mask in zip(self.ups[1:], films[1:], masks[1:], masks[2:], strict=False):
            x = stage(x, *film, low_mask, mask)
        noise: Tensor = self.post(x, masks[-1]).squeeze(-1)
        return noise.to(noisy.dtype)

    def _films(
        self, noisy: Tensor, noise_level: Tensor, masks: tuple[Tensor | None, ...]
    ) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift for each UBlock, low rate first."""
        x = noisy[:, :, None]
        x = self.down_pre(x if masks[-1] is None else x * masks[-1], masks[-1])
        films = [self.films[-1](x, noise_level, masks[-1])]
        for depth, stage in enumerate(self.downs, start=2):
            for block in cast(nn.ModuleList, stage):
                x = block(x, masks[-depth])
            films.append(self.films[-depth](x, noise_level, masks[-depth]))
        return films[::-1]

    def _masks(self, features: Tensor, frame_mask: Tensor | None) -> tuple[Tensor | None, ...]:
        """The mask at the frames' rate and after each UBlock, in the type that the convolutions compute in."""
        if frame_mask is None:
            return (None,) * len(self.rates)
        base = frame_mask[:, :, None].to(compute_dtype(features))
        return tuple(base.repeat_interleave(rate, dim=1) for rate in self.rates)


def _down_stage(config: WaveGradConfig, index: int) -> nn.ModuleList:
    """A DBlock, and the one after it that does not resample in the large decoder."""
    inputs = (config.down_pre_channels, *config.down_channels)
    width = config.down_channels[index]
    blocks = [DBlock(inputs[index], width, config.upsample_factors[-1 - index])]
    if config.large:
        blocks.append(DBlock(width, width, 1))
    return nn.ModuleList(blocks)
