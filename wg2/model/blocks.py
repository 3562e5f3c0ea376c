"""The parts of the WaveGrad decoder: fixed-phase resampling, FiLM, UBlock, DBlock.

Shapes: `B` batch, `C` channels, `L` positions at the block's rate. A mask is [B, 1, L], 1 where there is sound; None
means that there is sound everywhere. With masks, what lies beyond the end of a row is zero before every convolution, so
a batch equals its singles; without, nothing is multiplied.

Sources: WaveGrad (Chen et al., 2020), appendix A and figures 3-5; WaveGrad 2 (Chen et al., 2021), figure 2.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Slope of every leaky ReLU below zero."""

NOISE_LEVEL_SCALE = 5000.0
"""The noise level is multiplied by this before its sinusoidal encoding (WaveGrad, appendix A)."""


def downsample(x: Tensor, factor: int) -> Tensor:
    """Take the middle of each group of `factor` positions: [B, C, L] -> [B, C, L / factor].

    The mean of the two middle ones when the factor is even: what `F.interpolate(mode="linear")` means by a factor of
    1 / factor, exact at every length.
    """
    if factor == 1:
        return x
    middle = x[..., factor // 2 :: factor]
    return middle if factor % 2 else 0.5 * (middle + x[..., factor // 2 - 1 :: factor])


def upsample(x: Tensor, factor: int, mask: Tensor | None = None) -> Tensor:
    """Linear interpolation by a whole factor; the first and the last value are held at the edges.

    What `F.interpolate(mode="linear", scale_factor=factor)` means. That function computes its positions in float32 and
    drifts with the length; here each of the `factor` phases has constant weights, so a chunk equals the whole.

    Args:
        x: [B, C, L].
        factor: how many positions come out for each.
        mask: where the rows are valid *before* upsampling, [B, 1, L]; the caller masks what comes out beyond.
    Returns:
        [B, C, L * factor].
    """
    if factor == 1:
        return x
    x = x if mask is None else _hold_last(x, mask)
    left = torch.cat((x[..., :1], x[..., :-1]), dim=-1)
    right = torch.cat((x[..., 1:], x[..., -1:]), dim=-1)
    offsets = ((phase + 0.5) / factor - 0.5 for phase in range(factor))
    phases = [torch.lerp(x, left if offset < 0 else right, abs(offset)) for offset in offsets]
    return torch.stack(phases, dim=-1).flatten(-2)


def _hold_last(x: Tensor, mask: Tensor) -> Tensor:
    """Repeat each row's last valid value once, where the interpolation looks for a right neighbour."""
    before = F.pad(mask, (1, 0))[..., :-1]
    return x * mask + F.pad(x, (1, 0))[..., :-1] * (before * (1 - mask))


def encode_noise_level(noise_level: Tensor, channels: int) -> Tensor:
    """The transformer's sinusoids of 5000 * noise level, in float32 whatever the autocast.

    In bfloat16 the argument (up to 5000) would be off by up to 8 radians.

    Args:
        noise_level: sqrt of alpha bar, [B].
        channels: even; the first half are sines, the second cosines, of wave lengths 2 pi .. 10000 * 2 pi.
    Returns:
        [B, channels], float32 (float64 for a float64 noise level).
    """
    with torch.autocast(noise_level.device.type, enabled=False):
        wide = noise_level if noise_level.dtype == torch.float64 else noise_level.float()
        half = channels // 2
        exponents = torch.arange(half, dtype=wide.dtype, device=wide.device) / half
        angles = NOISE_LEVEL_SCALE * wide[:, None] * torch.exp(-math.log(10_000.0) * exponents)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class Conv(nn.Conv1d):
    """A convolution that keeps the length, orthogonally initialised (WaveGrad, appendix A), with a masked output."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        padding = dilation * (kernel_size - 1) // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)

    def reset_parameters(self) -> None:
        """Orthogonal weights, no bias."""
        nn.init.orthogonal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, in_channels, L] -> [B, out_channels, L]."""
        y = super().forward(x)
        return y if mask is None else y * mask


class FiLM(nn.Module):
    """Scale and shift for a UBlock, from the noisy waveform at its rate and the noise level."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.enter = Conv(in_channels, in_channels, 3)
        self.scale = Conv(in_channels, out_channels, 3)
        self.shift = Conv(in_channels, out_channels, 3)

    def forward(self, x: Tensor, noise_level: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scale and shift, each [B, out_channels, L], from [B, in_channels, L] and [B]."""
        x = F.leaky_relu(self.enter(x), SLOPE)
        x = x + encode_noise_level(noise_level, x.shape[1]).to(x.dtype)[:, :, None]
        x = x if mask is None else x * mask
        return self.scale(x, mask), self.shift(x, mask)


class DBlock(nn.Module):
    """Downsample the noisy waveform's features: three dilated convolutions and a residual."""

    def __init__(
        self, in_channels: int, out_channels: int, factor: int, dilations: tuple[int, ...] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.factor = factor
        self.residual = Conv(in_channels, out_channels, 1)
        widths = (in_channels, *[out_channels] * (len(dilations) - 1))
        self.convs = nn.ModuleList(Conv(width, out_channels, 3, d) for width, d in zip(widths, dilations, strict=True))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, in_channels, L] -> [B, out_channels, L / factor]; the mask is the output's."""
        x = downsample(x, self.factor)
        residual = self.residual(x, mask)  # after downsampling: both are linear, so their order is free
        for conv in self.convs:
            x = conv(F.leaky_relu(x, SLOPE), mask)
        y: Tensor = x + residual
        return y


class UBlock(nn.Module):
    """Upsample the hidden features under FiLM: two residual blocks, the same scale and shift three times."""

    def __init__(self, in_channels: int, out_channels: int, factor: int, dilations: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.factor = factor
        self.residual = Conv(in_channels, out_channels, 1)
        self.enter = Conv(in_channels, out_channels, 3, dilations[0])
        self.convs = nn.ModuleList(Conv(out_channels, out_channels, 3, dilation) for dilation in dilations[1:])

    def forward(
        self, x: Tensor, scale: Tensor, shift: Tensor, low_mask: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, in_channels, L] -> [B, out_channels, L * factor]; `low_mask` is the input's, `mask` the output's."""
        return self.modulate(*self.lift(x, low_mask, mask), scale, shift, mask)

    def lift(self, x: Tensor, low_mask: Tensor | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What does not depend on scale and shift: the first convolution and the residual, at the high rate."""
        main = _masked(upsample(F.leaky_relu(x, SLOPE), self.factor, low_mask), mask)
        # The 1x1 convolution before its upsampling: their order is free, since interpolation weights sum to 1.
        residual = _masked(upsample(self.residual(x, low_mask), self.factor, low_mask), mask)
        return self.enter(main, mask), residual

    def modulate(
        self, main: Tensor, residual: Tensor, scale: Tensor, shift: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """What depends on scale and shift: the rest of the block, all at the high rate."""
        first, second, third = self.convs
        x: Tensor = first(_film(main, scale, shift), mask) + residual
        y: Tensor = second(_film(x, scale, shift), mask)
        y = third(_film(y, scale, shift), mask)
        return x + y


def _film(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.leaky_relu(torch.addcmul(shift, scale, x), SLOPE)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
