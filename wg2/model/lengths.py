"""What the host knows of a batch's lengths.

Asking a GPU for a number makes the host wait until all that was ordered before is done, and leaves the GPU idle until
the host has ordered more. So the lengths, which are known where a batch is made, are handed on beside it.

Shapes: `B` rows, `N` tokens, `M` tokens of all rows without the padding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Lengths:
    """Of a batch whose token ids, masks and durations were checked where it was made.

    Attributes:
        tokens: of each row, on the CPU, [B] int64.
        full: whether every window has sound in all of its frames.
    """

    tokens: Tensor
    full: bool = False


def token_lengths(mask: Tensor, lengths: Lengths | None) -> Tensor:
    """Tokens of each row, on the CPU, [B]; without `lengths` the mask [B, N] is asked, and its device waited for."""
    return mask.sum(dim=1).cpu() if lengths is None else lengths.tokens


def token_places(mask: Tensor, lengths: Lengths | None) -> Tensor:
    """Where the tokens are in the flattened [B, N], on the mask's device, [M]."""
    counts = token_lengths(mask, lengths).numpy()
    rows = np.concatenate([row * mask.shape[1] + np.arange(count) for row, count in enumerate(counts)])
    return torch.from_numpy(rows).to(mask.device, non_blocking=True)


def all_full(frame_mask: Tensor, lengths: Lengths | None) -> bool:
    """Whether windows have sound in all of their frames: then nothing has to be masked."""
    return bool(frame_mask.all()) if lengths is None else lengths.full
