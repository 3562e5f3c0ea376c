"""Noise by absolute sample index."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.diffusion.noise import BLOCK, batch_noise, gaussian


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 1000), st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_any_slice_is_the_slice_of_the_whole(seed, step, start, length):
    whole = gaussian(seed, step, 0, 6 * BLOCK)
    assert torch.equal(gaussian(seed, step, start, length), whole[start : start + length])


def test_noise_is_standard_normal_and_independent_between_seeds_steps_and_blocks():
    sequences = torch.stack([gaussian(seed, step, 0, 50 * BLOCK) for seed in (0, 1) for step in (0, 1)])
    torch.testing.assert_close(sequences.mean(1), torch.zeros(4), atol=0.012, rtol=0)  # 5 standard errors
    torch.testing.assert_close(torch.corrcoef(sequences), torch.eye(4), atol=0.012, rtol=0)
    blocks = sequences[0].reshape(50, BLOCK)
    assert (torch.corrcoef(blocks) - torch.eye(50)).abs().max() < 0.09
    tails = (sequences.abs() > 3).float().mean()
    assert abs(float(tails) - 0.0027) < 0.0003


def test_a_row_of_a_batch_is_what_it_would_be_alone():
    noise = batch_noise([7, 3], 5000)
    assert torch.equal(noise(4)[1], gaussian(3, 4, 0, 5000))


def test_the_noise_is_the_same_for_ever():
    """Published results name a seed: what it draws must not change with our code."""
    bits = np.random.Philox(key=[1, 2], counter=[0, 1, 0, 0])
    wanted = np.random.Generator(bits).standard_normal(8, dtype=np.float32)
    assert gaussian(1, 2, BLOCK, 8).tolist() == wanted.tolist()
