"""The WaveGrad decoder written down as plainly as can be: the oracle of the tests and the baseline of the benchmark.

Nothing is fused, reordered, hoisted or masked: `F.interpolate` resamples, and each convolution stands where the papers
draw it. Weights are those of `wg2.model.wavegrad.WaveGradDecoder`, by name.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from wg2.config import WaveGradConfig


class PlainDecoder:
    def __init__(self, config: WaveGradConfig, weights: dict[str, Tensor]) -> None:
        self.config = config
        self.weights = weights

    def __call__(self, noisy: Tensor, noise_level: Tensor, features: Tensor) -> Tensor:
        films = self.films(noisy, noise_level)
        x = self.conv("pre", features.transpose(1, 2))
        for index, (factor, dilations) in enumerate(
            zip(self.config.upsample_factors, self.config.up_dilations, strict=True)
        ):
            x = self.ublock(f"ups.{index}.enter", x, factor, dilations, *films[index])
            if self.config.large:
                x = self.ublock(f"ups.{index}.again", x, 1, dilations, *films[index])
        return self.conv("post", x)[:, 0]

    def films(self, noisy: Tensor, noise_level: Tensor) -> list[tuple[Tensor, Tensor]]:
        x = self.conv("down_pre", noisy[:, None])
        last = len(self.config.up_channels) - 1
        films = [self.film(f"films.{last}", x, noise_level)]
        for index in range(len(self.config.down_channels)):
            factor = self.config.upsample_factors[-1 - index]
            x = self.dblock(f"downs.{index}.0", x, factor)
            if self.config.large:
                x = self.dblock(f"downs.{index}.1", x, 1)
            films.append(self.film(f"films.{last - 1 - index}", x, noise_level))
        return films[::-1]

    def ublock(self, name, x, factor, dilations, scale, shift) -> Tensor:
        residual = self.interpolate(self.conv(f"{name}.residual", x), x.shape[-1] * factor)
        y = self.interpolate(F.leaky_relu(x, 0.2), x.shape[-1] * factor)
        y = self.conv(f"{name}.enter", y, dilations[0])
        y = F.leaky_relu(y * scale + shift, 0.2)
        y = self.conv(f"{name}.convs.0", y, dilations[1])
        x = y + residual
        y = F.leaky_relu(x * scale + shift, 0.2)
        y = self.conv(f"{name}.convs.1", y, dilations[2])
        y = F.leaky_relu(y * scale + shift, 0.2)
        y = self.conv(f"{name}.convs.2", y, dilations[3])
        return x + y

    def dblock(self, name, x, factor) -> Tensor:
        residual = self.interpolate(self.conv(f"{name}.residual", x), x.shape[-1] // factor)
        x = self.interpolate(x, x.shape[-1] // factor)
        for index, dilation in enumerate((1, 2, 4)):
            x = self.conv(f"{name}.convs.{index}", F.leaky_relu(x, 0.2), dilation)
        return x + residual

    def film(self, name, x, noise_level) -> tuple[Tensor, Tensor]:
        x = F.leaky_relu(self.conv(f"{name}.enter", x), 0.2)
        x = x + sinusoid(noise_level, x.shape[1]).to(x)[:, :, None]
        scale, shift = self.conv(f"{name}.scale_and_shift", x).chunk(2, dim=1)
        return scale, shift

    def conv(self, name, x, dilation=1) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] - 1) // 2
        return F.conv1d(x, weight, self.weights[f"{name}.bias"], padding=padding, dilation=dilation)

    @staticmethod
    def interpolate(x, size) -> Tensor:
        return x if size == x.shape[-1] else F.interpolate(x, size=size, mode="linear", align_corners=False)


def sinusoid(noise_level: Tensor, channels: int) -> Tensor:
    """Attention Is All You Need, section 3.5, at the position 5000 * noise level: all sines, then all cosines."""
    rows = []
    for level in noise_level.tolist():
        angles = [5000.0 * level / 10000.0 ** (2 * i / channels) for i in range(channels // 2)]
        rows.append([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
    return torch.tensor(rows, dtype=torch.float64)
