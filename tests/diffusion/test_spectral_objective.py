import pytest
import torch
from torch import Tensor

from wg2.config import DiffusionConfig
from wg2.diffusion.noise import gaussian
from wg2.diffusion.objective import q_sample
from wg2.diffusion.schedule import training_schedule
from wg2.diffusion.spectral import (
    LARGEST_WEIGHT,
    clean_from_eps,
    sample_log_normal_level,
    spectral_loss,
    unknown_deviation,
)

EVERYWHERE = torch.ones(1, 40, dtype=torch.bool)


def test_the_clean_signal_follows_from_the_noise():
    waveform, eps, level = torch.randn(2, 50).double(), torch.randn(2, 50).double(), torch.tensor([0.1, 0.99]).double()
    assert torch.allclose(clean_from_eps(q_sample(waveform, level, eps), eps, level), waveform, atol=1e-12)


def noise(power: Tensor, seed: int) -> Tensor:
    """Complex, of some power."""
    parts = torch.randn(2, *power.shape, generator=torch.Generator().manual_seed(seed))
    return (power / 2).sqrt() * torch.complex(parts[0], parts[1])


def test_it_is_the_error_s_power_over_its_expected_deviation():
    error, deviation = torch.full((1, 40, 3), 0.3j), torch.tensor([0.5, 0.1, 2.0]).expand(1, 40, 3)
    wanted = 0.09 * (1 / 0.5 + 1 / 0.1 + 1 / 2.0) / 3
    assert float(spectral_loss(error, deviation, EVERYWHERE)) == pytest.approx(wanted, rel=1e-5)


def test_only_masked_frames_count():
    error, deviation = noise(torch.ones(1, 40, 5), 0), torch.rand(1, 40, 5) + 0.1
    mask = torch.arange(40)[None] < 20
    assert spectral_loss(error, deviation, ~EVERYWHERE) == 0.0
    half = spectral_loss(error[:, :20], deviation[:, :20], mask[:, :20])
    assert float(spectral_loss(error, deviation, mask)) == pytest.approx(float(half), rel=1e-6)


def test_silence_and_clipping_weigh_no_more_than_the_largest_weight():
    error = torch.ones(1, 40, 2, dtype=torch.complex64)
    for deviation, weight in ((1e-6, LARGEST_WEIGHT), (1e6, 1 / LARGEST_WEIGHT)):
        assert float(spectral_loss(error, torch.full((1, 40, 2), deviation), EVERYWHERE)) == pytest.approx(weight)


@pytest.mark.parametrize("level", [0.1, 0.7, 0.99])
def test_the_best_estimate_is_the_posterior_mean_and_what_it_leaves_has_the_expected_deviation(level: float):
    """Of a Gaussian signal of power P in noise of power N: Wiener's gain, a P / (a^2 P + N)."""
    power, noise_power = torch.full((1, 40, 2000), 0.04), torch.full((1, 40, 2000), (1 - level**2) * 3.0)
    signal, heard_noise = noise(power, 1), noise(noise_power, 2)
    deviation = unknown_deviation(power, noise_power, torch.full((1, 1, 1), level))
    wiener = level * 0.04 / (level**2 * 0.04 + (1 - level**2) * 3.0)
    errors = [gain * (level * signal + heard_noise) - signal for gain in (0.8 * wiener, wiener, 1.2 * wiener)]
    losses = [float(spectral_loss(error, deviation, EVERYWHERE)) for error in errors]
    assert min(losses) == losses[1]
    assert float(errors[1].abs().square().mean().sqrt() / deviation[0, 0, 0]) == pytest.approx(1, rel=0.02)


def test_log_normal_levels_have_the_law_that_was_asked_for_within_what_is_trained():
    schedule = training_schedule(DiffusionConfig())
    normal = gaussian(torch.zeros(1, dtype=torch.int64), 0, 20_000)[0]
    levels = sample_log_normal_level(schedule, normal, mean=1.6, std=1.0).double()
    log_ratio = torch.log(levels / (1 - levels**2).sqrt())
    assert float(log_ratio.mean()) == pytest.approx(1.6, abs=0.03)
    assert float(log_ratio.std()) == pytest.approx(1.0, abs=0.03)
    wide = sample_log_normal_level(schedule, normal, mean=0.0, std=20.0)
    assert float(wide.min()) == pytest.approx(schedule.terminal_level)
    assert float(wide.max()) == pytest.approx(float(schedule.noise_levels[1]))
    assert wide.dtype == torch.float32
