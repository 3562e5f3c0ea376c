"""The parts of the WaveGrad decoder: fixed-phase resampling, FiLM, UBlock, DBlock.

Shapes: `B` batch, `L` positions at the block's rate, `C` channels. Everything is [B, L, C], channels last in memory
too: a convolution then needs no reordering, which made it 1.2 to 2.5 times as fast on a CPU (docs/decisions/0002).

A mask is [B, L, 1], 1 where there is sound; None means that there is sound everywhere. With masks, what lies beyond the
end of a row is zero before every convolution, so a batch equals its singles; without, nothing is multiplied.

Sources: WaveGrad (Chen et al., 2020), appendix A and figures 3-5; WaveGrad 2 (Chen et al., 2021), figure 2.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wg2.model import winograd

SLOPE = 0.2
"""Slope of every leaky ReLU below zero."""

NOISE_LEVEL_SCALE = 5000.0
"""The noise level is multiplied by this before its sinusoidal encoding (WaveGrad, appendix A)."""


def downsample(x: Tensor, factor: int) -> Tensor:
    """Take the middle of each group of `factor` positions: [B, L, C] -> [B, L / factor, C].

    The mean of the two middle ones when the factor is even: what `F.interpolate(mode="linear")` means by a factor of
    1 / factor, exact at every length.
    """
    if factor == 1:
        return x
    middle = x[:, factor // 2 :: factor]
    return middle.contiguous() if factor % 2 else torch.lerp(middle, x[:, factor // 2 - 1 :: factor], 0.5)


def upsample(x: Tensor, factor: int, mask: Tensor | None = None) -> Tensor:
    """Linear interpolation by a whole factor; the first and the last value are held at the edges.

    What `F.interpolate(mode="linear", scale_factor=factor)` means. That function computes its positions in float32 and
    drifts with the length; here each of the `factor` phases has constant weights, so a chunk equals the whole.

    Args:
        x: [B, L, C].
        factor: how many positions come out for each.
        mask: where the rows are valid *before* upsampling, [B, L, 1]; the caller masks what comes out beyond.
    Returns:
        [B, L * factor, C].
    """
    if factor == 1:
        return x
    x = x if mask is None else _hold_last(x, mask)
    held = torch.cat((x[:, :1], x, x[:, -1:]), dim=1)
    left, right = held[:, :-2], held[:, 2:]
    offsets = [(phase + 0.5) / factor - 0.5 for phase in range(factor)]
    parts = [(left if offset < 0 else right, abs(offset)) for offset in offsets]
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.stack([torch.lerp(x, *part) for part in parts], dim=2).flatten(1, 2)
    y = x.new_empty(x.shape[0], x.shape[1], factor, x.shape[2])
    for phase, part in enumerate(parts):
        torch.lerp(x, *part, out=y[:, :, phase])  # without the copy of a stack
    return y.flatten(1, 2)


def _hold_last(x: Tensor, mask: Tensor) -> Tensor:
    """Repeat each row's last valid value once, where the interpolation looks for a right neighbour."""
    return x * mask + _shift(x, 1) * (_shift(mask, 1) * (1 - mask))


def _shift(x: Tensor, by: int) -> Tensor:
    """Move everything to later positions; zeros come in."""
    return F.pad(x, (0, 0, by, 0))[:, : x.shape[1]]


def encode_noise_level(noise_level: Tensor, channels: int, scale: float = NOISE_LEVEL_SCALE) -> Tensor:
    """The transformer's sinusoids of `scale` * noise level, at full precision whatever the autocast.

    The argument runs up to 5000: in bfloat16 it would be off by up to 8 radians, in float32 by 2e-4. It is few numbers
    for each row, so it is taken in float64 where the device has that.

    Args:
        noise_level: sqrt of alpha bar, [B].
        channels: even; the first half are sines, the second cosines, of wave lengths 2 pi .. 10000 * 2 pi.
        scale: what the level is multiplied by.
    Returns:
        [B, channels], float32 (float64 for a float64 noise level).
    """
    with torch.autocast(noise_level.device.type, enabled=False):
        wide = noise_level.float() if noise_level.device.type == "mps" else noise_level.double()
        half = channels // 2
        exponents = torch.arange(half, dtype=wide.dtype, device=wide.device) / half
        angles = scale * wide[:, None] * torch.exp(-math.log(10_000.0) * exponents)
        encoded = torch.cat((angles.sin(), angles.cos()), dim=-1)
    return encoded if noise_level.dtype == torch.float64 else encoded.float()


