"""SpecAugment on the hidden features, in training only: stretches of frames and bands of channels set to zero.

Shapes: B windows, M masks, T frames, C channels of the hidden features.

Source: SpecAugment (Park et al., 2019), section 2, without its time warping; WaveGrad 2 (Chen et al., 2021) applies it
to the upsampled features but does not publish the sizes.
"""

import torch
from torch import Tensor

from wg2.config import AugmentConfig


def draw_masks(
    config: AugmentConfig, batch_size: int, frames: int, channels: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What is masked, for a whole batch.

    Args:
        config: how many masks, how wide.
        batch_size: B.
        frames: T.
        channels: C.
        generator: on the CPU.
    Returns:
        The masked frames [B, T] and the masked channels [B, C], bool.
    """
    widest = round(config.channel_fraction * channels)
    in_time = _masked(batch_size, config.time_masks, config.time_frames, frames, generator)
    in_channels = _masked(batch_size, config.channel_masks, widest, channels, generator)
    return in_time, in_channels


def _masked(batch_size: int, masks: int, widest: int, length: int, generator: torch.Generator) -> Tensor:
    """True where one of a row's masks lies, [B, length]; widths uniform in 0 .. widest, then the place uniform."""
    draws = torch.rand(2, batch_size, masks, 1, dtype=torch.float64, generator=generator)
    widths = (draws[0] * (min(widest, length) + 1)).floor()
    starts = (draws[1] * (length - widths + 1)).floor()
    places = torch.arange(length, dtype=torch.float64)
    return ((places >= starts) & (places < starts + widths)).any(dim=1)
