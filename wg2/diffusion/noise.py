"""Noise by absolute sample index: what a worker, a batch, a chunk or a device draws does not depend on the others.

A sequence (seed, step) is the key of a Philox 4x64-10 generator (Salmon et al., 2011; Random123), its positions are
the counts. On a CPU numpy's generator counts; elsewhere the same integers come from tensor operations on the device, so
nothing waits for the host. Box & Muller (1958) turn two integers of 32 bits into two normal numbers. Only operations
that IEEE 754 rounds to the bit take part (no device's own log or cos), so every device has the same numbers, to the bit
as long as no compiler contracts a product and a sum.

Shapes: B rows, S samples.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

BLOCK = 4096
"""Samples that are made together. Part of the definition of the noise: changing it changes every result."""

NoiseFn = Callable[[int], Tensor]
"""Standard normal noise [B, S] for a denoising step; the samplers ask for step n (the start), n - 1, ... 1."""

_WORDS, _COUNTERS = BLOCK // 2, BLOCK // 8  # of a block: integers of 64 bits, and counts that make four of them each
_CACHED_BLOCKS = 16
"""Blocks that a CPU turns into normal numbers at a time: 0.25 MB, which its cache holds."""

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_LOW = 0xFFFFFFFF

_SQRT_HALF = 0x3F3504F3  # the bits of sqrt(1/2) in float32
_UNIT = _SQRT_HALF + (31 << 23)  # and those of sqrt(1/2) 2^31
_LN2 = 0.6931472
# Chebyshev fits in float32, powers rising; errors below 3e-7 of the value: log(1 + x) / x for sqrt(1/2) <= 1 + x <=
# sqrt(2); sin(pi/2 x) / x and cos(pi/2 x) for |x| <= 1, in x^2.
_LOG = (0.99999994, -0.500003755, 0.333346069, -0.249689072, 0.199133486, -0.172782063, 0.161262482, -0.0989535078)
_SINE = (1.57079637, -0.645963788, 0.0796899199, -0.00467414362, 0.000151671702)
_COSINE = (0.99999994, -1.23369825, 0.253650665, -0.0208105147, 0.000858134474)


def gaussian(seeds: Tensor, step: int, length: int, starts: Sequence[int] | None = None) -> Tensor:
    """Standard normal samples: row b is starts[b] .. starts[b] + length of the sequence (seeds[b], step).

    Args:
        seeds: of the units of work, >= 0, [B], int64; its device is where the noise is drawn.
        step: denoising step, >= 0.
        length: number of samples, S.
        starts: absolute index of each row's first sample, >= 0; None: 0.
    Returns:
        [B, S], float32, on the seeds' device.
    """
    blocks, offsets = zip(*(divmod(start, BLOCK) for start in starts or [0] * len(seeds)), strict=True)
    count = -(-(max(offsets) + length) // BLOCK)
    samples = _normal(_words(seeds, step, blocks, count)).flatten(1)
    if len({*offsets}) == 1:
        return samples[:, offsets[0] : offsets[0] + length].contiguous()
    return torch.stack([row[offset : offset + length] for row, offset in zip(samples, offsets, strict=True)])


def batch_noise(seeds: Tensor, length: int, starts: Sequence[int] | None = None) -> NoiseFn:
    """The noise of a sampler for rows of `length` samples; arguments as for `gaussian`."""
    return lambda step: gaussian(seeds, step, length, starts)


def uniform(seed: int, step: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first numbers of the sequence (seed, step) as multiples of 2^-53 in [0, 1), [count], float64."""
    seeds = torch.full((1,), seed, device=device)
    words = _words(seeds, step, [0], -(-count // _WORDS)).flatten()[:count]
    return (words >> 11 & (1 << 53) - 1).double() * 2.0**-53


def _words(seeds: Tensor, step: int, blocks: Sequence[int], count: int) -> Tensor:
    """The integers of `count` blocks of each row, from its own first one, [B, count, WORDS], int64."""
    draw = _by_numpy if seeds.device.type == "cpu" else _by_tensors
    return draw(seeds, step, blocks, count).view(len(seeds), count, _WORDS)


def _by_numpy(seeds: Tensor, step: int, blocks: Sequence[int], count: int) -> Tensor:
    rows = []
    for seed, block in zip(seeds.tolist(), blocks, strict=True):
        counter = np.array([block * _COUNTERS, 0, 0, 0], dtype=np.uint64)  # one is added before it is used
        generator = np.random.Philox(key=np.array([seed, step], dtype=np.uint64), counter=counter)
        rows.append(generator.random_raw(count * _WORDS).view(np.int64))
    return torch.from_numpy(rows[0] if len(rows) == 1 else np.stack(rows))


def _by_tensors(seeds: Tensor, step: int, blocks: Sequence[int], count: int) -> Tensor:
    counter = torch.arange(1, count * _COUNTERS + 1, device=seeds.device)[None]
    if any(blocks):
        counter = counter + torch.tensor(blocks, device=seeds.device)[:, None] * _COUNTERS
    zero = counter.new_zeros(())
    return philox((counter, zero, zero, zero), (seeds[:, None], torch.full_like(zero, step)))


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Philox 4x64-10: four integers of 64 bits for each count and key (Salmon et al., 2011, section 4.3).

    Args:
        counter: its four words, the lowest first, int64 whose bits count, of shapes that broadcast.
        key: its two words.
    Returns:
        The four integers, in a last dimension.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(_ROUNDS):
        (high, low), (other_high, other_low) = _product(c0, _MULTIPLIERS[0]), _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = other_high ^ c1 ^ k0, other_low, high ^ c3 ^ k1, low
        k0, k1 = k0 + _signed(_KEY_STEPS[0]), k1 + _signed(_KEY_STEPS[1])
    words: tuple[Tensor, ...] = torch.broadcast_tensors(c0, c1, c2, c3)  # type: ignore[no-untyped-call]
    return torch.stack(words, dim=-1)


def _product(factor: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The high and the low 64 bits of an unsigned product of 128, from products of halves, which fit."""
    low, high, c_low, c_high = factor & _LOW, _upper(factor), constant & _LOW, constant >> 32
    first = low * c_high + _upper(low * c_low)
    second = high * c_low + (first & _LOW)
    return high * c_high + _upper(first) + _upper(second), factor * _signed(constant)


def _upper(word: Tensor) -> Tensor:
    return word >> 32 & _LOW


def _signed(word: int) -> int:
    """The int64 of the same 64 bits."""
    return word - (word >> 63 << 64)


def _normal(words: Tensor) -> Tensor:
    """Integers [.., WORDS] as standard normal numbers [.., BLOCK], in the same memory."""
    integers, samples = (words.view(kind).flatten(0, -2) for kind in (torch.int32, torch.float32))
    run = _CACHED_BLOCKS if words.device.type == "cpu" else max(1, len(integers))
    for source, target in zip(torch.split(integers, run), torch.split(samples, run), strict=True):
        target.copy_(torch.cat(_box_muller(*source.chunk(2, dim=-1)), dim=-1))
    return words.view(torch.float32)


def _box_muller(radius: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs r cos(t), r sin(t) with r = sqrt(-2 log u).

    Args:
        radius: random integers, int32: the absolute value is u, the sign the half of the circle that t is in.
        angle: random integers, int32: where in that half.
    """
    signed = radius.float()
    bits = signed.abs().add_(1.0).view(torch.int32) - _UNIT  # u is a multiple of 2^-31, above 0 and at most 1
    rest = ((bits & 0x7FFFFF) + _SQRT_HALF).view(torch.float32).sub_(1.0)  # u = (1 + rest) 2^(bits >> 23)
    logarithm = _polynomial(rest, _LOG).mul_(rest).add_((bits >> 23) * _LN2)
    length = logarithm.mul_(-2.0).sqrt_()
    position = angle * 2.0**-31
    square = position * position
    sine = _polynomial(square, _SINE).mul_(position)
    cosine = _polynomial(square, _COSINE).copysign_(signed)
    return cosine.mul_(length), sine.mul_(length)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """By Horner's rule: a product and a sum at a time, each rounded."""
    first, *middle, last = coefficients
    value = x * last
    for coefficient in reversed(middle):
        value.add_(coefficient).mul_(x)
    return value.add_(first)
