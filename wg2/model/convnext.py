"""ConvNeXt blocks in one dimension: a depthwise convolution over time, then an MLP over channels.

Shapes: `B` batch, `L` positions, `C` channels. A mask is [B, L, 1], 1 where a row has sound; None: everywhere.

Sources: ConvNeXt (Liu et al., 2022), as Vocos (Siuzdak, 2023) uses it for audio; scale and shift as in FiLM (Perez et
al., 2018), after the norm.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYER_SCALE = 0.3
"""Initial weight of each block's branch."""


class ConvNeXt(nn.Module):
    """One residual block."""

    def __init__(self, channels: int, kernel_size: int, expansion: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.enter = nn.Linear(channels, expansion * channels)
        self.leave = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor | None = None, film: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """[B, L, C] -> [B, L, C].

        Args:
            x: zero where the mask is.
            mask: with it a batch equals its singles, and what comes out is zero beyond the rows' ends.
            film: scale and shift after the norm, each [B, L, C]; None: none.
        """
        h = self.norm(self.depthwise(x.mT).mT)
        if film is not None:
            h = torch.addcmul(h + film[1], h, film[0])
        h = F.dropout(self.leave(F.gelu(self.enter(h))), self.dropout, self.training)
        h = torch.addcmul(x, self.scale, h)
        return h if mask is None else h * mask


class ConvNeXtStack(nn.ModuleList):
    """Blocks one after the other."""

    def __init__(self, blocks: int, channels: int, kernel_size: int, expansion: int, dropout: float = 0.0) -> None:
        super().__init__(ConvNeXt(channels, kernel_size, expansion, dropout) for _ in range(blocks))

    def forward(
        self, x: Tensor, mask: Tensor | None = None, films: Iterable[tuple[Tensor, Tensor] | None] | None = None
    ) -> Tensor:
        """[B, L, C] -> [B, L, C]; `films` has one scale and shift for each block."""
        for block, film in zip(self, films or (None,) * len(self), strict=True):
            x = block(x, mask, film)
        return x
