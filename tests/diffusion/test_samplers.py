"""Samplers on a Gaussian world, whose score is exact."""

import math
from itertools import pairwise

import pytest
import torch
from gaussian_toy import GaussianToy, steady_noise

from wg2.config import DiffusionConfig
from wg2.diffusion.samplers import langevin, multistep, posterior_std, predict_and_correct, sample
from wg2.diffusion.schedule import Schedule, inference_schedule, training_schedule
from wg2.diffusion.solvers import Ddim, Point, dpm_solver_2m
from wg2.diffusion.solvers import points as solver_points
from wg2.errors import ScheduleError

CONFIG = DiffusionConfig()


@pytest.mark.parametrize("step", [2, 3, 4])
def test_one_ancestral_step_is_the_posterior_by_bayes(step):
    """p(y_{n-1} | y_n, x) from p(y_n | y_{n-1}) p(y_{n-1} | x), with the noise known exactly."""
    schedule = Schedule((0.01, 0.1, 0.3, 0.6))
    abar, beta = schedule.alpha_bars, schedule.betas[step - 1]
    clean, noisy = 0.7, 0.2
    prior_mean, prior_variance = float(abar[step - 1].sqrt()) * clean, float(1 - abar[step - 1])
    precision = 1 / prior_variance + (1 - beta) / beta
    mean = (prior_mean / prior_variance + math.sqrt(1 - beta) * noisy / beta) / precision
    eps = (noisy - float(abar[step].sqrt()) * clean) / float((1 - abar[step]).sqrt())

    assert posterior_std(schedule, step) == pytest.approx(math.sqrt(1 / precision), rel=1e-12)
    got = _mean_of_one_step(schedule, step, noisy, eps)
    assert got == pytest.approx(mean, rel=1e-12)


def _mean_of_one_step(schedule, step, noisy, eps):
    """Start the sampler at `step` by cutting the schedule there, with no noise but the start."""
    cut, seen = Schedule(schedule.betas[:step]), []

    def denoise(y, _):
        seen.append(y)
        return torch.full_like(y, eps)

    sample(denoise, lambda n: torch.full((1, 1), noisy if n == step else 0.0, dtype=torch.float64), cut)
    return float(seen[1])


def test_ancestral_sampling_of_a_gaussian_gives_back_mean_and_variance():
    toy = GaussianToy(mean=0.3, variance=0.04)
    schedule = training_schedule(CONFIG)
    y = sample(toy.denoise, steady_noise(1, 10_000), schedule, clamp=False)
    # The start ignores the 8 % of the mean that is left at the last level: a mean error below 0.0814 * 0.3 * shrinkage.
    assert float(y.mean()) == pytest.approx(0.3, abs=0.01)
    assert float(y.std()) == pytest.approx(0.2, rel=0.04)


def test_the_variance_follows_the_closed_recursion_at_few_steps():
    toy, schedule = GaussianToy(variance=0.01), inference_schedule(6, CONFIG)
    variance = 1.0
    for step in range(6, 0, -1):
        beta, left = schedule.betas[step - 1], float(1 - schedule.alpha_bars[step])
        gain = (1 - beta / float(toy.marginal_variance(schedule.noise_levels[step]))) / math.sqrt(1 - beta)
        before = float(1 - schedule.alpha_bars[step - 1])
        variance = gain**2 * variance + (0 if step == 1 else before / left * beta)
    y = sample(toy.denoise, steady_noise(1, 200_000), schedule, clamp=False)
    assert float(y.var()) == pytest.approx(variance, rel=0.02)


def test_a_model_that_knows_the_noise_recovers_the_clean_waveform_exactly():
    clean = torch.rand(2, 50, dtype=torch.float64) - 0.5

    def denoise(noisy, level):
        return (noisy - level[:, None].double() * clean) / (1 - level[:, None].double() ** 2).sqrt()

    # The level reaches the model in float32, as in life; hence not 1e-12 after the division by a noise of 1e-3.
    y = sample(denoise, steady_noise(2, 50), inference_schedule(12, CONFIG))
    torch.testing.assert_close(y, clean, atol=1e-3, rtol=0)


def test_noise_is_asked_for_once_a_step_and_never_for_the_last():
    asked, levels = [], []

    def noise(step):
        asked.append(step)
        return torch.zeros(3, 4)

    def denoise(noisy, level):
        levels.append(level)
        return noisy

    schedule = inference_schedule(4, CONFIG)
    sample(denoise, noise, schedule)
    assert asked == [4, 3, 2, 1]  # the start, then what comes with y_3, y_2, y_1; y_0 has none
    wanted = [torch.full((3,), float(level)) for level in schedule.noise_levels.flip(0)[:-1]]
    torch.testing.assert_close(levels, wanted)


def test_only_the_result_is_cut_to_the_range_of_a_waveform():
    schedule, seen = inference_schedule(4, CONFIG), []

    def denoise(noisy, _):
        seen.append(float(noisy.abs().max()))
        return torch.zeros_like(noisy)

    y = sample(denoise, lambda _: torch.full((1, 8), 3.0), schedule)
    assert float(y.max()) == 1.0
    assert max(seen) > 3.0


