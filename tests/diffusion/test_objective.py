"""The objective: closed forms, masks, and where noise levels are drawn."""

import math

import pytest
import torch

from wg2.config import DiffusionConfig
from wg2.diffusion.noise import uniform
from wg2.diffusion.objective import duration_loss, noise_loss, noise_scale, q_sample, sample_noise_level, score
from wg2.diffusion.schedule import Schedule, training_schedule
from wg2.errors import ShapeError


def test_q_sample_is_the_chain_of_single_steps():
    """Step by step, y_n = sqrt(1 - beta_n) y_{n-1} + sqrt(beta_n) z: mean and variance must come out alike."""
    schedule, clean = training_schedule(DiffusionConfig()), torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    mean, variance = clean, torch.zeros_like(clean)
    for beta in schedule.betas:
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
    level = schedule.noise_levels[-1:]
    torch.testing.assert_close(q_sample(clean, level, torch.zeros_like(clean)), mean)
    torch.testing.assert_close(q_sample(0 * clean, level, torch.ones_like(clean)).square(), variance)


def test_q_sample_takes_one_level_for_each_row():
    clean, eps = torch.ones(2, 3), torch.zeros(2, 3)
    wanted = torch.tensor([[0.25] * 3, [0.75] * 3])
    levels = torch.tensor([0.25, 0.75])
    assert torch.equal(q_sample(clean, levels, eps), wanted)
    assert torch.equal(q_sample(clean, levels[:, None], eps), wanted)


def test_the_noise_scale_is_accurate_next_to_clean():
    level = torch.tensor([1 - 2**-21])  # 4.8e-7 below 1, exact in float32
    torch.testing.assert_close(noise_scale(level), torch.tensor([math.sqrt(2**-20 - 2**-42)]), rtol=1e-6, atol=0)
    assert float(noise_scale(torch.ones(1))) == 0.0


@pytest.mark.parametrize(("eps", "level"), [((2, 4), (2,)), ((2, 3), (3,)), ((2, 3), (1,))])
def test_shapes_that_do_not_fit_are_refused(eps, level):
    with pytest.raises(ShapeError, match=r"q_sample: got waveform \(2, 3\)"):
        q_sample(torch.zeros(2, 3), torch.ones(level), torch.zeros(eps))


def test_noise_levels_are_uniform_within_uniform_segments():
    schedule = Schedule((0.01, 0.5, 0.9))
    draws = sample_noise_level(schedule.noise_levels, uniform(0, 0, 60_000)).double()
    edges = schedule.noise_levels.flip(0)
    segment = torch.bucketize(draws, edges[1:-1])
    share = torch.bincount(segment, minlength=3) / len(draws)
    torch.testing.assert_close(share, torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    for index in range(3):
        position = (draws[segment == index] - edges[index]) / (edges[index + 1] - edges[index])
        histogram = torch.histc(position, bins=10, min=0, max=1) / len(position)
        torch.testing.assert_close(histogram, torch.full((10,), 0.1).double(), atol=0.012, rtol=0)


def test_noise_levels_never_leave_the_schedule_whatever_is_drawn():
    levels = training_schedule(DiffusionConfig()).noise_levels
    ends = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    first = sample_noise_level(levels, torch.cat((ends, uniform(5, 0, 1000))))
    assert first.dtype == torch.float32
    assert float(first.min()) >= 0.0813
    assert float(first.max()) <= 1.0


def test_noise_loss_is_the_mean_over_valid_samples_and_deaf_to_the_rest():
    eps = torch.tensor([[1.0, -1.0, 5.0], [2.0, 7.0, 7.0]])
    eps_hat = torch.tensor([[0.5, -1.0, torch.nan], [0.0, torch.inf, torch.nan]], requires_grad=True)
    loss = noise_loss(eps, eps_hat, torch.tensor([[True, True, False], [True, False, False]]))
    assert loss.item() == pytest.approx((0.5 + 0.0 + 2.0) / 3)
    loss.backward()
    torch.testing.assert_close(eps_hat.grad, torch.tensor([[-1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]) / 3)
    assert float(noise_loss(eps, torch.zeros(2, 3))) == pytest.approx(23 / 6)
    assert float(noise_loss(eps, torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))) == 0.0


def test_zeros_score_the_mean_of_a_normals_magnitude():
    eps = torch.randn(4, 100_000, generator=torch.Generator().manual_seed(0))
    assert float(noise_loss(eps, torch.zeros_like(eps))) == pytest.approx(math.sqrt(2 / math.pi), abs=0.003)


def test_duration_loss_is_the_mean_square_in_log_frames():
    logs = torch.tensor([[math.log(4.0), 1.0, 99.0]])
    loss = duration_loss(logs, torch.tensor([[3, 0, 12]]), torch.tensor([[True, True, False]]))
    assert float(loss) == pytest.approx(0.5)


def test_the_score_is_the_gradient_of_the_log_density():
    clean, level = torch.tensor([[0.4, -0.2]], dtype=torch.float64), torch.tensor([0.6], dtype=torch.float64)
    eps = torch.tensor([[1.3, -0.7]], dtype=torch.float64)
    noisy = q_sample(clean, level, eps).requires_grad_()
    log_density = -((noisy - 0.6 * clean) ** 2).sum() / (2 * (1 - 0.36))
    (wanted,) = torch.autograd.grad(log_density, noisy)
    torch.testing.assert_close(score(eps, level), wanted)
