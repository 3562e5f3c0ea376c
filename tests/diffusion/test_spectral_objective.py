import math

import pytest
import torch

from wg2.config import DiffusionConfig
from wg2.diffusion.noise import gaussian
from wg2.diffusion.objective import q_sample
from wg2.diffusion.schedule import training_schedule
from wg2.diffusion.spectral import (
    BANDS,
    band_power,
    clean_from_eps,
    filterbank,
    sample_log_normal_level,
    spectral_loss,
)

EVERYWHERE = torch.ones(1, 40, dtype=torch.bool)


def tone(hz: float, amplitude: float) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * hz * torch.arange(12_000) / 24_000)[None]


def test_the_clean_signal_follows_from_the_noise():
    waveform, eps, level = torch.randn(2, 50).double(), torch.randn(2, 50).double(), torch.tensor([0.1, 0.99]).double()
    assert torch.allclose(clean_from_eps(q_sample(waveform, level, eps), eps, level), waveform, atol=1e-12)


def test_bands_are_a_partition_between_the_first_and_the_last_peak():
    bank = filterbank()
    assert bank.shape == (513, BANDS)
    inside = bank.sum(1)[3:-3]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-4)


def test_a_tone_is_in_its_band():
    power = band_power(tone(6000, 0.5), 300)[0, 20]
    assert abs(int(power.argmax()) - BANDS // 2) <= 1
    assert power[: BANDS // 2 - 4].sum() < 1e-4 * power.sum()


def test_the_same_relative_error_costs_more_in_a_loud_band_but_only_by_the_root():
    """A tenth of the amplitude, in a band of amplitude 0.5 and in one of 0.005: the costs are as 100 to 1, not 10^4."""
    loud, quiet = tone(3000, 0.5), tone(9000, 0.005)
    costs = [float(spectral_loss(0.1 * part, loud + quiet, EVERYWHERE, 300)) for part in (loud, quiet)]
    assert costs[0] / costs[1] == pytest.approx(100, rel=0.3)


def test_only_masked_frames_count():
    error, waveform = tone(3000, 0.1), tone(3000, 0.5)
    mask = torch.arange(40)[None] < 20
    assert spectral_loss(error, waveform, ~EVERYWHERE, 300) == 0.0
    assert float(spectral_loss(error, waveform, mask, 300)) == pytest.approx(
        float(spectral_loss(error[:, : 25 * 300], waveform[:, : 25 * 300], mask[:, :25], 300)), rel=1e-3
    )


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
