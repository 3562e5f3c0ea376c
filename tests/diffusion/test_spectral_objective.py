import pytest
import torch
from torch import Tensor

from wg2.config import DiffusionConfig
from wg2.diffusion.objective import q_sample
from wg2.diffusion.schedule import training_schedule
from wg2.diffusion.spectral import LARGEST_WEIGHT, clean_from_eps, sample_log_normal_level, spectral_loss

EVERYWHERE = torch.ones(1, 40, dtype=torch.bool)


def test_the_clean_signal_follows_from_the_noise():
    waveform, eps, level = torch.randn(2, 50).double(), torch.randn(2, 50).double(), torch.tensor([0.1, 0.99]).double()
    assert torch.allclose(clean_from_eps(q_sample(waveform, level, eps), eps, level), waveform, atol=1e-12)


def noise(power: Tensor, seed: int) -> Tensor:
    """Complex, of some power."""
    parts = torch.randn(2, *power.shape, generator=torch.Generator().manual_seed(seed))
    return (power / 2).sqrt() * torch.complex(parts[0], parts[1])


def test_it_is_the_error_s_power_over_the_expected_magnitude():
    error, log_spectrum = torch.full((1, 40, 3), 0.3j), torch.tensor([0.5, 0.1, 2.0]).log().expand(1, 40, 3)
    wanted = 0.09 * (1 / 0.5 + 1 / 0.1 + 1 / 2.0) / 3
    assert float(spectral_loss(error, log_spectrum, EVERYWHERE)) == pytest.approx(wanted, rel=1e-5)


def test_only_masked_frames_count():
    error, log_spectrum = noise(torch.ones(1, 40, 5), 0), torch.randn(1, 40, 5)
    mask = torch.arange(40)[None] < 20
    assert spectral_loss(error, log_spectrum, ~EVERYWHERE) == 0.0
    half = spectral_loss(error[:, :20], log_spectrum[:, :20], mask[:, :20])
    assert float(spectral_loss(error, log_spectrum, mask)) == pytest.approx(float(half), rel=1e-6)


def test_silence_and_clipping_weigh_no_more_than_the_largest_weight():
    error = torch.ones(1, 40, 2, dtype=torch.complex64)
    for log_magnitude, weight in ((-20.0, LARGEST_WEIGHT), (20.0, 1 / LARGEST_WEIGHT)):
        loss = spectral_loss(error, torch.full((1, 40, 2), log_magnitude), EVERYWHERE)
        assert float(loss) == pytest.approx(weight)


def test_the_best_estimate_is_the_posterior_mean():
    """A Gaussian signal of power P in noise of power N: the best gain on their sum is Wiener's, P / (P + N)."""
    signal_power, noise_power = torch.full((1, 40, 2000), 0.04), torch.full((1, 40, 2000), 0.12)
    signal, log_spectrum = noise(signal_power, 1), signal_power.sqrt().log()
    heard = signal + noise(noise_power, 2)
    gains = torch.linspace(0.05, 0.45, 81)
    losses = [float(spectral_loss(gain * heard - signal, log_spectrum, EVERYWHERE)) for gain in gains]
    assert float(gains[losses.index(min(losses))]) == pytest.approx(0.25, abs=0.01)


def test_no_gradient_reaches_the_expected_spectrum():
    error, log_spectrum = noise(torch.ones(1, 40, 5), 0), torch.zeros(1, 40, 5, requires_grad=True)
    assert not spectral_loss(error, log_spectrum, EVERYWHERE).requires_grad


def test_log_normal_levels_have_the_law_that_was_asked_for_within_what_is_trained():
    schedule = training_schedule(DiffusionConfig())
    generator = torch.Generator().manual_seed(0)
    levels = sample_log_normal_level(schedule, 20_000, generator, mean=1.6, std=1.0).double()
    log_ratio = torch.log(levels / (1 - levels**2).sqrt())
    assert float(log_ratio.mean()) == pytest.approx(1.6, abs=0.03)
    assert float(log_ratio.std()) == pytest.approx(1.0, abs=0.03)
    wide = sample_log_normal_level(schedule, 20_000, generator, mean=0.0, std=20.0)
    assert float(wide.min()) == pytest.approx(schedule.terminal_level)
    assert float(wide.max()) == pytest.approx(float(schedule.noise_levels[1]))
    assert sample_log_normal_level(schedule, 4, generator, 0, 1).dtype == torch.float32