class Conv(nn.Conv1d):
    """A convolution that keeps the length, orthogonally initialised (WaveGrad, appendix A), with a masked output."""

    transformed: Tensor | None
    """The weights as `wg2.model.winograd` wants them, once they are frozen."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, parts: int = 1
    ) -> None:
        """Build it; `parts` equal parts of the output are initialised each on its own."""
        self.parts = parts
        padding = dilation * (kernel_size - 1) // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        self.register_buffer("transformed", None, persistent=False)

    def reset_parameters(self) -> None:
        """Orthogonal weights, no bias."""
        for part in self.weight.data.chunk(self.parts):
            nn.init.orthogonal_(part)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def freeze(self) -> None:
        """Prepare frozen weights for speed; `train()` takes it back. Weights changed afterwards would not be heard."""
        wide = min(self.in_channels, self.out_channels) >= winograd.MIN_CHANNELS
        if (
            wide
            and self.kernel_size == (3,)
            and self.weight.device.type == "cpu"
            and self.weight.dtype == torch.float32
        ):
            self.transformed = winograd.transform_weight(self.weight)

    def train(self, mode: bool = True) -> "Conv":
        """As every module's."""
        self.transformed = None if mode else self.transformed
        return super().train(mode)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, L, in_channels] -> [B, L, out_channels]."""
        if self.transformed is not None:
            return _masked(winograd.convolve(x, self.transformed, self.bias, self.dilation[0]), mask)
        if self.kernel_size == (1,):
            return _masked(F.linear(x, self.weight.squeeze(2), self.bias), mask)
        # As a convolution in 2D with one row, since torch knows channels-last memory only there.
        rows, padding, dilation = x.mT.unsqueeze(2), (0, int(self.padding[0])), (1, self.dilation[0])
        y = F.conv2d(rows, self.weight.unsqueeze(2), self.bias, padding=padding, dilation=dilation)
        return _masked(y.squeeze(2).mT, mask)

    def of_upsampled(self, x: Tensor, factor: int, low_mask: Tensor | None, mask: Tensor | None) -> Tensor:
        """`forward(upsample(x))`, with the products taken at the low rate: [B, L, in] -> [B, L * factor, out].

        Interpolation and a convolution's taps are both linear: each tap's product may be upsampled instead of the
        input. That is 1 / factor of the multiplications, and three shifted sums.
        """
        products = F.linear(x, self.weight.permute(2, 0, 1).flatten(0, 1))
        first, middle, last = _masked(upsample(products, factor, low_mask), mask).chunk(3, dim=-1)
        y = middle if self.bias is None else middle + self.bias.to(middle.dtype)  # under autocast it is float32
        reach = self.dilation[0]
        y[:, reach:] += first[:, :-reach]
        y[:, :-reach] += last[:, reach:]
        return _masked(y, mask)


class FiLM(nn.Module):
    """Scale and shift for a UBlock, from the noisy waveform at its rate and the noise level."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.enter = Conv(in_channels, in_channels, 3)
        # The convolutions for scale and for shift read the same input: one with both outputs is faster.
        self.scale_and_shift = Conv(in_channels, 2 * out_channels, 3, parts=2)

    def forward(self, x: Tensor, noise_level: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scale and shift, each [B, L, out_channels], from [B, L, in_channels] and [B]."""
        x = F.leaky_relu(self.enter(x), SLOPE, inplace=True)
        x = x + encode_noise_level(noise_level, x.shape[-1]).to(x.dtype)[:, None, :]
        scale, shift = self.scale_and_shift(_masked(x, mask), mask).chunk(2, dim=-1)
        return scale, shift


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
        """[B, L, in_channels] -> [B, L / factor, out_channels]; the mask is the output's."""
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
        # Where the products saved outweigh the memory moved: UBlocks 2 and 3 of the paper's widths.
        self.taps_at_low_rate = factor >= 3 and in_channels >= 256

    def forward(
        self, x: Tensor, scale: Tensor, shift: Tensor, low_mask: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[B, L, in_channels] -> [B, L * factor, out_channels]; `low_mask` is the input's, `mask` the output's."""
        return self.modulate(*self.lift(x, low_mask, mask), scale, shift, mask)

    def lift(self, x: Tensor, low_mask: Tensor | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What does not depend on scale and shift: the first convolution and the residual, at the high rate."""
        # The 1x1 convolution before its upsampling: their order is free, since interpolation weights sum to 1.
        residual = _masked(upsample(self.residual(x, low_mask), self.factor, low_mask), mask)
        x = F.leaky_relu(x, SLOPE)
        if self.taps_at_low_rate:
            return self.enter.of_upsampled(x, self.factor, low_mask, mask), residual
        return self.enter(_masked(upsample(x, self.factor, low_mask), mask), mask), residual

    def modulate(
        self, main: Tensor, residual: Tensor, scale: Tensor, shift: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """What depends on scale and shift: the rest of the block, all at the high rate."""
        first, second, third = self.convs
        x: Tensor = first(_film(main, scale, shift), mask).add_(residual)
        y: Tensor = second(_film(x, scale, shift), mask)
        y = third(_film(y, scale, shift), mask)
        return y.add_(x)


def _film(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.leaky_relu(torch.addcmul(shift, scale, x), SLOPE, inplace=True)


def compute_dtype(x: Tensor) -> torch.dtype:
    """In which products with `x` are computed: the autocast's type, else its own.

    A float32 mask would promote each bfloat16 product that it multiplies, and all that follows.
    """
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
