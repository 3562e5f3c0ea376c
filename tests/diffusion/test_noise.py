"""Noise by absolute sample index."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.diffusion.noise import BLOCK, _box_muller, _by_numpy, _by_tensors, batch_noise, gaussian, philox, uniform

KNOWN_ANSWERS = (  # Random123 1.14, tests/kat_vectors, philox4x64 with 10 rounds: counter, key, result
    ((0, 0, 0, 0), (0, 0),
     (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)),
    ((2**64 - 1,) * 4, (2**64 - 1,) * 2,
     (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0)),
    ((0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
     (0x452821E638D01377, 0xBE5466CF34E90C6C),
     (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6)),
)  # fmt: skip

SEEDS = st.integers(0, 2**63 - 1)


def words(values) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.array([value], dtype=np.uint64).view(np.int64)) for value in values)


def one(seed: int, step: int, start: int, length: int) -> torch.Tensor:
    return gaussian(torch.tensor([seed]), step, length, [start])[0]


@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, wanted):
    assert tuple(philox(words(counter), words(key)).numpy().view(np.uint64)[0].tolist()) == wanted


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SEEDS, st.integers(0, 2**40)), min_size=1, max_size=3), st.integers(0, 2**63 - 1))
def test_tensor_operations_draw_what_numpy_draws(rows, step):
    """The first are for a GPU, the second for a CPU; whole numbers come out alike on any device."""
    seeds, blocks = torch.tensor([seed for seed, _ in rows]), [block for _, block in rows]
    assert torch.equal(_by_tensors(seeds, step, blocks, 2).flatten(), _by_numpy(seeds, step, blocks, 2).flatten())


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(0, 1000), st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_any_slice_is_the_slice_of_the_whole(seed, step, start, length):
    assert torch.equal(one(seed, step, start, length), one(seed, step, 0, 6 * BLOCK)[start : start + length])


def test_noise_is_standard_normal_and_independent_between_seeds_steps_and_blocks():
    sequences = torch.stack([one(seed, step, 0, 50 * BLOCK) for seed in (0, 1) for step in (0, 1)])
    torch.testing.assert_close(sequences.mean(1), torch.zeros(4), atol=0.012, rtol=0)  # 5 standard errors
    torch.testing.assert_close(torch.corrcoef(sequences), torch.eye(4), atol=0.012, rtol=0)
    blocks = sequences[0].reshape(50, BLOCK)
    assert (torch.corrcoef(blocks) - torch.eye(50)).abs().max() < 0.09
    halves = blocks.reshape(100, BLOCK // 2)  # the two numbers of a pair lie half a block apart
    assert (torch.corrcoef(halves) - torch.eye(100)).abs().max() < 0.12


def test_a_million_numbers_follow_the_normal_law_into_its_tails():
    samples = gaussian(torch.arange(64), 0, 4 * BLOCK).double().flatten().sort().values
    law = torch.special.ndtr(samples)
    distance = (law - (torch.arange(len(samples)) + 0.5) / len(samples)).abs().max()
    assert distance < 1.95 / math.sqrt(len(samples))  # Kolmogorov-Smirnov, p = 0.001
    beyond = (samples.abs()[None] > torch.tensor([[3.0], [4.0]])).double().mean(1)
    torch.testing.assert_close(beyond, torch.tensor([2.6998e-3, 6.334e-5]).double(), rtol=0.4, atol=1e-4)


def test_the_fits_of_logarithm_sine_and_cosine_are_exact_to_rounding():
    radius = torch.tensor([-(2**31), 2**31 - 1, -1, 0, 1, 2**30, 3 * 2**29, -123_456_789], dtype=torch.int32)
    angle = torch.tensor([-(2**31), 2**31 - 1, -(2**30), 0, 1, 12345, 2**30, -(2**29)], dtype=torch.int32)
    uniform_, turned = (radius.double().abs() + 1).clamp_max(2**31) / 2**31, angle.double() / 2**31 * math.pi / 2
    length, half = (-2 * uniform_.log()).sqrt(), torch.where(radius < 0, -1.0, 1.0)
    cosine, sine = _box_muller(radius, angle)
    torch.testing.assert_close(cosine.double(), half * length * turned.cos(), atol=2e-6, rtol=0)
    torch.testing.assert_close(sine.double(), length * turned.sin(), atol=2e-6, rtol=0)


def test_a_row_of_a_batch_is_what_it_would_be_alone_wherever_it_starts():
    noise = batch_noise(torch.tensor([7, 3]), 5000, [0, BLOCK + 9])
    assert torch.equal(noise(4)[0], one(7, 4, 0, 5000))
    assert torch.equal(noise(4)[1], one(3, 4, BLOCK + 9, 5000))


def test_threads_change_no_sample():
    before, alone = torch.get_num_threads(), gaussian(torch.arange(3), 1, 100_000)
    torch.set_num_threads(before + 1)
    try:
        assert torch.equal(gaussian(torch.arange(3), 1, 100_000), alone)
    finally:
        torch.set_num_threads(before)


def test_uniform_numbers_are_the_sequence_from_its_start():
    numbers = uniform(3, 5, 5000)
    assert torch.equal(uniform(3, 5, 10), numbers[:10])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    torch.testing.assert_close(
        torch.histc(numbers, 10, 0, 1) / 5000, torch.full((10,), 0.1).double(), atol=0.02, rtol=0
    )


def test_the_noise_is_the_same_for_ever():
    """Published results name a seed: what it draws must change with neither our code nor the machine."""
    counter = np.array([BLOCK // 8, 0, 0, 0], dtype=np.uint64)
    halves = np.random.Philox(key=np.array([1, 2], dtype=np.uint64), counter=counter).random_raw(BLOCK // 2)
    radius, angle = halves.view(np.int32).astype(float).reshape(2, -1)
    length = np.sqrt(-2 * np.log((np.abs(radius) + 1) / 2**31))
    wanted = np.sign(radius) * length * np.cos(angle / 2**31 * np.pi / 2), length * np.sin(angle / 2**31 * np.pi / 2)
    law = torch.from_numpy(np.concatenate(wanted)).float()
    torch.testing.assert_close(one(1, 2, BLOCK, BLOCK), law, atol=3e-6, rtol=0)
    assert one(1, 2, BLOCK, 3).numpy().view(np.int32).tolist() == [-1108358514, 1068518544, 1065609441]
