import math

import numpy as np
import pytest
import torch

from wg2.model.pitch import PitchPredictor, log_pitch, pitch_loss, voicing_loss
from wg2.model.prior import FLOOR, HarmonicPrior, log_magnitude, spectrum_loss
from wg2.model.stft import Stft


@pytest.fixture
def prior() -> HarmonicPrior:
    torch.manual_seed(0)
    return HarmonicPrior(4, 601, 24_000)


@pytest.mark.parametrize("f0", [100.0, 180.0, 240.0])
def test_the_comb_is_one_on_the_harmonics_and_minus_one_between_them(prior: HarmonicPrior, f0: float):
    comb = prior.comb(torch.tensor([[f0]]))[0, 0].numpy()
    hz = np.arange(601) * 20.0
    for harmonic in range(1, int(12_000 / f0)):
        assert np.interp(harmonic * f0, hz, comb) > 0.75  # bins are 20 Hz apart, and f0 need not be one
        assert np.interp((harmonic - 0.5) * f0, hz, comb) < -0.75


def test_the_comb_peaks_where_a_harmonic_sound_has_its_ridges(prior: HarmonicPrior):
    time = torch.arange(24_000) / 24_000
    buzz = sum(torch.cos(2 * math.pi * 200 * k * time) for k in range(1, 60))[None]
    magnitude = Stft(1200, 300)(buzz)[0, 40].abs()
    comb = prior.comb(torch.tensor([[200.0]]))[0, 0]
    assert magnitude[comb > 0.9][1:-1].min() > 10 * magnitude[comb < -0.9].max()


def test_an_unvoiced_frame_has_no_ridges(prior: HarmonicPrior):
    features = torch.randn(1, 2, 4)
    log_spectrum, comb = prior(features, torch.tensor([[0.0, 150.0]]))
    assert not comb[0, 0].any()
    assert torch.equal(log_spectrum[0, 0], prior.envelope(features)[0, 0])
    assert not torch.allclose(log_spectrum[0, 1], prior.envelope(features)[0, 1])


def test_silence_has_a_finite_logarithm():
    assert log_magnitude(torch.zeros(3, dtype=torch.complex64)).tolist() == pytest.approx([math.log(FLOOR)] * 3)


def test_the_loss_of_a_spectrum_is_a_quantile_s_over_the_masked_frames():
    wanted = torch.tensor([1.0, -2.0, 9.0])[None, :, None].expand(1, 3, 5)
    mask = torch.tensor([[True, True, False]])
    above, below = 2 * (1 - 1 / math.e), 2 / math.e
    assert float(spectrum_loss(torch.zeros(1, 3, 5), wanted, mask)) == pytest.approx((above * 1 + below * 2) / 2)
    assert spectrum_loss(torch.zeros(1, 3, 5), wanted, torch.zeros(1, 3, dtype=torch.bool)) == 0.0


def test_the_best_spectrum_is_the_root_mean_square_of_a_gaussian():
    parts = 0.3 * torch.randn(2, 1, 50, 400, generator=torch.Generator().manual_seed(0))
    wanted, mask = log_magnitude(torch.complex(parts[0], parts[1])), torch.ones(1, 50, dtype=torch.bool)
    candidates = torch.linspace(0.2, 0.8, 241)
    losses = [float(spectrum_loss(magnitude.log().expand(1, 50, 400), wanted, mask)) for magnitude in candidates]
    assert float(candidates[losses.index(min(losses))]) == pytest.approx(0.3 * math.sqrt(2), rel=0.02)


def test_a_new_predictor_says_a_typical_pitch_and_no_opinion_on_voicing():
    log_f0, voicing = PitchPredictor(4)(torch.randn(1, 3, 4))
    assert log_f0.exp().tolist() == [pytest.approx([190.0] * 3)]
    assert not voicing.any()


def test_predicted_pitch_is_zero_where_it_is_unvoiced():
    predictor = PitchPredictor(2)
    predictor.linear.weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    f0 = predictor.f0(torch.tensor([[[math.log(2), 3.0], [0.5, -3.0]]]))
    assert f0.tolist() == [pytest.approx([380.0, 0.0])]


def test_log_pitch_is_relative_and_zero_where_unvoiced():
    relative, voiced = log_pitch(torch.tensor([380.0, 0.0, 190.0]))
    assert relative.tolist() == pytest.approx([math.log(2), 0.0, 0.0])
    assert voiced.tolist() == [1.0, 0.0, 1.0]


def test_the_pitch_losses_look_where_they_should():
    f0, frames = torch.tensor([[200.0, 0.0, 100.0]]), torch.tensor([[True, True, False]])
    log_f0, logit = torch.tensor([[math.log(100.0), 7.0, 7.0]]), torch.tensor([[0.0, 0.0, 9.0]])
    assert float(pitch_loss(log_f0, f0, frames & (f0 > 0))) == pytest.approx(math.log(2))
    assert float(voicing_loss(logit, f0, frames)) == pytest.approx(math.log(2))
    assert float(pitch_loss(log_f0, f0, torch.zeros(1, 3, dtype=torch.bool))) == 0.0
