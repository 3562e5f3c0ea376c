"""Noise by absolute sample index: what a worker, a batch or a chunk draws does not depend on the others.

The sequence of a (seed, step) is cut into blocks of 4096 samples, each from its own counter of the Philox generator
(Salmon et al., 2011). Any slice is the slice of the whole, whoever draws it, in any order.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 4096
"""Samples in a block. Part of the definition of the noise: changing it changes every result."""

NoiseFn = Callable[[int], Tensor]
"""Standard normal noise [B, S] for a denoising step; the samplers ask for step n (the start), n - 1, ... 1."""


def gaussian(seed: int, step: int, start: int, length: int) -> Tensor:
    """Standard normal samples start .. start + length of the sequence (seed, step).

    Args:
        seed: of the unit of work, >= 0.
        step: denoising step, >= 0.
        start: absolute index of the first sample, >= 0.
        length: number of samples.
    Returns:
        [length], float32, on the CPU.
    """
    if length <= 0:
        return torch.empty(0)
    first, last = start // BLOCK, (start + length - 1) // BLOCK
    samples = np.empty((last + 1 - first, BLOCK), dtype=np.float32)
    for row, index in zip(samples, range(first, last + 1), strict=True):
        _fill(row, seed, step, index)
    offset = start - first * BLOCK
    return torch.from_numpy(samples.ravel()[offset : offset + length])


def batch_noise(seeds: Sequence[int], length: int, device: torch.device | str = "cpu") -> NoiseFn:
    """Noise for rows of `length` samples, row b from seeds[b]: each row is what it would be alone."""

    def noise(step: int) -> Tensor:
        return torch.stack([gaussian(seed, step, 0, length) for seed in seeds]).to(device)

    return noise


def _fill(block: NDArray[np.float32], seed: int, step: int, index: int) -> None:
    # A block draws far fewer than 2^64 times, so counters that start 2^64 apart never meet.
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64), counter=counter))
    generator.standard_normal(dtype=np.float32, out=block)
