"""The convolutional text side: phones to hidden features, durations, and features of frames by repetition.

Shapes: `B` batch, `N` tokens, `T` frames, `C` channels. A token mask is [B, N], true for tokens.

A BLSTM with ZoneOut runs token by token, which took half of a training step on a CPU (docs/LOG.md); ConvNeXt blocks
see 3 phones more on each side with every block. A frame gets the features of its token and where in it the frame lies.
"""

import math

import torch
from torch import Tensor, nn

from wg2.config import ConvConfig
from wg2.model.convnext import ConvNeXtStack
from wg2.model.lengths import Lengths, all_full
from wg2.model.resampling import TYPICAL_LOG_DURATION, check_durations

PLACE = 4
"""Numbers that say where in its token a frame lies; see `_place`."""


class ConvEncoder(nn.Module):
    """Token ids to hidden features."""

    def __init__(self, config: ConvConfig, num_tokens: int) -> None:
        """Build it.

        Args:
            config: the text side's.
            num_tokens: size of the inventory, with the padding, which is id 0.
        """
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, config.channels, padding_idx=0)
        self.blocks = ConvNeXtStack(config.token_blocks, config.channels, config.kernel_size, 3, config.dropout)

    def forward(self, token_ids: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:  # noqa: ARG002
        """[B, N] and its mask -> hidden features [B, N, C], zero in the padding."""
        mask = token_mask[..., None].to(self.embedding.weight.dtype)
        hidden: Tensor = self.blocks(self.embedding(token_ids) * mask, mask)
        return hidden


class ConvResampling(nn.Module):
    """Predicts durations, and repeats hidden features by given ones."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        channels, size = config.channels, config.kernel_size
        self.duration_blocks = ConvNeXtStack(config.duration_blocks, channels, size, 2, config.dropout)
        self.duration = nn.Linear(channels, 1)
        self.place = nn.Linear(PLACE, channels)
        self.frame_blocks = ConvNeXtStack(config.frame_blocks, channels, size, 3)
        nn.init.constant_(self.duration.bias, TYPICAL_LOG_DURATION)

    def predict_durations(
        self,
        hidden: Tensor,
        token_mask: Tensor,
        lengths: Lengths | None = None,  # noqa: ARG002
    ) -> Tensor:
        """log(1 + frames) of each token, [B, N]; 0 in the padding."""
        mask = token_mask[..., None].to(hidden.dtype)
        predicted: Tensor = self.duration(self.duration_blocks(hidden, mask)).squeeze(-1)
        return predicted.masked_fill(~token_mask, 0.0)

    def forward(
        self,
        hidden: Tensor,
        durations: Tensor,
        token_mask: Tensor,
        window_start: Tensor | None = None,
        window_frames: int | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features of the frames, [B, T, C], zero past a row's end, and where they are valid, [B, T].

        Arguments and errors are those of `wg2.model.resampling.Resampling.forward`.
        """
        check_durations(hidden, durations, signs=lengths is None)
        durations = durations * token_mask
        ends = durations.cumsum(dim=1)
        length = int(ends[:, -1].max()) if window_frames is None else window_frames
        frames = torch.arange(length, device=hidden.device).expand(len(hidden), length)
        frames = frames if window_start is None else frames + window_start[:, None]
        frame_mask = (frames >= 0) & (frames < ends[:, -1:])
        token = torch.searchsorted(ends, frames.contiguous(), right=True).clamp(max=durations.shape[1] - 1)
        spans = durations.gather(1, token)
        begun = frames - (ends.gather(1, token) - spans)
        x = hidden.gather(1, token[..., None].expand(-1, -1, hidden.shape[-1]))
        x = x + self.place(_place(begun.to(self.place.weight.dtype) + 0.5, spans))
        mask = None if all_full(frame_mask, lengths) else frame_mask[..., None].to(x.dtype)
        features: Tensor = self.frame_blocks(x if mask is None else x * mask, mask)
        return features, frame_mask


def _place(offset: Tensor, length: Tensor) -> Tensor:
    """Where in their tokens frames lie, [B, T, 4]: share, its half wave, tenths of frames since the start, log length.

    Args:
        offset: frames from the token's start to the frame's middle, [B, T].
        length: frames of the token, [B, T].
    """
    whole = length.to(offset.dtype).clamp(min=1.0)
    share = (offset / whole).clamp(0.0, 1.0)
    return torch.stack((share, (math.pi * share).sin(), (offset / 10.0).clamp(-10.0, 10.0), whole.log()), dim=-1)
