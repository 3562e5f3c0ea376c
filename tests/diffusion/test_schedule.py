"""Schedules: their published figures, their contract, their complaints."""

import math

import pytest
import torch
from gaussian_toy import spectral_error_db

from wg2.config import DiffusionConfig
from wg2.diffusion.schedule import (
    Schedule,
    check_schedule,
    custom_schedule,
    inference_schedule,
    paper_linear_schedule,
    scheduled_levels,
    training_schedule,
)
from wg2.errors import ScheduleError

CONFIG = DiffusionConfig()
SHORT = (2, 4, 6, 12, 25, 50, 100, 999)


def test_training_schedule_has_the_published_figures():
    schedule = training_schedule(CONFIG)
    assert schedule.num_steps == 1000
    assert schedule.betas[0] == 1e-6
    assert schedule.betas[-1] == 0.01
    assert schedule.terminal_level == pytest.approx(0.0814, abs=5e-5)
    assert schedule.noise_levels.dtype == torch.float64
    assert schedule.noise_levels.shape == (1001,)
    assert float(schedule.noise_levels[0]) == 1.0


def test_alpha_bars_are_the_running_product():
    schedule = Schedule((0.1, 0.2, 0.5))
    assert schedule.alpha_bars.tolist() == pytest.approx([1.0, 0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.5], rel=1e-15)
    assert schedule.terminal_level == pytest.approx(math.sqrt(0.36), rel=1e-15)


@pytest.mark.parametrize("steps", SHORT)
def test_short_schedules_end_at_the_prior_and_stay_within_the_trained_range(steps):
    schedule, trained = inference_schedule(steps, CONFIG), training_schedule(CONFIG)
    betas = torch.tensor(schedule.betas, dtype=torch.float64)
    assert schedule.num_steps == steps
    assert bool(((betas > 0) & (betas < 1)).all())
    assert bool((betas.diff() >= 0).all())
    assert schedule.terminal_level == pytest.approx(trained.terminal_level, rel=1e-9)
    assert bool((schedule.noise_levels.diff() < 0).all())
    assert float(schedule.noise_levels[1]) == pytest.approx(float(trained.noise_levels[1]), rel=1e-12)


def test_as_many_steps_as_trained_are_the_trained_ones():
    assert inference_schedule(1000, CONFIG) == training_schedule(CONFIG)


def test_the_papers_short_linear_schedules_are_far_from_the_prior():
    assert paper_linear_schedule(50, CONFIG).terminal_level == pytest.approx(0.882, abs=5e-4)
    assert paper_linear_schedule(6, CONFIG).terminal_level == pytest.approx(0.985, abs=5e-4)
    with pytest.raises(ScheduleError, match=r"50 steps end at a noise level of 0\.882, wanted at most 0\.1"):
        check_schedule(paper_linear_schedule(50, CONFIG), CONFIG)


def test_with_the_exact_score_short_schedules_keep_the_spectrum():
    """Over bands of -65 .. -10 dB, 50 of ours beat the paper's 50 and even its 1000, and 6 match six tuned by hand."""
    ours = {steps: spectral_error_db(inference_schedule(steps, CONFIG).betas) for steps in (50, 25, 12, 6)}
    assert ours[50] < ours[25] < ours[12] < ours[6] < 6.0
    assert ours[50] < 1.6
    assert ours[50] < spectral_error_db(training_schedule(CONFIG).betas)
    assert ours[50] < spectral_error_db(paper_linear_schedule(50, CONFIG).betas) / 2
    assert ours[6] < spectral_error_db((7e-6, 1.4e-4, 2.1e-3, 2.8e-2, 3.5e-1, 7e-1))


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ((), "got no betas"),
        ((0.1, -0.2), r"step 2: got beta=-0\.2, wanted a variance in \(0, 1\)"),
        ((0.1, 1.0), "step 2: got beta=1, wanted"),
        ((0.0, 0.1), "step 1: got beta=0, wanted"),
        ((0.1, math.nan), "step 2: got beta=nan"),
        ((0.2, 0.1), r"step 2: got beta=0\.1 after 0\.2, wanted betas that never decrease"),
        ((1e-4, 1e-3, 0.5), r"3 steps end at a noise level of 0\.707, wanted at most 0\.1"),
        ((1e-4, 0.9, 0.99), r"end at a noise level of 0\.0316, wanted at least 0\.0814, the lowest trained"),
        ((1e-7, 0.9, 0.92), "step 1: got beta=1e-07, wanted at least 1e-06, the smallest trained"),
    ],
)
def test_schedules_outside_the_contract_are_refused(betas, message):
    with pytest.raises(ScheduleError, match=message):
        custom_schedule(betas, CONFIG)


def test_a_schedule_within_the_contract_is_accepted():
    assert custom_schedule([1e-4, 0.9, 0.91], CONFIG).num_steps == 3


@pytest.mark.parametrize("steps", [1, 0, -3, 1001])
def test_numbers_of_steps_that_make_no_sense_are_refused(steps):
    with pytest.raises(ScheduleError, match=f"got {steps} steps, wanted 2 to 1000"):
        inference_schedule(steps, CONFIG)


@pytest.mark.parametrize("config", [CONFIG, DiffusionConfig(beta_start=1e-5)], ids=["paper", "1e-5"])
def test_scheduled_levels_are_spread_as_the_steps_of_synthesis_are(config: DiffusionConfig):
    """As often below each noise as the steps of 12, 25 and 50 are, where WaveGrad's law is there hardly ever."""
    levels = scheduled_levels(
        config, torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    trained = training_schedule(config)
    assert float(levels.min()) >= trained.terminal_level - 1e-7
    assert float(levels.max()) <= float(trained.noise_levels[1]) + 1e-7
    ratio = lambda level: (1 - level.double().square()).sqrt() / level.double()  # noqa: E731
    steps = [ratio(inference_schedule(count, config).noise_levels[1:]) for count in (12, 25, 50)]
    for sigma in (0.01, 0.03, 0.1, 1.0, 5.0):
        wanted = sum(float((each < sigma).double().mean()) for each in steps) / 3
        assert float((ratio(levels) < sigma).double().mean()) == pytest.approx(wanted, abs=0.06)  # half a step of 12


def test_a_training_of_few_steps_is_followed_by_its_own_schedule():
    config = DiffusionConfig(beta_start=0.05, beta_end=0.5, num_steps=8)
    ends = scheduled_levels(config, torch.tensor([0.0, 1 - 1e-12], dtype=torch.float64))
    torch.testing.assert_close(ends, training_schedule(config).noise_levels[[1, -1]].float())
