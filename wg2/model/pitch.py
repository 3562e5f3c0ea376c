"""The fundamental frequency of each frame, predicted from its features.

Shapes: `B` batch, `T` frames, `C` channels. F0 is in Hz, 0 where a frame is unvoiced.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TYPICAL_F0 = 190.0
"""Where predictions start, Hz."""


class PitchPredictor(nn.Module):
    """A linear layer on the frame features: log F0, and whether there is one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 2)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, C] -> log F0 (log Hz) and the logit of being voiced, each [B, T]."""
        pitch, voicing = self.linear(features).float().unbind(-1)
        return pitch + math.log(TYPICAL_F0), voicing

    def f0(self, features: Tensor) -> Tensor:
        """Hz of each frame, 0 where it is unvoiced, [B, T]."""
        log_f0, voicing = self(features)
        return torch.where(voicing > 0, log_f0.exp(), 0.0)


def log_pitch(f0: Tensor) -> tuple[Tensor, Tensor]:
    """log(F0 / TYPICAL_F0), 0 where unvoiced, and 1 where voiced, each of the shape of `f0`."""
    voiced = f0 > 0
    relative = torch.where(voiced, f0, TYPICAL_F0).log() - math.log(TYPICAL_F0)
    return relative, voiced.to(f0.dtype)


def pitch_loss(log_f0: Tensor, f0: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of log F0 over the frames of `mask`, all of them voiced; a scalar, nepers.

    Args:
        log_f0: predicted, [B, T].
        f0: of the recording, Hz, [B, T].
        mask: true for the frames that count, [B, T].
    """
    error = (log_f0 - torch.where(mask, f0, TYPICAL_F0).log()).abs()
    return torch.where(mask, error, 0.0).sum() / mask.sum().clamp_min(1)


def voicing_loss(logit: Tensor, f0: Tensor, mask: Tensor) -> Tensor:
    """Mean cross entropy of being voiced over the frames of `mask`; a scalar. Arguments as for `pitch_loss`."""
    entropy = F.binary_cross_entropy_with_logits(logit, (f0 > 0).to(logit.dtype), reduction="none")
    return torch.where(mask, entropy, 0.0).sum() / mask.sum().clamp_min(1)