def test_the_same_seed_gives_the_same_waveform():
    toy, schedule = GaussianToy(variance=0.01), inference_schedule(6, CONFIG)
    runs = [sample(toy.denoise, steady_noise(2, 30, seed), schedule) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def path(steps: int, lowest: float = -1.5, highest: float = 2.0) -> list[Point]:
    """Points in equal steps of half the log SNR, none of them clean."""
    lams = [lowest + (highest - lowest) * index / steps for index in range(steps + 1)]
    return [Point(1 / math.sqrt(1 + math.exp(-2 * lam)), 1 / math.sqrt(1 + math.exp(2 * lam))) for lam in lams]


SOLVERS = {
    "ddim": lambda toy, y, points: multistep(toy.denoise, y, points, Ddim(0.0, steady_noise(1, 1))),
    "dpm-solver": lambda toy, y, points: multistep(toy.denoise, y, points, dpm_solver_2m),
    "unipc": lambda toy, y, points: predict_and_correct(toy.denoise, y, points),
}


@pytest.mark.parametrize(("solver", "order"), [("ddim", 1), ("dpm-solver", 2), ("unipc", 3)])
def test_solvers_converge_with_their_order(solver, order):
    """On a Gaussian the ODE has a closed form: y shrinks with the standard deviation of its marginal."""
    toy, start, errors = GaussianToy(variance=0.25), torch.ones(1, 1, dtype=torch.float64), []
    for steps in (40, 80, 160):
        walk = path(steps)
        first, last = (torch.tensor(point.alpha, dtype=torch.float64) for point in (walk[0], walk[-1]))
        exact = math.sqrt(toy.marginal_variance(last) / toy.marginal_variance(first))
        *_, y = SOLVERS[solver](toy, start, walk)
        errors.append(abs(float(y) - exact))
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders == pytest.approx([order, order], abs=0.12)


def test_ddim_with_all_the_noise_is_ddpm():
    toy, schedule, noise = GaussianToy(0.1, 0.04), inference_schedule(6, CONFIG), steady_noise(2, 20)
    wanted = sample(toy.denoise, noise, schedule, sampler="ddpm")
    torch.testing.assert_close(sample(toy.denoise, noise, schedule, sampler="ddim", eta=1.0), wanted)


def test_ddim_with_half_the_noise_has_the_variance_of_its_recursion():
    toy, schedule, variance = GaussianToy(variance=0.04), inference_schedule(4, CONFIG), 1.0
    for here, to in pairwise(solver_points(schedule)):
        added = 0.5 * to.sigma / here.sigma * math.sqrt(1 - (here.alpha / to.alpha) ** 2)
        eps = here.sigma / (here.alpha**2 * 0.04 + here.sigma**2)
        gain = to.alpha * (1 - here.sigma * eps) / here.alpha + math.sqrt(max(0, to.sigma**2 - added**2)) * eps
        variance = gain**2 * variance + added**2
    y = sample(toy.denoise, steady_noise(1, 200_000), schedule, sampler="ddim", eta=0.5, clamp=False)
    assert float(y.var()) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver", "unipc"])
def test_deterministic_samplers_end_at_what_the_model_says_is_clean(sampler):
    clean = torch.rand(2, 50, dtype=torch.float64) - 0.5

    def denoise(noisy, level):
        return (noisy - level[:, None] * clean) / (1 - level[:, None] ** 2).sqrt()

    asked = []

    def noise(step):
        asked.append(step)
        return steady_noise(2, 50)(step)

    y = sample(denoise, noise, inference_schedule(12, CONFIG), sampler=sampler)
    torch.testing.assert_close(y, clean, atol=1e-9, rtol=0)
    assert asked == [12]


def test_higher_order_pays_at_few_steps():
    toy, start = GaussianToy(variance=0.25), torch.ones(1, 1, dtype=torch.float64)
    errors = {}
    for name, solver in SOLVERS.items():
        walk = path(12)
        first, last = (torch.tensor(point.alpha, dtype=torch.float64) for point in (walk[0], walk[-1]))
        *_, y = solver(toy, start, walk)
        errors[name] = abs(float(y) - math.sqrt(toy.marginal_variance(last) / toy.marginal_variance(first)))
    assert errors["dpm-solver"] < errors["ddim"] / 5
    assert errors["unipc"] < errors["ddim"] / 5


def test_langevin_dynamics_at_one_level_has_its_stationary_variance():
    """y' - m = (1 - eta / 2V) (y - m) + sqrt(eta) z settles at V / (1 - eta / 4V)."""
    toy, schedule = GaussianToy(mean=0.5, variance=0.04), Schedule((0.3,))
    y = langevin(toy.denoise, steady_noise(1, 50_000), schedule, rounds=40, step_size=0.5)
    variance = 0.7 * 0.04 + 0.3
    assert float(y.mean()) == pytest.approx(math.sqrt(0.7) * 0.5, abs=0.015)
    assert float(y.var()) == pytest.approx(variance / (1 - 0.15 / (4 * variance)), rel=0.03)


def test_annealed_langevin_dynamics_reaches_the_clean_distribution():
    toy, schedule = GaussianToy(mean=0.5, variance=0.04), inference_schedule(50, CONFIG)
    y = langevin(toy.denoise, steady_noise(1, 20_000), schedule, rounds=15, step_size=0.1)
    assert float(y.mean()) == pytest.approx(0.5, abs=0.02)
    # Levels far below the toy's own deviation hardly move it, so some spread of the levels above is left.
    assert float(y.std()) == pytest.approx(0.2, rel=0.12)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ScheduleError, match="sampler: got 'euler', wanted one of ddpm, ddim, dpm-solver, unipc"):
        sample(lambda y, _: y, steady_noise(1, 1), inference_schedule(4, CONFIG), sampler="euler")
