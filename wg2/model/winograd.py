"""Winograd's minimal filtering F(4, 3): a convolution of width three with half the multiplications.

Four outputs of a three-tap filter take six products instead of twelve (Lavin & Gray, 2016, "Fast algorithms for
convolutional neural networks", in one dimension): y = A' [(G g) * (B' d)], points 0, 1, -1, 2, -2 and infinity. Over C
channels each product is a matrix product: it pays where these outweigh the sums around them, from 256 channels on, on a
CPU (docs/LOG.md). It is exact but for rounding: 8e-7 relative in float32.

A convolution of dilation d is d convolutions of dilation one, on every d-th position.

Shapes: `B` batch, `L` positions, `C` inputs, `O` outputs, `n` tiles of 4 d positions.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_CHANNELS = 256
"""Inputs and outputs from which on it is faster than a direct convolution (benchmarks/decoder.py)."""

_BLOCK = 512
"""Groups of four outputs done at once: what is between the transforms then stays in the cache."""

_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def transform_weight(weight: Tensor) -> Tensor:
    """G g for all channels: [O, C, 3] -> [6, C, O]."""
    g = torch.tensor(_G, dtype=torch.float64, device=weight.device)
    return torch.einsum("ik,ock->ico", g, weight.detach().double()).to(weight.dtype).contiguous()


def convolve(x: Tensor, transformed: Tensor, bias: Tensor | None, dilation: int = 1) -> Tensor:
    """The convolution of [B, L, C] that keeps its length, zeros beyond the edges: [B, L, O].

    Args:
        x: contiguous, [B, L, C].
        transformed: by `transform_weight`, [6, C, O].
        bias: [O].
        dilation: distance of the taps.
    """
    rows, length, _ = x.shape
    tile = 4 * dilation
    tiles = -(-length // tile)
    padded = F.pad(x, (0, 0, tile, (tiles + 1) * tile - length)).view(rows, tiles + 2, 4, dilation, -1)
    y = x.new_empty(rows, tiles, 4, dilation, transformed.shape[2])
    size = tiles if torch.compiler.is_compiling() else max(1, _BLOCK // (dilation * rows))
    for first in range(0, tiles, size):
        last = min(first + size, tiles)
        _convolve_tiles(padded[:, first : last + 2], transformed, bias, y[:, first:last])
    return y.view(rows, tiles * tile, -1)[:, :length]


def _convolve_tiles(x: Tensor, transformed: Tensor, bias: Tensor | None, y: Tensor) -> None:
    """Tiles with a neighbour on each side, [B, n + 2, 4, d, C], into `y`, [B, n, 4, d, O]."""
    inputs = _transform_input(x)
    products = torch.bmm(inputs.flatten(1, 3), transformed).view(6, *y.shape[:2], *y.shape[3:])
    _transform_output(products, bias, y)


def _transform_input(x: Tensor) -> Tensor:
    """B' d: [B, n + 2, 4, d, C] -> [6, B, n, d, C]."""
    d0, d5 = x[:, :-2, 3], x[:, 2:, 0]
    d1, d2, d3, d4 = x[:, 1:-1].unbind(2)
    even, odd = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
    wide_even, wide_odd = d4 - d2, d3 - d1
    parts = (
        torch.add(wide_even, d0 - d2, alpha=4),
        even + odd,
        even - odd,
        torch.add(wide_even, wide_odd, alpha=2),
        torch.sub(wide_even, wide_odd, alpha=2),
        torch.sub(d5 - d3, wide_odd, alpha=4),
    )
    return torch.stack(parts)


def _transform_output(products: Tensor, bias: Tensor | None, y: Tensor) -> None:
    """A' m: [6, B, n, d, O] into [B, n, 4, d, O]."""
    m0, m1, m2, m3, m4, m5 = products
    even, odd = m1 + m2, m1 - m2
    wide_even, wide_odd = m3 + m4, m3 - m4
    if bias is not None:
        even, odd = even + bias, odd + bias
    y[:, :, 0] = even.add(m0).add_(wide_even)
    y[:, :, 1] = torch.add(odd, wide_odd, alpha=2)
    y[:, :, 2] = torch.add(even, wide_even, alpha=4)
    y[:, :, 3] = odd.add(m5).add_(wide_odd, alpha=8)
